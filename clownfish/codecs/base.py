"""The contract of a frame codec."""

from __future__ import annotations

from typing import Protocol

from clownfish.messages import Pixels


class Codec(Protocol):
    """Encodes single frames. Options (quality, level) are keyword arguments of the constructor, each with a default."""

    name: str
    """The registry's name, carried beside the bytes so that the other side can decode them."""

    def encode(self, pixels: Pixels) -> bytes:
        """Bytes of one frame, shape (height, width, 3) uint8 RGB."""

    def decode(self, data: bytes, width: int, height: int) -> Pixels:
        """The frame of those bytes, shape (height, width, 3) uint8 RGB.

        The declared size is checked against the bytes' own header before pixels are allocated.
        Raises CodecError where the bytes are broken or of another size.
        """
