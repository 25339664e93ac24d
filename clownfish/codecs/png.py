"""The codec `png`: lossless, the paper's own choice for the uplink (§V)."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from clownfish.codecs.checks import check_declared, check_header, check_option, check_pixels
from clownfish.errors import CodecError
from clownfish.messages import Pixels
from clownfish.opencv import cv2, swap_red_and_blue

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_EIGHT_BIT_RGB = (8, 2)
"""IHDR's bit depth and colour type."""


class Png:
    """8-bit RGB PNG. `level`: zlib's effort, 0 (none) to 9; 1 takes a third of 6's time for a tenth more bytes."""

    name = "png"

    def __init__(self, level: int = 1) -> None:
        """Raises ConfigError for a level out of range."""
        check_option(self.name, "level", level, 0, 9)
        self._options = [cv2.IMWRITE_PNG_COMPRESSION, level]

    def encode(self, pixels: Pixels) -> bytes:
        """One PNG file of `pixels`, uint8 (height, width, 3) RGB. Raises CodecError for another array."""
        check_pixels(pixels)
        done, data = cv2.imencode(".png", swap_red_and_blue(pixels), self._options)
        if not done:
            raise CodecError(f"OpenCV cannot encode a frame of shape {pixels.shape} as PNG")
        return bytes(data)

    def decode(self, data: bytes, width: int, height: int) -> Pixels:
        """The frame, shape (height, width, 3) uint8 RGB. Raises CodecError where bytes are broken or of another size.

        Only what `encode` writes is let through to the decoder: chunks IHDR, IDAT, IEND with right checksums. That
        leaves no room for an animation, a palette or a compressed text that unpacks to gigabytes.
        """
        check_declared(width, height)
        check_header(self.name, _read_header(data), width, height)
        _check_chunks(data)
        try:
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        except cv2.error as error:
            raise CodecError(f"PNG of {len(data)} bytes cannot be decoded: {error.err}") from error
        if pixels is None or pixels.shape != (height, width, 3):
            raise CodecError(f"PNG of {len(data)} bytes, {width}x{height} by its header, holds no such picture")
        return swap_red_and_blue(pixels)


def _read_header(data: bytes) -> tuple[int, int]:
    """(width, height) of the IHDR chunk, which comes first."""
    if data[:8] != _SIGNATURE or data[8:16] != b"\x00\x00\x00\x0dIHDR" or len(data) < 33:
        raise CodecError(f"not a PNG: {len(data)} bytes that begin {data[:16]!r}; expected a signature and IHDR")
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    if (depth, colour) != _EIGHT_BIT_RGB:
        raise CodecError(f"PNG of {depth} bits, colour type {colour}; expected 8 bits, colour type 2 (RGB)")
    return width, height


def _check_chunks(data: bytes) -> None:
    at = 8
    kind = b""
    while kind != b"IEND":
        if len(data) - at < 12:
            raise CodecError(f"PNG is cut off: {len(data)} bytes without IEND")
        (length,) = struct.unpack_from(">I", data, at)
        kind = data[at + 4 : at + 8]
        if kind not in (b"IDAT", b"IEND") and (kind, at) != (b"IHDR", 8):
            raise CodecError(f"PNG has a chunk {kind!r}; expected IHDR, IDAT and IEND only")
        if length > len(data) - at - 12:
            raise CodecError(f"PNG is cut off: chunk {kind!r} of {length} bytes, {len(data) - at - 12} are there")
        (checksum,) = struct.unpack_from(">I", data, at + 8 + length)
        if zlib.crc32(data[at + 4 : at + 8 + length]) != checksum:
            raise CodecError(f"PNG is damaged: chunk {kind!r} at byte {at} has a wrong checksum")
        at += 12 + length
    if at != len(data):
        raise CodecError(f"PNG has {len(data) - at} bytes after its end")
