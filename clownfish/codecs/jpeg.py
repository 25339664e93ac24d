"""The codec `jpeg`: an eighth of PNG's bytes and a twentieth of its encoding time, at 31 to 38 dB (quality 75)."""

from __future__ import annotations

import struct

import numpy as np

from clownfish.codecs.checks import check_chroma, check_declared, check_header, check_option, check_pixels
from clownfish.errors import CodecError
from clownfish.messages import Pixels
from clownfish.opencv import cv2, swap_red_and_blue

_START = b"\xff\xd8"
_END = b"\xff\xd9"
_BASELINE = 0xC0
_OTHER_FRAMES = frozenset(range(0xC1, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Start-of-frame markers that are not baseline: a progressive file of few bytes can ask for hours of scans."""
_NO_LENGTH = frozenset({0x00, 0x01, *range(0xD0, 0xDA)})
_MAX_SIDE = 65535


_SAMPLING = {420: cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420, 444: cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444}


class Jpeg:
    """Baseline JPEG. `quality`: 1 (small) to 100 (near the original). `chroma`: 444, or 420 with colours at half the
    resolution, which costs a model more answers than it saves bytes: quality 60 with 444 is better than 75 with 420."""

    name = "jpeg"

    def __init__(self, quality: int = 75, chroma: int = 420) -> None:
        """Raises ConfigError for an option out of range."""
        check_option(self.name, "quality", quality, 1, 100)
        check_chroma(self.name, chroma)
        self._options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, _SAMPLING[chroma]]

    def encode(self, pixels: Pixels) -> bytes:
        """One JPEG file of `pixels`, uint8 (height, width, 3) RGB. Raises CodecError for another array."""
        check_pixels(pixels)
        if max(pixels.shape) > _MAX_SIDE:
            raise CodecError(f"a frame of shape {pixels.shape} has a side above JPEG's {_MAX_SIDE}; use png or raw")
        done, data = cv2.imencode(".jpg", swap_red_and_blue(pixels), self._options)
        if not done:
            raise CodecError(f"OpenCV cannot encode a frame of shape {pixels.shape} as JPEG")
        return bytes(data)

    def decode(self, data: bytes, width: int, height: int) -> Pixels:
        """The frame, shape (height, width, 3) uint8 RGB. Raises CodecError where bytes are broken or of another size.

        JPEG has no checksum: bytes changed in the middle may decode to other pixels.
        """
        check_declared(width, height)
        check_header(self.name, _read_header(data), width, height)
        if data[-2:] != _END:
            raise CodecError(f"JPEG is cut off: {len(data)} bytes that do not finish with an end marker")
        try:
            # EXIF may ask to be turned, which would exchange width and height after the check
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        except cv2.error as error:
            raise CodecError(f"JPEG of {len(data)} bytes cannot be decoded: {error.err}") from error
        if pixels is None or pixels.shape != (height, width, 3):
            raise CodecError(f"JPEG of {len(data)} bytes, {width}x{height} by its header, holds no such picture")
        return swap_red_and_blue(pixels)


def _read_header(data: bytes) -> tuple[int, int]:
    """(width, height) of the start-of-frame segment."""
    if data[:2] != _START:
        raise CodecError(f"not a JPEG: {len(data)} bytes that begin {data[:8]!r}; expected {_START!r}")
    at = 2
    while len(data) - at >= 4:
        mark, kind, length = struct.unpack_from(">BBH", data, at)
        if mark != 0xFF or kind in _NO_LENGTH or length < 2:
            break
        if kind in _OTHER_FRAMES:
            raise CodecError(f"JPEG of kind 0x{kind:02x}; expected baseline (0xc0)")
        if kind == _BASELINE:
            if length < 8 or len(data) - at < 10:
                break
            depth, height, width, components = struct.unpack_from(">BHHB", data, at + 4)
            if (depth, components) != (8, 3):
                raise CodecError(f"JPEG of {depth} bits and {components} components; expected 8 and 3")
            return width, height
        at += 2 + length
    raise CodecError(f"JPEG of {len(data)} bytes has no whole start-of-frame segment: cut off or damaged")
