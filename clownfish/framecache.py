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
from typing import TypeAlias, TypeGuard

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


_Run: TypeAlias = tuple[str, int, int, tuple[int, ...], tuple[bytes, ...]]
"""Codec, width, height; each picture's frame number and data. Tuples alone, which the garbage collector leaves out once
it has seen them: a hundred thousand frames kept as objects stopped the router for a tenth of a second at a time."""


@dataclass(slots=True)
class _Stream:
    runs: dict[int, _Run] = field(default_factory=dict)  # the first begun first; none is empty
    seen_in: dict[int, tuple[int, int]] = field(default_factory=dict)  # frame number → its newest (run, place)
    pictures: int = 0


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
                if run in stream.runs:
                    self._remove(stream, run)
                stream.runs[run] = (*kind, (n,), (data,))
            elif stream is not None and _continues(before := stream.runs.get(run), kind, at):
                stream.runs[run] = (*kind, (*before[3], n), (*before[4], data))
            else:
                self.orphans += 1
                continue
            stream.seen_in[n] = (run, at)
            stream.pictures += 1
            self.size_bytes += len(data) + OVERHEAD_BYTES
        if stream is None:
            return
        self._streams.move_to_end(place)
        while stream.pictures > self.frames_per_stream:
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
        places = {n: seen_in[n] for n in frames if n in seen_in}
        needed = _needed(places)
        if sum(needed.values()) > MAX_PICTURES:
            places = {n: at for n, at in places.items() if at[1] == 0}
            needed = _needed(places)
        begin: dict[int, int] = {}
        numbers: list[int] = []
        codecs: list[str] = []
        ats: list[int] = []
        data: list[bytes] = []
        size = (0, 0)
        for run, count in needed.items():
            codec, width, height, its_numbers, its_data = stream.runs[run]
            size = size if begin else (width, height)
            begin[run] = len(data)
            if count == 1:  # most are pictures that stand alone
                numbers.append(its_numbers[0])
                codecs.append(codec)
                ats.append(0)
                data.append(its_data[0])
                continue
            numbers += its_numbers[:count]
            codecs += [codec] * count
            ats += range(count)
            data += its_data[:count]
        return Found(
            tuple([begin[places[n][0]] + places[n][1] for n in frames if n in places]),
            tuple([n for n in frames if n not in places]),
            tuple(numbers),
            tuple(codecs),
            tuple(ats),
            tuple(data),
            *size,
        )

    def forget(self, session: bytes) -> None:
        """The session is over."""
        for place in [place for place in self._streams if place[0] == session]:
            self.size_bytes -= sum(_cost(run) for run in self._streams.pop(place).runs.values())

    def _evict(self, place: _Place) -> None:
        stream = self._streams[place]
        self.evicted += self._remove(stream, next(iter(stream.runs)))
        if not stream.runs:
            del self._streams[place]

    def _remove(self, stream: _Stream, number: int) -> int:
        """Take a run out, if it is here; returns its pictures."""
        run = stream.runs.pop(number, None)
        if run is None:
            return 0
        for place, n in enumerate(run[3]):
            if stream.seen_in.get(n) == (number, place):
                del stream.seen_in[n]
        self.size_bytes -= _cost(run)
        stream.pictures -= len(run[3])
        return len(run[3])


def _continues(run: _Run | None, kind: tuple[str, int, int], place: int) -> TypeGuard[_Run]:
    return run is not None and run[:3] == kind and len(run[3]) == place < MAX_RUN


def _needed(places: dict[int, tuple[int, int]]) -> dict[int, int]:
    """Run → how many of its pictures these places need."""
    needed: dict[int, int] = {}
    for run, place in places.values():
        if place >= needed.get(run, 0):
            needed[run] = place + 1
    return needed


def _cost(run: _Run) -> int:
    return sum(map(len, run[4])) + OVERHEAD_BYTES * len(run[4])
