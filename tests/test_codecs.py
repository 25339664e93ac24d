"""All codecs: what goes in comes out, and broken bytes are a CodecError before they are an allocation."""

from __future__ import annotations

import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clownfish.codecs import CODECS, ON_THE_WIRE
from clownfish.codecs.jpeg import Jpeg
from clownfish.codecs.png import Png
from clownfish.codecs.runs import as_run_codec
from clownfish.codecs.webp import Webp
from clownfish.errors import CodecError, ConfigError
from clownfish.messages import Pixels
from clownfish.opencv import cv2
from clownfish.settings import Plugin
from tests.videos import frame

LOSSLESS = {"raw", "png"}
WIDTH, HEIGHT = 43, 30


def picture(width: int = WIDTH, height: int = HEIGHT) -> Pixels:
    """Smooth colours, different in each channel, so that a swap of channels or axes shows."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return np.stack([200 * x, 250 * y, 100 * (1 - x) * y], axis=-1).astype(np.uint8)


def psnr_db(a: Pixels, b: Pixels) -> float:
    error = np.mean((a.astype(float) - b.astype(float)) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


class Alone:
    """Any codec, seen frame by frame: each stands alone."""

    def __init__(self, name: str) -> None:
        self._codec = as_run_codec(CODECS.get(name)())
        self.name = self._codec.name

    def encode(self, pixels: Pixels) -> bytes:
        height, width = pixels.shape[:2]
        return self._codec.encoder(width, height).encode(pixels, begin=True).data

    def decode(self, data: bytes, width: int, height: int) -> Pixels:
        return self._codec.decode_run([data], width, height, {0})[0]


@pytest.fixture(params=sorted(ON_THE_WIRE))
def codec(request: pytest.FixtureRequest) -> Alone:
    return Alone(request.param)


def test_a_codec_carries_its_registered_name() -> None:
    assert [CODECS.get(name)().name for name in sorted(ON_THE_WIRE)] == sorted(ON_THE_WIRE)


@pytest.mark.parametrize("size", [(43, 30), (1, 1), (172, 128), (1, 77)])
def test_what_goes_in_comes_out(codec: Alone, size: tuple[int, int]) -> None:
    pixels = picture(*size)
    decoded = codec.decode(codec.encode(pixels), *size)
    assert decoded.shape == pixels.shape
    assert decoded.dtype == np.uint8
    if codec.name in LOSSLESS:
        np.testing.assert_array_equal(decoded, pixels)
    else:
        assert psnr_db(decoded, pixels) > 30


def test_a_view_with_strides_is_encoded_like_its_copy(codec: Alone) -> None:
    view = picture(2 * WIDTH, 2 * HEIGHT)[::2, ::-2]
    assert codec.encode(view) == codec.encode(view.copy())


def test_red_stays_red(codec: Alone) -> None:
    red, blue = codec.decode(codec.encode(frame(0b1111)), 64, 48)[24, [16, 48]].astype(int)
    assert red[0] > 200 > 50 > red[2]
    assert blue[2] > 200 > 50 > blue[0]


@given(seed=st.integers(0, 2**32 - 1), width=st.integers(1, 40), height=st.integers(1, 40))
def test_lossless_codecs_keep_any_noise(seed: int, width: int, height: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    for name in LOSSLESS:
        codec = CODECS.get(name)()
        np.testing.assert_array_equal(codec.decode(codec.encode(pixels), width, height), pixels)


def test_bytes_cut_off_anywhere_are_an_error(codec: Alone) -> None:
    data = codec.encode(picture())
    for length in range(len(data)):
        with pytest.raises(CodecError):
            codec.decode(data[:length], WIDTH, HEIGHT)


def test_another_size_than_the_declared_one_is_an_error(codec: Alone) -> None:
    data = codec.encode(picture())
    for width, height in [(WIDTH + 1, HEIGHT), (WIDTH, HEIGHT - 1), (HEIGHT + 1, WIDTH), (0, 0), (-WIDTH, -HEIGHT)]:
        with pytest.raises(CodecError):
            codec.decode(data, width, height)


@pytest.mark.parametrize("declared", [(WIDTH, HEIGHT), (60000, 60000)])
def test_a_header_that_promises_gigabytes_allocates_nothing(codec: Alone, declared: tuple[int, int]) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(CodecError):
            codec.decode(with_size(codec, 60000, 60000), *declared)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def with_size(codec: Alone, width: int, height: int) -> bytes:
    """A small encoded frame whose own header says another size; raw has no header, only too many bytes, and what a
    picture's parameter sets say is in test_codecs_video."""
    data = bytearray(codec.encode(picture()))
    if codec.name == "png":
        data[16:24] = struct.pack(">II", width, height)
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    if codec.name == "jpeg":
        at = data.index(b"\xff\xc0")
        data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    if codec.name == "webp":
        data[26:30] = struct.pack("<HH", width & 0x3FFF, height & 0x3FFF)
    return bytes(data) + (b"more" if codec.name in ("raw", "h264", "hevc") else b"")


@given(data=st.binary(max_size=300))
def test_foreign_bytes_are_an_error(data: bytes) -> None:
    for name in ON_THE_WIRE:
        with pytest.raises(CodecError):
            Alone(name).decode(data, WIDTH, HEIGHT)


@given(position=st.integers(0, 10**6), value=st.integers(0, 255), data=st.data())
def test_damaged_bytes_decode_to_the_declared_size_or_are_an_error(
    position: int, value: int, data: st.DataObject
) -> None:
    codec = Alone(data.draw(st.sampled_from(sorted(ON_THE_WIRE))))
    encoded = bytearray(codec.encode(picture()))
    encoded[position % len(encoded)] = value
    try:
        assert codec.decode(bytes(encoded), WIDTH, HEIGHT).shape == (HEIGHT, WIDTH, 3)
    except CodecError:
        assert codec.name != "raw"


def test_a_png_with_one_changed_byte_is_never_decoded() -> None:
    """PNG's checksums are looked at."""
    data = Png().encode(picture())
    for position in range(len(data)):
        damaged = data[:position] + bytes([data[position] ^ 0x10]) + data[position + 1 :]
        with pytest.raises(CodecError):
            Png().decode(damaged, WIDTH, HEIGHT)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


@pytest.mark.parametrize(
    ("colour", "extra", "rows", "why"),
    [
        (3, b"", HEIGHT, "colour type"),
        (2, chunk(b"zTXt", b"a\0\0" + zlib.compress(b"x" * 10**6)), HEIGHT, "zTXt"),
        (2, chunk(b"acTL", bytes(8)), HEIGHT, "acTL"),
        (2, b"", HEIGHT // 2, "no such picture"),
    ],
    ids=["palette", "compressed text", "animation", "too few rows"],
)
def test_a_png_that_is_not_of_our_kind_is_refused(colour: int, extra: bytes, rows: int, why: str) -> None:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, colour, 0, 0, 0))
    content = chunk(b"IDAT", zlib.compress(bytes(rows * (1 + 3 * WIDTH))))
    data = b"\x89PNG\r\n\x1a\n" + header + extra + content + chunk(b"IEND", b"")
    with pytest.raises(CodecError, match=why):
        Png().decode(data, WIDTH, HEIGHT)


def test_bytes_after_the_end_of_a_png_are_refused() -> None:
    with pytest.raises(CodecError, match="after its end"):
        Png().decode(Png().encode(picture()) + b"more", WIDTH, HEIGHT)


def test_a_progressive_jpeg_is_refused() -> None:
    data = Jpeg().encode(picture()).replace(b"\xff\xc0", b"\xff\xc2", 1)
    with pytest.raises(CodecError, match="baseline"):
        Jpeg().decode(data, WIDTH, HEIGHT)


def test_a_jpeg_that_asks_to_be_turned_keeps_its_size() -> None:
    """EXIF orientation 6 would exchange width and height."""
    tiff = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
    exif = b"\xff\xe1" + struct.pack(">H", 8 + len(tiff)) + b"Exif\0\0" + tiff
    data = Jpeg().encode(picture())
    assert psnr_db(Jpeg().decode(data[:2] + exif + data[2:], WIDTH, HEIGHT), picture()) > 30


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
    ids=["grey", "alpha", "float", "empty"],
)
def test_only_rgb_bytes_are_encoded(codec: Alone, pixels: Pixels) -> None:
    with pytest.raises(CodecError):
        codec.encode(pixels)


@pytest.mark.parametrize("kind", [Jpeg, Webp])
def test_more_quality_is_more_bytes_and_nearer_the_original(kind: type[Jpeg] | type[Webp]) -> None:
    pixels = picture(172, 128)
    low, high = kind(quality=20).encode(pixels), kind(quality=95).encode(pixels)
    assert len(low) < len(high)
    assert psnr_db(kind().decode(low, 172, 128), pixels) < psnr_db(kind().decode(high, 172, 128), pixels)


def test_a_webp_that_is_not_one_lossy_picture_is_refused() -> None:
    lossless = cv2.imencode(".webp", picture(), [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()
    with pytest.raises(CodecError, match="lossy"):
        Webp().decode(lossless, WIDTH, HEIGHT)
    with pytest.raises(CodecError, match="cut off or damaged"):
        Webp().decode(Webp().encode(picture()) + b"more", WIDTH, HEIGHT)


def test_a_png_level_changes_the_bytes_but_not_the_pixels() -> None:
    pixels = picture(172, 128)
    stored, small = Png(level=0).encode(pixels), Png(level=9).encode(pixels)
    assert len(small) < len(stored)
    np.testing.assert_array_equal(Png().decode(small, 172, 128), Png().decode(stored, 172, 128))


@pytest.mark.parametrize("name", sorted(ON_THE_WIRE - LOSSLESS))
@pytest.mark.parametrize("quality", [0, 101, -1, 50.5, True])
def test_a_quality_out_of_range_is_a_configuration_error(name: str, quality: int) -> None:
    with pytest.raises(ConfigError, match="1 to 100"):
        Plugin(name, {"quality": quality}).build(CODECS)


@pytest.mark.parametrize("level", [-1, 10])
def test_a_level_out_of_range_is_a_configuration_error(level: int) -> None:
    with pytest.raises(ConfigError, match="0 to 9"):
        Png(level=level)
