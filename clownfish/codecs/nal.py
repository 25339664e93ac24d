"""What an H.264 or HEVC picture is made of, looked at before a decoder sees it: NAL units of the expected kinds only.

Annex B: each unit follows 00 00 01. One picture is one slice, so a picture of few bytes cannot ask for hours of work,
and parameter sets stand before a beginning alone, so no picture changes the size of those after it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from clownfish.errors import CodecError

_START = re.compile(rb"\x00\x00\x01")


@dataclass(frozen=True, slots=True)
class Syntax:
    """Which units a codec has. `kind_of` reads a unit's kind off its first byte."""

    name: str
    kind_of: Callable[[int], int]
    parameters: tuple[int, ...]
    """One of each, in this order, before a picture that stands alone."""
    alone: frozenset[int]
    """Slices of a picture that stands alone."""
    after: frozenset[int]
    """Slices of one that is coded after others."""

    def stripped(self, data: bytes) -> bytes:
        """`data` without what no decoder needs: comments (SEI), delimiters."""
        needed = {*self.parameters, *self.alone, *self.after}
        return b"".join(b"\x00\x00\x01" + unit for unit in _units(data) if self.kind_of(unit[0]) in needed)

    def begins(self, data: bytes) -> bool:
        """Whether `data` is a picture that stands alone, going by its last unit."""
        return any(self.kind_of(unit[0]) in self.alone for unit in _units(data)[-1:] if unit)

    def check(self, data: bytes, begin: bool) -> None:
        """Raises CodecError unless `data` is one picture of that kind, as `stripped` leaves it."""
        kinds = [self.kind_of(unit[0]) if unit else None for unit in _units(data)]
        before, slices = kinds[:-1], kinds[-1:]
        right = self.alone if begin else self.after
        if data[:3] != b"\x00\x00\x01" or before != [*(self.parameters if begin else ())] or not right & set(slices):
            expected = "parameter sets and one slice" if begin else "one slice that follows others"
            raise CodecError(f"{self.name} picture of {len(data)} bytes has units {kinds[:20]}; expected {expected}")


def _units(data: bytes) -> list[bytes]:
    starts = [(found.start(), found.end()) for found in _START.finditer(data)]
    ends = [*(start for start, _ in starts[1:]), len(data)][: len(starts)]
    return [data[begin:end].rstrip(b"\x00") for (_, begin), end in zip(starts, ends, strict=True)]


H264 = Syntax("H.264", lambda byte: byte & 0x1F, (7, 8), frozenset({5}), frozenset({1}))
HEVC = Syntax("HEVC", lambda byte: byte >> 1 & 0x3F, (32, 33, 34), frozenset({19, 20}), frozenset({0, 1}))
