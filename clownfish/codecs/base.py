"""The contracts of the codecs: of single frames, and of runs of frames.

Most are a `Codec`: a frame is coded by itself. A `RunCodec` codes a frame as what is new against those before it; its
unit is a run (`protocol`), which begins with a picture that stands alone. Either is stateless but for the one encoder
of a stream that a RunCodec opens: whoever decodes gets all that is needed. `runs` makes one of both for the services.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol, TypeAlias

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


class Coded(NamedTuple):
    """One frame's picture."""

    data: bytes
    begins: bool
    """It stands alone, and so do all after it from those before it; unasked, too, where an encoder keeps a rhythm of
    its own."""


class RunEncoder(Protocol):
    """Codes the frames of one stream, all of one size, one after the other."""

    def encode(self, pixels: Pixels, begin: bool) -> Coded:
        """The picture of one frame, (height, width, 3) uint8 RGB. `begin`: a picture that begins is asked for. Raises
        CodecError where the frame cannot be coded so; the next picture then begins."""


class RunCodec(Protocol):
    """Encodes frames after others. Its options too are keyword arguments of the constructor."""

    name: str
    group: int
    """The longest run, in pictures: 1 to MAX_RUN. Longer saves bytes, and costs decoding of what leads to a frame."""

    def encoder(self, width: int, height: int) -> RunEncoder:
        """An encoder for frames of that size."""

    def decode_run(
        self, pictures: Sequence[bytes], width: int, height: int, wanted: Collection[int]
    ) -> dict[int, Pixels]:
        """Decodes a run from its beginning; returns the `wanted` of its pictures, by place, as (height, width, 3)
        uint8 RGB.

        No larger frame than declared is ever allocated. Raises CodecError where any picture is broken.
        """


AnyCodec: TypeAlias = Codec | RunCodec
