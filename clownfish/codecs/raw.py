"""The codec `raw`: the array's own bytes. For a fast link, and as the others' yardstick."""

from __future__ import annotations

import numpy as np

from clownfish.codecs.checks import check_declared, check_pixels
from clownfish.errors import CodecError
from clownfish.messages import Pixels


class Raw:
    """Rows from the top, three bytes (R, G, B) per pixel, nothing else. No options."""

    name = "raw"

    def encode(self, pixels: Pixels) -> bytes:
        """height·width·3 bytes of `pixels`, uint8 (height, width, 3) RGB. Raises CodecError for another array."""
        check_pixels(pixels)
        return pixels.tobytes()

    def decode(self, data: bytes, width: int, height: int) -> Pixels:
        """A read-only view of `data` as (height, width, 3). Raises CodecError where the length does not fit."""
        check_declared(width, height)
        expected = width * height * 3
        if len(data) != expected:
            raise CodecError(f"raw frame of {width}x{height} has {len(data)} bytes; expected {expected}")
        return np.frombuffer(data, np.uint8).reshape(height, width, 3)
