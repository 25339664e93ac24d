"""FrameCache: encoded frames that the router keeps for windows that share them (DESIGN §7). Layer 0.

Windows overlap, and a frame that the cloud has is not sent again; so the router holds each session's newest frames,
bounded in bytes over all sessions. What is not here any more is asked for, never guessed.

Frames are kept in runs (`protocol`): a picture is of use only with all before it in its run, so a run grows at its end
alone and leaves whole. A frame that comes again is seen in its newest run; those coded after its older picture keep
that one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from clownfish.messages import StreamKey
from clownfish.protocol import MAX_PICTURES, MAX_RUN, Frames

OVERHEAD_BYTES = 512
"""What keeping a frame costs beside its data: otherwise a peer's empty frames would cost nothing and fill memory."""

_Place = tuple[bytes, StreamKey]


@dataclass(frozen=True, slots=True)
class Found:
    """What is here of the frames asked for: pictures, run by run, each run from its place 0 as far as it is needed."""

    frames: tuple[int, ...]
    """The frames that are here, in the order asked for: which of the pictures each is."""
    missing: tuple[int, ...]
    """The numbers of those that are not here."""
    numbers: tuple[int, ...] = ()
    """Of each picture its frame's number, and likewise below."""
    codecs: tuple[str, ...] = ()
    places: tuple[int, ...] = ()
    data: tuple[bytes, ...] = ()
    width: int = 0
    height: int = 0


_Kind: TypeAlias = tuple[str, int, int]
"""Codec, width, height."""


@dataclass(slots=True)
class _Stream:
    """A picture's address is run · MAX_RUN + place. Dictionaries of numbers and bytes, which the garbage collector
    never looks at: frames kept as objects, or as tuples, stopped the router for tens of milliseconds at a time."""

    lengths: dict[int, int] = field(default_factory=dict)  # run → its pictures; the first begun first; none is empty
    kinds: dict[int, _Kind] = field(default_factory=dict)  # by run
    numbers: dict[int, int] = field(default_factory=dict)  # address → frame number
    data: dict[int, bytes] = field(default_factory=dict)  # address → the encoded picture
    seen_in: dict[int, int] = field(default_factory=dict)  # frame number → address of its newest picture
    kind: _Kind = ("", 0, 0)  # the newest run's: all runs of one kind share one tuple


class FrameCache:
    """`capacity_bytes` bounds what is kept: data, and OVERHEAD_BYTES for each frame. `frames_per_stream` bounds the
    pictures of one stream of one session; with long runs it has to hold some of them."""

    def __init__(self, capacity_bytes: int, frames_per_stream: int = 3 * MAX_RUN) -> None:
        self.capacity_bytes = capacity_bytes
        self.frames_per_stream = frames_per_stream
        self.size_bytes = 0
        self.evicted = 0
        """Frames that left to make room."""
        self.orphans = 0
        """Frames not kept: what they are coded after is not here."""
        self._streams: OrderedDict[_Place, _Stream] = OrderedDict()

    def put(self, session: bytes, frames: Frames) -> None:
        """Keep frames, each if it begins a run or continues one that is here; the least recently used stream pays for
        room."""
        place = (session, StreamKey(frames.stream, frames.epoch))
        stream = self._streams.get(place)
        kind = (frames.codec, frames.width, frames.height)
        for n, run, at, data in zip(frames.numbers, frames.runs, frames.places, frames.data, strict=True):
            if at == 0:
                if stream is None:
                    stream = self._streams[place] = _Stream()
                if run in stream.lengths:
                    self._remove(stream, run)
                if stream.kind != kind:
                    stream.kind = kind
                stream.kinds[run] = stream.kind
            elif stream is None or stream.lengths.get(run) != at or at >= MAX_RUN or stream.kinds[run] != kind:
                self.orphans += 1
                continue
            stream.lengths[run] = at + 1
            address = run * MAX_RUN + at
            stream.numbers[address] = n
            stream.data[address] = data
            stream.seen_in[n] = address
            self.size_bytes += len(data) + OVERHEAD_BYTES
        if stream is None:
            return
        self._streams.move_to_end(place)
        while len(stream.data) > self.frames_per_stream:
            self._evict(place)
        while self.size_bytes > self.capacity_bytes and self._streams:
            self._evict(next(iter(self._streams)))

    def get(self, session: bytes, key: StreamKey, frames: Sequence[int]) -> Found:
        """The frames that are here, with all that they are coded after; and the numbers of those that are missing.

        Where that would be more than MAX_PICTURES, frames coded after others count as missing: sent anew, they need
        less before them.
        """
        stream = self._streams.get((session, key))
        if stream is None:
            return Found((), tuple(frames))
        seen_in = stream.seen_in
        places = {n: divmod(seen_in[n], MAX_RUN) for n in frames if n in seen_in}
        needed = _needed(places)
        if sum(needed.values()) > MAX_PICTURES:
            places = {n: at for n, at in places.items() if at[1] == 0}
            needed = _needed(places)
        begin: dict[int, int] = {}
        addresses: list[int] = []
        for run, count in needed.items():
            begin[run] = len(addresses)
            addresses += range(run * MAX_RUN, run * MAX_RUN + count)
        first = next(iter(needed), None)
        return Found(
            tuple([begin[places[n][0]] + places[n][1] for n in frames if n in places]),
            tuple([n for n in frames if n not in places]),
            tuple([stream.numbers[address] for address in addresses]),
            tuple([stream.kinds[run][0] for run, count in needed.items() for _ in range(count)]),
            tuple([address % MAX_RUN for address in addresses]),
            tuple([stream.data[address] for address in addresses]),
            *(stream.kinds[first][1:] if first is not None else (0, 0)),
        )

    def forget(self, session: bytes) -> None:
        """The session is over."""
        for place in [place for place in self._streams if place[0] == session]:
            stream = self._streams.pop(place)
            self.size_bytes -= sum(map(len, stream.data.values())) + OVERHEAD_BYTES * len(stream.data)

    def _evict(self, place: _Place) -> None:
        stream = self._streams[place]
        self.evicted += self._remove(stream, next(iter(stream.lengths)))
        if not stream.lengths:
            del self._streams[place]

    def _remove(self, stream: _Stream, run: int) -> int:
        """Take a run out; returns its pictures."""
        count = stream.lengths.pop(run)
        del stream.kinds[run]
        for address in range(run * MAX_RUN, run * MAX_RUN + count):
            n = stream.numbers.pop(address)
            if stream.seen_in.get(n) == address:
                del stream.seen_in[n]
            self.size_bytes -= len(stream.data.pop(address)) + OVERHEAD_BYTES
        return count


def _needed(places: dict[int, tuple[int, int]]) -> dict[int, int]:
    """Run → how many of its pictures these places need."""
    needed: dict[int, int] = {}
    for run, place in places.values():
        if place >= needed.get(run, 0):
            needed[run] = place + 1
    return needed
