"""How a message becomes bytes: a msgpack header and raw parts, every length bounded before it is allocated (layer 1).

A message is a ZeroMQ multipart message. Part 0 is `b"CF"`, the version, the kind, and a msgpack array of the fields in
the order of the dataclass. Pixels, probability vectors and encoded frames travel as raw parts behind it, in order;
the header holds their dtype and shape. So a frame is never copied into a header. Nothing here can run code of the
peer's: no pickle, no extension types.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any

import msgpack
import numpy as np

from clownfish import messages, protocol
from clownfish.errors import WireError
from clownfish.fields import INT64 as _INT64
from clownfish.fields import MAX_FRAME_BYTES, MAX_TABLE, Part
from clownfish.fields import Field as _Field
from clownfish.fields import as_it_is as _as_it_is
from clownfish.fields import blob as _blob
from clownfish.fields import blobs as _blobs
from clownfish.fields import counts as _counts
from clownfish.fields import is_int as _is_int
from clownfish.fields import next_part as _next_part
from clownfish.fields import plain as _plain
from clownfish.fields import table as _table
from clownfish.fields import tuple_of as _tuple_of

MAGIC = b"CF"
VERSION = 3

MAX_HEADER_BYTES = 256 * 1024
MAX_TEXT_BYTES = 4096
MAX_LIST_BYTES = 200_000
"""All streams of a box, as JSON."""
MAX_NAME_BYTES = 256
MAX_CLASSES = 4096
MAX_JOBS = 1024
"""That one worker may hold."""
MAX_FEATURES = 65536
MAX_SIDE = 8192
MAX_FRAMES = protocol.MAX_PICTURES
"""Frames in one window."""
MAX_WINDOW_BYTES = 256 * 1024 * 1024
"""All raw frames of one window."""
MAX_PARTS = MAX_FRAMES + 1
MAX_NOTED = 64
"""Messages in one Note."""


def _pack_pixels(value: Any, parts: list[Part]) -> Any:
    pixels = np.ascontiguousarray(value)
    parts.append(pixels.data.cast("B"))
    return [pixels.shape[0], pixels.shape[1]]


def _unpack_pixels(value: Any, parts: Iterator[Part]) -> Any:
    if not (isinstance(value, list) and len(value) == 2 and all(_is_int(v) and 0 < v <= MAX_SIDE for v in value)):
        raise WireError(f"height and width of 1 to {MAX_SIDE} expected, got {str(value)[:80]}")
    height, width = value
    if height * width * 3 > MAX_FRAME_BYTES:
        raise WireError(f"a frame of {height}×{width} is larger than {MAX_FRAME_BYTES} bytes")
    return np.frombuffer(_next_part(parts, height * width * 3), np.uint8).reshape(height, width, 3)


def _pack_frames(value: Any, parts: list[Part]) -> Any:
    # One part: a copy of 1 MB costs 0.1 ms, sixteen parts instead of one cost ZeroMQ and Python half a millisecond.
    frames = np.stack(value)
    parts.append(frames.data.cast("B"))
    return list(frames.shape[:3])


def _unpack_frames(value: Any, parts: Iterator[Part]) -> Any:
    if not (isinstance(value, list) and len(value) == 3 and all(_is_int(v) and 0 < v <= MAX_SIDE for v in value)):
        raise WireError(f"count, height and width of frames expected, got {str(value)[:80]}")
    count, height, width = value
    if count > MAX_FRAMES or count * height * width * 3 > MAX_WINDOW_BYTES:
        raise WireError(
            f"{count} frames of {height}×{width}; at most {MAX_FRAMES}, and {MAX_WINDOW_BYTES} bytes, are read"
        )
    part = _next_part(parts, count * height * width * 3)
    return tuple(np.frombuffer(part, np.uint8).reshape(count, height, width, 3))


_VECTOR_TYPES: dict[str, np.dtype[Any]] = {"f4": np.dtype("<f4"), "f8": np.dtype("<f8")}


def _pack_vector(value: Any, parts: list[Part]) -> Any:
    kind = "f4" if value.dtype == np.float32 else "f8"
    vector = np.ascontiguousarray(value, dtype=_VECTOR_TYPES[kind])
    parts.append(vector.tobytes())  # small: a copy costs less than keeping the array alive in ZeroMQ's thread
    return [kind, vector.size]


def _vector(limit: int) -> _Field:
    def unpack(value: Any, parts: Iterator[Part]) -> Any:
        if not (isinstance(value, list) and len(value) == 2 and _is_int(value[1]) and 0 <= value[1] <= limit):
            raise WireError(f"a vector of at most {limit} entries expected, got {str(value)[:80]}")
        dtype = _VECTOR_TYPES.get(value[0]) if isinstance(value[0], str) else None
        if dtype is None:
            raise WireError(f"a vector of f4 or f8 expected, got {str(value[0])[:20]!r}")
        vector = np.frombuffer(_next_part(parts, value[1] * dtype.itemsize), dtype)
        if not np.isfinite(vector).all():
            raise WireError("a vector of finite numbers expected")
        return vector

    return _Field(_pack_vector, unpack)


_NAME = _plain(lambda v: isinstance(v, str) and len(v.encode()) <= MAX_NAME_BYTES, "a name")
_TEXT = _plain(lambda v: isinstance(v, str) and len(v.encode()) <= MAX_TEXT_BYTES, "a text")
_LIST = _plain(lambda v: isinstance(v, str) and len(v.encode()) <= MAX_LIST_BYTES, "a text")
_COUNT = _plain(lambda v: _is_int(v) and 0 <= v < _INT64, "a count")
_BOOL = _plain(lambda v: isinstance(v, bool), "true or false")
_REAL = _plain(lambda v: isinstance(v, float) and math.isfinite(v), "a number")
_UNIT_OR_NONE = _plain(lambda v: v is None or (isinstance(v, float) and 0 <= v <= 1), "a number of 0 to 1, or none")
_LAG = _plain(lambda v: v is None or (_is_int(v) and 0 <= v < _INT64), "a lag, or none")
_PIXELS = _Field(_pack_pixels, _unpack_pixels)
_FRAMES = _Field(_pack_frames, _unpack_frames)
_VECTOR = _vector(MAX_CLASSES)
_BLOB = _blob()
_BLOBS = _blobs(MAX_FRAMES)
_NUMBERS = _counts(MAX_FRAMES)
_SIDE = _plain(lambda v: _is_int(v) and 0 < v <= MAX_SIDE, "a side in pixels")
_KEY = lambda k: isinstance(k, str) and len(k) <= MAX_NAME_BYTES  # noqa: E731 - a predicate like its neighbours


def _one_of(*allowed: str) -> _Field:
    return _plain(lambda v: v in allowed, "one of " + ", ".join(allowed))


def _pack_noted(message: Any, parts: list[Part]) -> Any:
    return [KINDS.index(type(message)), *_pack_fields(message, parts)]


def _unpack_noted(value: Any, parts: Iterator[Part]) -> Any:
    if not (isinstance(value, list) and value and _is_int(value[0]) and 0 <= value[0] < len(KINDS)):
        raise WireError(f"a noted message expected, got {str(value)[:80]!r}")
    kind = KINDS[value[0]]
    if kind not in _NOTED:
        raise WireError(f"{kind.__name__} is not noted")
    return _unpack_fields(kind, value[1:], parts)


def _unpack_histograms(value: Any, parts: Iterator[Part]) -> Any:
    if not isinstance(value, dict) or len(value) > MAX_TABLE:
        raise WireError("a table of histograms expected")
    buckets = _table(_is_int, _is_int, int)
    return {_NAME.unpack(name, parts): buckets.unpack(table, parts) for name, table in value.items()}


# What each field of each message is, by name: one meaning a name, the same in every message.
_FIELDS: dict[str, _Field] = {
    **dict.fromkeys(("stream", "edge", "worker", "model", "service", "label"), _NAME),
    **dict.fromkeys(("reason", "text", "error"), _TEXT),
    **dict.fromkeys(("epoch", "n", "t", "first", "ping", "capture_ns", "model_ns", "revision", "sequence"), _COUNT),
    **dict.fromkeys(("run", "place"), _COUNT),
    **dict.fromkeys(("pid", "process"), _COUNT),
    **dict.fromkeys(("windows_total", "bytes_total", "lease_ms", "deadline_ms", "job", "done", "credit"), _COUNT),
    **dict.fromkeys(("width", "height"), _SIDE),
    **dict.fromkeys(("live", "final", "cut", "well"), _BOOL),
    **dict.fromkeys(("confidence", "alpha", "beta", "model_ms", "at_s", "delay_ms"), _REAL),
    **dict.fromkeys(("numbers", "runs", "places"), _NUMBERS),
    "what": _NAME,
    **dict.fromkeys(
        ("value", "rate_mbit"),
        _plain(lambda v: v is None or (isinstance(v, float) and math.isfinite(v)), "a number, or none"),
    ),
    "feature": _vector(MAX_FEATURES),
    "messages": _tuple_of(_Field(_pack_noted, _unpack_noted), MAX_NOTED),
    "rho": _UNIT_OR_NONE,
    "threshold": _plain(lambda v: isinstance(v, float) and 0 < v <= 1, "a share above 0"),
    **dict.fromkeys(("patience", "follow", "n_w"), _COUNT),
    "lag": _LAG,
    "p": _VECTOR,
    "pixels": _PIXELS,
    "classes": _tuple_of(_NAME, MAX_CLASSES),
    "source": _one_of("local", "fused", "remote"),
    "state": _one_of("starting", "ready", "draining", "failed", "ended"),
    "counters": _table(_is_int, _KEY, int),
    "gauges": _table(lambda v: isinstance(v, (int, float)), _KEY, float),
    "histograms": _Field(_as_it_is, _unpack_histograms),
}

# The few names that mean another thing in one message.
_SPECIAL: dict[tuple[type, str], _Field] = {
    (protocol.Goodbye, "keeps"): _tuple_of(_COUNT, MAX_JOBS),
    (messages.Window, "frames"): _FRAMES,
    (messages.End, "frames"): _COUNT,
    (messages.Command, "text"): _LIST,
    (messages.Reply, "text"): _LIST,
    (protocol.WindowRequest, "frames"): _NUMBERS,
    (protocol.Missing, "frames"): _NUMBERS,
    (protocol.Frames, "codec"): _NAME,
    (protocol.Frames, "data"): _BLOBS,
    (protocol.FrameData, "codec"): _NAME,
    (protocol.FrameData, "data"): _BLOB,
    (protocol.Job, "codec"): _tuple_of(_NAME, MAX_FRAMES),
    (protocol.Job, "frames"): _NUMBERS,
    (protocol.Job, "data"): _BLOBS,
}

# The kind on the wire is the place in this list: append, never reorder.
KINDS: tuple[type, ...] = (
    messages.Frame,
    messages.Window,
    messages.End,
    messages.LocalResult,
    messages.Rho,
    messages.RemoteResult,
    messages.FusedResult,
    messages.Status,
    protocol.Hello,
    protocol.Ping,
    protocol.Credit,
    protocol.Refused,
    protocol.FrameData,
    protocol.WindowRequest,
    protocol.Missing,
    protocol.Answer,
    protocol.Dropped,
    protocol.Ready,
    protocol.Progress,
    protocol.Job,
    protocol.Done,
    protocol.Goodbye,
    protocol.Pulse,
    protocol.Again,
    messages.Feature,
    messages.Event,
    messages.Note,
    protocol.Frames,
    messages.LinkShape,
    messages.Pace,
    messages.Command,
    messages.Reply,
)

_NOTED = (
    messages.LocalResult,
    messages.RemoteResult,
    messages.FusedResult,
    messages.End,
    messages.Feature,
    messages.Event,
)
"""What a Note may hold."""

_LAYOUT: dict[type, list[tuple[str, _Field]]] = {
    kind: [(f.name, _SPECIAL.get((kind, f.name)) or _FIELDS[f.name]) for f in fields(kind)] for kind in KINDS
}


def _values_of(names: list[str]) -> Callable[[Any], Iterable[Any]]:
    get = attrgetter(*names)
    return get if len(names) > 1 else lambda message: (get(message),)


_VALUES = {kind: _values_of([name for name, _ in layout]) for kind, layout in _LAYOUT.items()}
"""The fields of a message, in order."""
_PACKS = {
    kind: [(place, field.pack) for place, (_, field) in enumerate(layout) if field.pack is not _as_it_is]
    for kind, layout in _LAYOUT.items()
}
"""Those that msgpack does not take as they are."""
_PREFIX = {kind: MAGIC + bytes((VERSION, number)) for number, kind in enumerate(KINDS)}


def encode(message: Any) -> list[Part]:
    """The message's parts, header first. Arrays are not copied: their memory must stay as it is until sent."""
    kind = type(message)
    parts: list[Part] = [b""]
    parts[0] = _PREFIX[kind] + msgpack.packb(_pack_fields(message, parts))
    return parts


def _pack_fields(message: Any, parts: list[Part]) -> list[Any]:
    kind = type(message)
    values = list(_VALUES[kind](message))
    for place, pack in _PACKS[kind]:
        values[place] = pack(values[place], parts)
    return values


def _unpack_fields(kind: type, header: Any, rest: Iterator[Part]) -> Any:
    layout = _LAYOUT[kind]
    if not isinstance(header, list) or len(header) != len(layout):
        raise WireError(f"{kind.__name__}: header is not a list of {len(layout)} fields")
    values: list[Any] = []
    try:
        for (_, field), value in zip(layout, header, strict=True):
            values.append(field.unpack(value, rest))
    except (WireError, UnicodeEncodeError) as error:
        why = "not a text" if isinstance(error, UnicodeEncodeError) else error  # a lone surrogate
        raise WireError(f"{kind.__name__}.{layout[len(values)][0]}: {why}") from None
    try:
        return kind(*values)
    except ValueError as error:  # fields that do not go together
        raise WireError(f"{kind.__name__}: {error}") from None


def decode(parts: Sequence[Part], allowed: tuple[type, ...] = KINDS) -> Any:
    """The message of these parts. Arrays are read-only views of them.

    `allowed` is what the socket's owner expects; anything else, like anything malformed, raises WireError.
    """
    if not parts or len(parts) > MAX_PARTS:
        raise WireError(f"{len(parts)} parts; expected 1 to {MAX_PARTS}")
    head = bytes(parts[0][:4])
    if len(head) < 4 or head[:2] != MAGIC:
        raise WireError(f"not a Clownfish message: it starts with {head!r}, expected {MAGIC!r}")
    if head[2] != VERSION:
        raise WireError(f"message of version {head[2]}; this is version {VERSION}: run the same release on both sides")
    if head[3] >= len(KINDS):
        raise WireError(f"unknown kind of message {head[3]}")
    kind = KINDS[head[3]]
    if kind not in allowed:
        raise WireError(f"{kind.__name__} is not expected here")
    if len(parts[0]) > MAX_HEADER_BYTES:
        raise WireError(f"header of {len(parts[0])} bytes; at most {MAX_HEADER_BYTES} are read")
    try:
        header = msgpack.unpackb(memoryview(parts[0])[4:], strict_map_key=False)
    except (ValueError, TypeError, msgpack.UnpackException, RecursionError) as error:  # TypeError: a list as a key
        raise WireError(f"{kind.__name__}: header is not msgpack: {error}") from error
    rest = iter(parts[1:])
    message = _unpack_fields(kind, header, rest)
    if next(rest, None) is not None:
        raise WireError(f"{kind.__name__}: more parts than the header names")
    return message
