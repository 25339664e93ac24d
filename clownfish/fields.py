"""What fields of messages are on the wire: numbers, names, tables, and encoded frames in parts (layer 1).

`wire` says which field of which message is what. Every length is bounded before it is allocated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Any, NamedTuple, TypeAlias

from clownfish.errors import WireError

MAX_FRAME_BYTES = 64 * 1024 * 1024
"""One frame, raw or encoded."""
MAX_TABLE = 4096
"""Entries in one table of a Status."""
_SHARED_BYTES = 64 * 1024
"""Encoded frames share parts of this size: a copy of that much costs less than a part does."""

Part: TypeAlias = bytes | bytearray | memoryview

Pack = Callable[[Any, list[Part]], Any]
Unpack = Callable[[Any, Iterator[Part]], Any]


class Field(NamedTuple):
    """How one field becomes a header's value and parts, and what it was again. `unpack` raises WireError."""

    pack: Pack
    unpack: Unpack


def as_it_is(value: Any, parts: list[Part]) -> Any:
    """The `pack` of whatever msgpack can hold."""
    return value


def is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def plain(check: Callable[[Any], bool], expected: str) -> Field:
    def unpack(value: Any, parts: Iterator[Part]) -> Any:
        if not check(value):
            raise WireError(f"{expected} expected, got {str(value)[:80]!r}")
        return value

    return Field(as_it_is, unpack)


def tuple_of(item: Field, limit: int) -> Field:
    def pack(value: Any, parts: list[Part]) -> Any:
        return [item.pack(one, parts) for one in value]

    def unpack(value: Any, parts: Iterator[Part]) -> Any:
        if not isinstance(value, list) or len(value) > limit:
            raise WireError(f"a list of at most {limit} expected, got {str(value)[:80]!r}")
        return tuple([item.unpack(one, parts) for one in value])

    return Field(as_it_is if item.pack is as_it_is else pack, unpack)


def table(check_value: Callable[[Any], bool], key: Callable[[Any], bool], convert: Callable[[Any], Any]) -> Field:
    def unpack(value: Any, parts: Iterator[Part]) -> Any:
        if not isinstance(value, dict) or len(value) > MAX_TABLE:
            raise WireError(f"a table of at most {MAX_TABLE} entries expected")
        if not all(key(k) and check_value(v) for k, v in value.items()):
            raise WireError("a table of names and numbers expected")
        return {k: convert(v) for k, v in value.items()}

    return Field(as_it_is, unpack)


def next_part(parts: Iterator[Part], size: int | None = None) -> Part:
    try:
        part = next(parts)
    except StopIteration:
        raise WireError("the message ends before its last part") from None
    if size is not None and len(part) != size:
        raise WireError(f"a part of {size} bytes expected, got {len(part)}")
    return part


def _pack_blob(value: Any, parts: list[Part]) -> Any:
    parts.append(value)
    return len(value)


def _unpack_blob(value: Any, parts: Iterator[Part]) -> Any:
    if not is_int(value) or not 0 <= value <= MAX_FRAME_BYTES:
        raise WireError(f"an encoded frame of at most {MAX_FRAME_BYTES} bytes expected, got {str(value)[:40]}")
    return bytes(next_part(parts, value))


def blob() -> Field:
    """One encoded frame, a part of its own."""
    return Field(_pack_blob, _unpack_blob)


INT64 = 1 << 63


def counts(limit: int) -> Field:
    """Many numbers, checked together: one by one they would cost more than the rest of their message."""

    def unpack(value: Any, parts: Iterator[Part]) -> Any:
        if not isinstance(value, list) or len(value) > limit:
            raise WireError(f"a list of at most {limit} expected, got {str(value)[:80]!r}")
        if value and not (set(map(type, value)) == {int} and min(value) >= 0 and max(value) < INT64):
            raise WireError(f"a list of counts expected, got {str(value)[:80]!r}")
        return tuple(value)

    return Field(as_it_is, unpack)


def _pack_blobs(value: Any, parts: list[Part]) -> Any:
    """Small ones share a part; one of _SHARED_BYTES or more has its own, which nobody copies."""
    sizes: list[list[int]] = []
    shared: list[bytes] = []

    def close() -> None:
        if shared:
            parts.append(b"".join(shared))
            sizes.append(list(map(len, shared)))
            shared.clear()

    shared_bytes = 0
    if sum(map(len, value)) < _SHARED_BYTES:  # nearly always
        shared += value
        close()
        return sizes
    for one in value:
        if shared_bytes + len(one) > _SHARED_BYTES:
            close()
            shared_bytes = 0
        if len(one) >= _SHARED_BYTES:
            parts.append(one)
            sizes.append([len(one)])
        else:
            shared.append(one)
            shared_bytes += len(one)
    close()
    return sizes


def blobs(limit: int) -> Field:
    """Encoded frames. The header holds their sizes, part by part."""

    def unpack(value: Any, parts: Iterator[Part]) -> Any:
        if not isinstance(value, list) or len(value) > limit or not all(isinstance(sizes, list) for sizes in value):
            raise WireError(f"the sizes of at most {limit} parts expected, got {str(value)[:80]!r}")
        blobs: list[bytes] = []
        for sizes in value:
            if len(blobs) + len(sizes) > limit:
                raise WireError(f"more than {limit} encoded frames")
            numbers.unpack(sizes, parts)
            part = next_part(parts, sum(sizes))
            blobs += [bytes(part[end - size : end]) for size, end in zip(sizes, accumulate(sizes), strict=True)]
        return tuple(blobs)

    numbers = counts(limit)
    return Field(_pack_blobs, unpack)
