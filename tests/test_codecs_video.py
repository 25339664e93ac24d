"""Codecs of runs: what follows others decodes after them, and no bitstream costs more than its declared size."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clownfish.codecs import CODECS, ON_THE_WIRE
from clownfish.codecs.base import Coded, RunCodec
from clownfish.codecs.nal import H264, HEVC, Syntax
from clownfish.codecs.runs import StreamEncoder, as_run_codec, decode_job
from clownfish.codecs.video import checksum
from clownfish.errors import CodecError, ConfigError
from clownfish.messages import Pixels
from clownfish.protocol import MAX_RUN, Job
from clownfish.settings import Plugin
from tests.test_codecs import psnr_db

RUNS = ["h264", "hevc"]
SYNTAX: dict[str, Syntax] = {"h264": H264, "hevc": HEVC}
WIDTH, HEIGHT = 43, 30


def moving(count: int, width: int = WIDTH, height: int = HEIGHT) -> list[Pixels]:
    """Smooth colours that move, no two frames alike."""
    x, y = np.meshgrid(np.linspace(0, 3, width), np.linspace(0, 3, height))
    return [
        (127 + 100 * np.stack([np.sin(x + n / 5), np.cos(y + n / 5), np.sin(x + y)], axis=-1)).astype(np.uint8)
        for n in range(count)
    ]


def summed(unit: bytes, size: tuple[int, int] = (WIDTH, HEIGHT)) -> bytes:
    return checksum(unit, *size) + unit


@pytest.fixture(params=RUNS)
def codec(request: pytest.FixtureRequest) -> RunCodec:
    return as_run_codec(CODECS.get(request.param)())


def run_of(codec: RunCodec, frames: list[Pixels]) -> list[bytes]:
    encoder = codec.encoder(frames[0].shape[1], frames[0].shape[0])
    return [encoder.encode(pixels, begin=n == 0).data for n, pixels in enumerate(frames)]


@pytest.mark.parametrize("size", [(43, 30), (1, 1), (172, 128), (1, 77), (64, 48)])
def test_a_run_decodes_to_its_frames_in_order_at_any_size(codec: RunCodec, size: tuple[int, int]) -> None:
    frames = moving(20, *size)
    decoded = codec.decode_run(run_of(codec, frames), *size, set(range(20)))
    assert list(decoded) == list(range(20))
    for place, pixels in decoded.items():
        assert pixels.shape == frames[place].shape
        assert psnr_db(pixels, frames[place]) > 28, place


def test_only_the_wanted_frames_come_back_and_are_the_same(codec: RunCodec) -> None:
    pictures = run_of(codec, moving(12))
    everything = codec.decode_run(pictures, WIDTH, HEIGHT, set(range(12)))
    some = codec.decode_run(pictures, WIDTH, HEIGHT, {3, 11})
    assert set(some) == {3, 11}
    for place, pixels in some.items():
        np.testing.assert_array_equal(pixels, everything[place])


def test_frames_that_follow_are_far_fewer_bytes(codec: RunCodec) -> None:
    texture = np.random.default_rng(0).integers(0, 256, (128, 172, 3), np.uint8)
    pictures = run_of(codec, [np.roll(texture, 2 * n, axis=1) for n in range(16)])
    assert sum(map(len, pictures[1:])) / 15 < len(pictures[0]) / 3


def test_a_run_begun_in_mid_stream_needs_nothing_before_it(codec: RunCodec) -> None:
    encoder = codec.encoder(WIDTH, HEIGHT)
    frames = moving(20)
    pictures = [encoder.encode(pixels, begin=n in (0, 9)).data for n, pixels in enumerate(frames)]
    decoded = codec.decode_run(pictures[9:], WIDTH, HEIGHT, {0, 10})
    assert psnr_db(decoded[10], frames[19]) > 28


def test_more_quality_is_more_bytes_and_nearer_the_original() -> None:
    frames = moving(8, 172, 128)
    for name in RUNS:
        low, high = (as_run_codec(Plugin(name, {"quality": quality}).build(CODECS)) for quality in (20, 80))
        small, large = run_of(low, frames), run_of(high, frames)
        assert sum(map(len, small)) < sum(map(len, large))
        near, far = (psnr_db(low.decode_run(each, 172, 128, {7})[7], frames[7]) for each in (large, small))
        assert far < near


@pytest.mark.parametrize("chroma", [444, 420])
def test_colours_keep_their_level_on_the_way_through_yuv(chroma: int) -> None:
    """FFmpeg's short way from YUV 4:2:0 to RGB left everything a level too dark."""
    frames = moving(4, 172, 128)
    for name in RUNS:
        codec = as_run_codec(Plugin(name, {"quality": 90, "chroma": chroma}).build(CODECS))
        decoded = codec.decode_run(run_of(codec, frames), 172, 128, {3})[3]
        assert np.abs(np.mean(decoded.astype(float) - frames[3], axis=(0, 1))).max() < 0.35, name


@pytest.mark.parametrize("name", ["jpeg", *RUNS])
def test_edges_of_colours_are_kept_where_chroma_is_whole(name: str) -> None:
    red_and_blue = np.zeros((48, 64, 3), np.uint8)
    red_and_blue[:, ::2] = (200, 40, 40)
    red_and_blue[:, 1::2] = (40, 40, 200)
    whole, halved = (as_run_codec(Plugin(name, {"quality": 80, "chroma": each}).build(CODECS)) for each in (444, 420))
    kept, lost = (
        psnr_db(codec.decode_run(run_of(codec, [red_and_blue]), 64, 48, {0})[0], red_and_blue)
        for codec in (whole, halved)
    )
    assert kept > 25 > 20 > lost


SOFTWARE = {"tune": "zerolatency", "preset": "ultrafast", "x264-params": "sliced-threads=0:slices=1"}


def test_another_encoder_is_taken_by_name_with_its_own_options() -> None:
    frames = moving(8)
    sizes = []
    for bits in (100_000, 2_000_000):
        options = {"encoder": "libx264", "chroma": 420, "options": {**SOFTWARE, "b": bits}}
        codec = as_run_codec(Plugin("h264", options).build(CODECS))
        pictures = run_of(codec, frames)
        assert psnr_db(codec.decode_run(pictures, WIDTH, HEIGHT, {7})[7], frames[7]) > 25
        sizes.append(sum(map(len, pictures)))
    assert sizes[0] < sizes[1]


@pytest.mark.parametrize(
    ("name", "encoder", "why"),
    [("h264", "h264_nosuch", "not in this PyAV"), ("hevc", "libx264", "makes h264"), ("h264", "libx264 ", "not in")],
)
def test_an_encoder_that_is_not_here_or_makes_something_else_is_a_configuration_error(
    name: str, encoder: str, why: str
) -> None:
    with pytest.raises(ConfigError, match=why):
        Plugin(name, {"encoder": encoder}).build(CODECS)


@pytest.mark.parametrize("encoder", ["h264_nvenc", "h264_v4l2m2m", "h264_qsv", "h264_vaapi"])
def test_hardware_that_is_not_here_is_said_at_the_start_and_hardware_that_is_codes(encoder: str) -> None:
    try:
        codec = as_run_codec(Plugin("h264", {"encoder": encoder}).build(CODECS))
    except ConfigError as error:
        why = str(error)
        assert re.search("does not start on this machine|is not in this PyAV", why)
        return
    frames = moving(8, 172, 128)
    assert psnr_db(codec.decode_run(run_of(codec, frames), 172, 128, {7})[7], frames[7]) > 25


@pytest.mark.parametrize(
    "options",
    [
        {"group": 0},
        {"group": MAX_RUN + 1},
        {"preset": "instant"},
        {"chroma": 422},
        {"options": {"b": 1}},
    ],
)
def test_an_option_out_of_range_is_a_configuration_error(options: dict[str, object]) -> None:
    for name in RUNS:
        with pytest.raises(ConfigError, match=r"expected|say which encoder"):
            Plugin(name, options).build(CODECS)


# -- hostile bytes ----------------------------------------------------------------------------------------------------


def test_what_is_not_a_run_is_an_error(codec: RunCodec) -> None:
    """Without its beginning, with two of them, with an empty picture, longer than lawful."""
    pictures = run_of(codec, moving(8))
    for broken in (pictures[1:], [pictures[0], pictures[0]], [*pictures, b""]):
        with pytest.raises(CodecError):
            codec.decode_run(broken, WIDTH, HEIGHT, {0})
    with pytest.raises(CodecError, match="at most"):
        codec.decode_run([pictures[0], *pictures[1:2] * MAX_RUN], WIDTH, HEIGHT, {0})


@pytest.mark.parametrize("declared", [(WIDTH, HEIGHT), (64, 48)])
def test_parameter_sets_that_promise_a_larger_frame_allocate_nothing(
    codec: RunCodec, declared: tuple[int, int]
) -> None:
    library = {"h264": "libx264", "hevc": "libx265"}[codec.name]
    context = av.CodecContext.create(library, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt, context.time_base = 3840, 2160, "yuv420p", Fraction(1, 30)
    context.thread_count = 1
    context.options = {
        "preset": "veryfast",  # with arithmetic coding black is a few hundred bytes
        "tune": "zerolatency",
        "x264-params": "sliced-threads=0:slices=1",
        "x265-params": "log-level=none:repeat-headers=1:pools=none:slices=1",
    }
    black = av.VideoFrame.from_ndarray(np.zeros((2160, 3840, 3), np.uint8), format="rgb24").reformat(format="yuv420p")
    unit = SYNTAX[codec.name].stripped(b"".join(map(bytes, [*context.encode(black), *context.encode(None)])))
    del context, black
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(20):
        with pytest.raises(CodecError, match="cannot be decoded"):
            codec.decode_run([summed(unit, declared)], *declared, {0})
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown * (1 if sys.platform == "darwin" else 1024) < 4_000_000


def test_a_picture_of_more_bytes_than_pixels_is_refused(codec: RunCodec) -> None:
    with pytest.raises(CodecError, match="larger than its"):
        codec.decode_run([summed(bytes(WIDTH * HEIGHT * 3 + 5000))], WIDTH, HEIGHT, {0})


def test_two_pictures_in_one_are_refused(codec: RunCodec) -> None:
    pictures = run_of(codec, moving(3))
    with pytest.raises(CodecError, match="one slice"):
        codec.decode_run([pictures[0], summed(pictures[1][4:] + pictures[2][4:])], WIDTH, HEIGHT, {0})


ENCODED = {name: run_of(as_run_codec(CODECS.get(name)()), moving(6)) for name in RUNS}


@settings(max_examples=150, deadline=None)
@given(name=st.sampled_from(RUNS), data=st.data())
def test_a_hostile_bitstream_decodes_to_the_declared_size_or_is_an_error(name: str, data: st.DataObject) -> None:
    """The checksums are made right, so that the damage reaches the decoder."""
    pictures = list(ENCODED[name])
    for _ in range(data.draw(st.integers(1, 6))):
        which = data.draw(st.integers(0, len(pictures) - 1))
        unit = bytearray(pictures[which][4:])
        at = data.draw(st.integers(0, len(unit) - 1))
        how = data.draw(st.sampled_from(["flip", "cut", "fill", "more"]))
        if how == "flip":
            unit[at] ^= data.draw(st.integers(1, 255))
        elif how == "cut":
            del unit[at + 1 :]
        elif how == "fill":
            unit[at:] = data.draw(st.binary(min_size=1, max_size=40))
        else:
            unit += data.draw(st.binary(max_size=40))
        pictures[which] = summed(bytes(unit))
    try:
        frames = as_run_codec(CODECS.get(name)()).decode_run(pictures, WIDTH, HEIGHT, set(range(6)))
    except CodecError:
        return
    assert {place: pixels.shape for place, pixels in frames.items()} == dict.fromkeys(range(6), (HEIGHT, WIDTH, 3))


@settings(deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=4))
def test_foreign_bytes_with_a_right_checksum_are_an_error(units: list[bytes]) -> None:
    for name in RUNS:
        with pytest.raises(CodecError):
            as_run_codec(CODECS.get(name)()).decode_run(list(map(summed, [b"", *units])), WIDTH, HEIGHT, {0})


def test_without_pyav_it_is_said_what_to_install() -> None:
    """And the codecs that need none go on."""
    program = (
        "import sys; sys.modules['av'] = None\n"
        "from clownfish.codecs import CODECS; CODECS.get('jpeg')(); CODECS.get('h264')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert "ConfigError: codecs h264 and hevc need PyAV" in done.stderr
    assert "pip install 'clownfish[video]'" in done.stderr


# -- streams and jobs -------------------------------------------------------------------------------------------------


def job_of(codec: str, places: tuple[int, ...], frames: tuple[int, ...], data: tuple[bytes, ...]) -> Job:
    return Job(1, (codec,) * len(data), places, frames, WIDTH, HEIGHT, 1000, data)


@pytest.mark.parametrize("name", sorted(ON_THE_WIRE))
def test_a_job_of_several_runs_gives_the_windows_frames_in_order(name: str) -> None:
    codec = as_run_codec(CODECS.get(name)())
    encoder = StreamEncoder(codec)
    frames = moving(10)
    pictures = [*encoder.encode(frames[:6]), *encoder.encode(frames[6:], begin=True)]
    places, data = tuple(p.place for p in pictures), tuple(p.data for p in pictures)
    decoded = decode_job(job_of(name, places, (7, 2, 9, 2), data), lambda kind: codec)
    for pixels, n in zip(decoded, (7, 2, 9, 2), strict=True):
        assert psnr_db(pixels, frames[n]) > 28


@given(
    batches=st.lists(st.tuples(st.integers(1, 9), st.booleans(), st.booleans()), max_size=12),
    group=st.integers(1, 9),
    rhythm=st.sampled_from([0, 0, 3, 7]),
)
def test_runs_are_numbered_anew_and_never_longer_than_the_group(
    batches: list[tuple[int, bool, bool]], group: int, rhythm: int
) -> None:
    """Also where an encoder begins unasked."""
    encoder = StreamEncoder(Counting(group, rhythm))
    pixels = moving(1)[0]
    lengths: dict[int, int] = {}
    fresh = True
    for count, begin, lost in batches:
        for n, picture in enumerate(encoder.encode([pixels] * count, begin)):
            assert picture.place == lengths.get(picture.run, 0) < group
            assert picture.data == (b"begin" if picture.place == 0 else b"after")
            assert not ((begin or fresh) and n == 0) or picture.place == 0
            assert picture.run == max(lengths, default=-1) + (picture.place == 0)
            lengths[picture.run] = picture.place + 1
        if fresh := lost:
            encoder.restart()


class Counting:
    """A codec of runs that says only whether a picture begins one."""

    name = "counting"

    def __init__(self, group: int, rhythm: int = 0) -> None:
        self.group = group
        self._rhythm = rhythm
        """Each so many-th picture begins a run, whatever is asked."""
        self._count = 0

    def encoder(self, width: int, height: int) -> Counting:
        return self

    def encode(self, pixels: Pixels, begin: bool) -> Coded:
        self._count += 1
        begins = begin or (self._rhythm > 0 and self._count % self._rhythm == 0)
        return Coded(b"begin" if begins else b"after", begins)

    def decode_run(self, pictures: object, width: int, height: int, wanted: object) -> dict[int, Pixels]:
        return {}


def test_an_encoder_that_failed_begins_anew() -> None:
    encoder = StreamEncoder(CODECS.get("h264")())
    frames = moving(4)
    first = encoder.encode(frames[:2])
    with pytest.raises(CodecError):
        encoder.encode([frames[2].astype(np.float32)])  # type: ignore[list-item]
    assert [(each.run, each.place) for each in first + encoder.encode(frames[2:])] == [(0, 0), (0, 1), (1, 0), (1, 1)]


@pytest.mark.parametrize(
    ("places", "frames"), [((1,), (0,)), ((0, 2), (0,)), ((0, 0), (2,)), ((0,), (0,)), ((0, 1, 0), (0,))]
)
def test_a_job_that_does_not_fit_together_is_an_error(places: tuple[int, ...], frames: tuple[int, ...]) -> None:
    data = (b"x",) if places == (1,) else (b"x", b"x")
    with pytest.raises(CodecError):
        decode_job(job_of("jpeg", places, frames, data), lambda kind: as_run_codec(CODECS.get(kind)()))
