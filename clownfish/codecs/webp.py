"""The codec `webp`: two thirds of JPEG's bytes, for twenty times its encoding time."""

from __future__ import annotations

import struct

import numpy as np

from clownfish.codecs.checks import check_declared, check_header, check_option, check_pixels
from clownfish.errors import CodecError
from clownfish.messages import Pixels
from clownfish.opencv import cv2, swap_red_and_blue

_MAX_SIDE = 16383
_KEY_FRAME = b"\x9d\x01\x2a"


class Webp:
    """Lossy WebP. `quality`: 1 (small) to 100 (near the original)."""

    name = "webp"

    def __init__(self, quality: int = 75) -> None:
        """Raises ConfigError for a quality out of range."""
        check_option(self.name, "quality", quality, 1, 100)
        self._options = [cv2.IMWRITE_WEBP_QUALITY, quality]

    def encode(self, pixels: Pixels) -> bytes:
        """One WebP file of `pixels`, uint8 (height, width, 3) RGB. Raises CodecError for another array."""
        check_pixels(pixels)
        if max(pixels.shape) > _MAX_SIDE:
            raise CodecError(f"a frame of shape {pixels.shape} has a side above WebP's {_MAX_SIDE}; use jpeg or png")
        done, data = cv2.imencode(".webp", swap_red_and_blue(pixels), self._options)
        if not done:
            raise CodecError(f"OpenCV cannot encode a frame of shape {pixels.shape} as WebP")
        return bytes(data)

    def decode(self, data: bytes, width: int, height: int) -> Pixels:
        """The frame, shape (height, width, 3) uint8 RGB. Raises CodecError where bytes are broken or of another size.

        Only what `encode` writes is let through: one lossy picture, no animation, no metadata. WebP has no checksum:
        bytes changed in the middle may decode to other pixels.
        """
        check_declared(width, height)
        check_header(self.name, _read_header(data), width, height)
        try:
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        except cv2.error as error:
            raise CodecError(f"WebP of {len(data)} bytes cannot be decoded: {error.err}") from error
        if pixels is None or pixels.shape != (height, width, 3):
            raise CodecError(f"WebP of {len(data)} bytes, {width}x{height} by its header, holds no such picture")
        return swap_red_and_blue(pixels)


def _read_header(data: bytes) -> tuple[int, int]:
    """(width, height) of the one lossy picture."""
    if len(data) < 30 or data[:4] != b"RIFF" or data[8:16] != b"WEBPVP8 " or data[23:26] != _KEY_FRAME:
        raise CodecError(f"not a lossy WebP: {len(data)} bytes that begin {data[:16]!r}")
    whole, picture = struct.unpack_from("<I", data, 4)[0], struct.unpack_from("<I", data, 16)[0]
    if whole != len(data) - 8 or picture + picture % 2 != len(data) - 20:
        raise CodecError(f"WebP says {whole} bytes, its picture {picture}; {len(data)} are there: cut off or damaged")
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF
