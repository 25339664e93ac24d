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

from clownfish.messages import StreamKey
from clownfish.protocol import MAX_PICTURES, MAX_RUN, FrameData

OVERHEAD_BYTES = 512
"""What keeping a frame costs beside its data: otherwise a peer's empty frames would cost nothing and fill memory."""

_Place = tuple[bytes, StreamKey]


@dataclass(frozen=True, slots=True)
class Found:
    """What is here of the frames asked for."""

    pictures: tuple[FrameData, ...]
    """Run by run, each from its place 0 as far as it is needed; runs in the order in which they are needed."""
    frames: tuple[int, ...]
    """The frames that are here, in the order asked for: which of `pictures` each is."""
    missing: tuple[int, ...]
    """The numbers of those that are not here."""


@dataclass(slots=True)
class _Stream:
    runs: OrderedDict[int, list[FrameData]] = field(default_factory=OrderedDict)  # the first begun first; none is empty
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

    def put(self, session: bytes, frame: FrameData) -> None:
        """Keep a frame, if it begins a run or continues one that is here; the least recently used stream pays for
        room."""
        place = (session, StreamKey(frame.stream, frame.epoch))
        stream = self._streams.get(place)
        run = stream.runs.get(frame.run, []) if stream else []
        if frame.place == 0:
            stream = stream or self._streams.setdefault(place, _Stream())
            self._remove(stream, frame.run)
            run = stream.runs[frame.run] = []
        elif stream is None or not _continues(run, frame):
            self.orphans += 1
            return
        self._streams.move_to_end(place)
        run.append(frame)
        stream.seen_in[frame.n] = (frame.run, frame.place)
        stream.pictures += 1
        self.size_bytes += _cost(frame)
        while stream.pictures > self.frames_per_stream:
            self._evict(place)
        while self.size_bytes > self.capacity_bytes and self._streams:
            self._evict(next(iter(self._streams)))

    def get(self, session: bytes, key: StreamKey, frames: Sequence[int]) -> Found:
        """The frames that are here, with all that they are coded after; and the numbers of those that are missing.

        Where that would be more than MAX_PICTURES, frames coded after others count as missing: sent anew, they need
        less before them.
        """
        stream = self._streams.get((session, key), _Stream())
        places = {n: stream.seen_in[n] for n in frames if n in stream.seen_in}
        if sum(_needed(places).values()) > MAX_PICTURES:
            places = {n: at for n, at in places.items() if at[1] == 0}
        begin: dict[int, int] = {}
        pictures: list[FrameData] = []
        for run, count in _needed(places).items():
            begin[run] = len(pictures)
            pictures += stream.runs[run][:count]
        here = [places[n] for n in frames if n in places]
        return Found(
            tuple(pictures),
            tuple(begin[run] + place for run, place in here),
            tuple(n for n in frames if n not in places),
        )

    def forget(self, session: bytes) -> None:
        """The session is over."""
        for place in [place for place in self._streams if place[0] == session]:
            self.size_bytes -= sum(_cost(frame) for run in self._streams.pop(place).runs.values() for frame in run)

    def _evict(self, place: _Place) -> None:
        stream = self._streams[place]
        self.evicted += self._remove(stream, next(iter(stream.runs)))
        if not stream.runs:
            del self._streams[place]

    def _remove(self, stream: _Stream, run: int) -> int:
        """Take a run out, if it is here; returns its pictures."""
        frames = stream.runs.pop(run, [])
        for frame in frames:
            self.size_bytes -= _cost(frame)
            if stream.seen_in.get(frame.n) == (run, frame.place):
                del stream.seen_in[frame.n]
        stream.pictures -= len(frames)
        return len(frames)


def _continues(run: list[FrameData], frame: FrameData) -> bool:
    kind = (frame.codec, frame.width, frame.height)
    return (
        0 < frame.place == len(run) < MAX_RUN
        and (run[0].codec, run[0].width, run[0].height) == kind
    )  # fmt: skip


def _needed(places: dict[int, tuple[int, int]]) -> dict[int, int]:
    """Run → how many of its pictures these places need."""
    needed: dict[int, int] = {}
    for run, place in places.values():
        needed[run] = max(needed.get(run, 0), place + 1)
    return needed


def _cost(frame: FrameData) -> int:
    return len(frame.data) + OVERHEAD_BYTES
