"""How a message becomes bytes: a msgpack header and raw parts, every length bounded before it is allocated (layer 1).

A message is a ZeroMQ multipart message. Part 0 is `b"CF"`, the version, the kind, and a msgpack array of the fields in
the order of the dataclass. Pixels, probability vectors and encoded frames travel as raw parts behind it, in order;
the header holds their dtype and shape. So a frame is never copied into a header. Nothing here can run code of the
peer's: no pickle, no extension types.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from typing import Any, NamedTuple, TypeAlias

import msgpack
import numpy as np

from clownfish import messages, protocol
from clownfish.errors import WireError

MAGIC = b"CF"
VERSION = 2

MAX_HEADER_BYTES = 256 * 1024
MAX_TEXT_BYTES = 4096
MAX_NAME_BYTES = 256
MAX_CLASSES = 4096
MAX_FEATURES = 65536
MAX_SIDE = 8192
MAX_FRAMES = protocol.MAX_PICTURES
"""Frames in one window."""
MAX_FRAME_BYTES = 64 * 1024 * 1024
"""One frame, raw or encoded."""
MAX_WINDOW_BYTES = 256 * 1024 * 1024
"""All raw frames of one window."""
MAX_PARTS = MAX_FRAMES + 1
MAX_TABLE = 4096
"""Entries in one table of a Status."""
MAX_NOTED = 64
"""Messages in one Note."""

Part: TypeAlias = bytes | bytearray | memoryview

Pack = Callable[[Any, list[Part]], Any]
Unpack = Callable[[Any, Iterator[Part]], Any]


class _Field(NamedTuple):
    pack: Pack
    unpack: Unpack


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _plain(check: Callable[[Any], bool], expected: str) -> _Field:
    def unpack(value: Any, parts: Iterator[Part]) -> Any:
        if not check(value):
            raise WireError(f"{expected} expected, got {str(value)[:80]!r}")
        return value

    return _Field(lambda value, parts: value, unpack)


def _tuple_of(item: _Field, limit: int) -> _Field:
    def pack(value: Any, parts: list[Part]) -> Any:
        return [item.pack(one, parts) for one in value]

    def unpack(value: Any, parts: Iterator[Part]) -> Any:
        if not isinstance(value, list) or len(value) > limit:
            raise WireError(f"a list of at most {limit} expected, got {str(value)[:80]!r}")
        return tuple(item.unpack(one, parts) for one in value)

    return _Field(pack, unpack)


def _table(check_value: Callable[[Any], bool], key: Callable[[Any], bool], convert: Callable[[Any], Any]) -> _Field:
    def unpack(value: Any, parts: Iterator[Part]) -> Any:
        if not isinstance(value, dict) or len(value) > MAX_TABLE:
            raise WireError(f"a table of at most {MAX_TABLE} entries expected")
        if not all(key(k) and check_value(v) for k, v in value.items()):
            raise WireError("a table of names and numbers expected")
        return {k: convert(v) for k, v in value.items()}

    return _Field(lambda value, parts: value, unpack)


def _next_part(parts: Iterator[Part], size: int | None = None) -> Part:
    try:
        part = next(parts)
    except StopIteration:
        raise WireError("the message ends before its last part") from None
    if size is not None and len(part) != size:
        raise WireError(f"a part of {size} bytes expected, got {len(part)}")
    return part


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


def _pack_blob(value: Any, parts: list[Part]) -> Any:
    parts.append(value)
    return len(value)


def _unpack_blob(value: Any, parts: Iterator[Part]) -> Any:
    if not _is_int(value) or not 0 <= value <= MAX_FRAME_BYTES:
        raise WireError(f"an encoded frame of at most {MAX_FRAME_BYTES} bytes expected, got {str(value)[:40]}")
    return bytes(_next_part(parts, value))


_INT64 = 1 << 63

_NAME = _plain(lambda v: isinstance(v, str) and len(v.encode()) <= MAX_NAME_BYTES, "a name")
_TEXT = _plain(lambda v: isinstance(v, str) and len(v.encode()) <= MAX_TEXT_BYTES, "a text")
_COUNT = _plain(lambda v: _is_int(v) and 0 <= v < _INT64, "a count")
_BOOL = _plain(lambda v: isinstance(v, bool), "true or false")
_REAL = _plain(lambda v: isinstance(v, float) and math.isfinite(v), "a number")
_UNIT_OR_NONE = _plain(lambda v: v is None or (isinstance(v, float) and 0 <= v <= 1), "a number of 0 to 1, or none")
_LAG = _plain(lambda v: v is None or (_is_int(v) and 0 <= v < _INT64), "a lag, or none")
_PIXELS = _Field(_pack_pixels, _unpack_pixels)
_FRAMES = _Field(_pack_frames, _unpack_frames)
_VECTOR = _vector(MAX_CLASSES)
_BLOB = _Field(_pack_blob, _unpack_blob)
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
    **dict.fromkeys(("epoch", "n", "t", "first", "capture_ns", "model_ns", "revision", "sequence"), _COUNT),
    **dict.fromkeys(("run", "place"), _COUNT),
    **dict.fromkeys(("pid", "process"), _COUNT),
    **dict.fromkeys(("windows_total", "bytes_total", "lease_ms", "deadline_ms", "job", "done", "credit"), _COUNT),
    **dict.fromkeys(("width", "height"), _plain(lambda v: _is_int(v) and 0 < v <= MAX_SIDE, "a side in pixels")),
    **dict.fromkeys(("live", "final"), _BOOL),
    **dict.fromkeys(("confidence", "alpha", "beta", "model_ms", "at_s"), _REAL),
    "what": _NAME,
    "value": _plain(lambda v: v is None or (isinstance(v, float) and math.isfinite(v)), "a number, or none"),
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
    "histograms": _Field(lambda value, parts: value, _unpack_histograms),
}

# The few names that mean another thing in one message.
_SPECIAL: dict[tuple[type, str], _Field] = {
    (messages.Window, "frames"): _FRAMES,
    (messages.End, "frames"): _COUNT,
    (protocol.WindowRequest, "frames"): _tuple_of(_COUNT, MAX_FRAMES),
    (protocol.Missing, "frames"): _tuple_of(_COUNT, MAX_FRAMES),
    (protocol.FrameData, "codec"): _NAME,
    (protocol.FrameData, "data"): _BLOB,
    (protocol.Job, "codec"): _tuple_of(_NAME, MAX_FRAMES),
    (protocol.Job, "places"): _tuple_of(_COUNT, MAX_FRAMES),
    (protocol.Job, "frames"): _tuple_of(_COUNT, MAX_FRAMES),
    (protocol.Job, "data"): _tuple_of(_BLOB, MAX_FRAMES),
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
    messages.Pace,
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
_PREFIX = {kind: MAGIC + bytes((VERSION, number)) for number, kind in enumerate(KINDS)}


def encode(message: Any) -> list[Part]:
    """The message's parts, header first. Arrays are not copied: their memory must stay as it is until sent."""
    kind = type(message)
    parts: list[Part] = [b""]
    parts[0] = _PREFIX[kind] + msgpack.packb(_pack_fields(message, parts))
    return parts


def _pack_fields(message: Any, parts: list[Part]) -> list[Any]:
    return [field.pack(getattr(message, name), parts) for name, field in _LAYOUT[type(message)]]


def _unpack_fields(kind: type, header: Any, rest: Iterator[Part]) -> Any:
    layout = _LAYOUT[kind]
    if not isinstance(header, list) or len(header) != len(layout):
        raise WireError(f"{kind.__name__}: header is not a list of {len(layout)} fields")
    values = {}
    for (name, field), value in zip(layout, header, strict=True):
        try:
            values[name] = field.unpack(value, rest)
        except WireError as error:
            raise WireError(f"{kind.__name__}.{name}: {error}") from None
        except UnicodeEncodeError:  # a lone surrogate
            raise WireError(f"{kind.__name__}.{name}: not a text") from None
    return kind(**values)


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
