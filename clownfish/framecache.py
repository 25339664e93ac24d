"""FrameCache: encoded frames that the router keeps for windows that share them (DESIGN §7). Layer 0.

Windows overlap, and a frame that the cloud has is not sent again; so the router holds each session's newest frames,
bounded in bytes over all sessions. What is not here any more is asked for, never guessed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from clownfish.messages import StreamKey
from clownfish.protocol import FrameData

OVERHEAD_BYTES = 512
"""What keeping a frame costs beside its data: otherwise a peer's empty frames would cost nothing and fill memory."""

_Place = tuple[bytes, StreamKey]


class FrameCache:
    """`capacity_bytes` bounds what is kept: data, and OVERHEAD_BYTES for each frame. `frames_per_stream` bounds the
    frames of one stream of one session."""

    def __init__(self, capacity_bytes: int, frames_per_stream: int = 64) -> None:
        self.capacity_bytes = capacity_bytes
        self.frames_per_stream = frames_per_stream
        self.size_bytes = 0
        self.evicted = 0
        """Frames that left to make room."""
        self._streams: OrderedDict[_Place, OrderedDict[int, FrameData]] = OrderedDict()

    def put(self, session: bytes, frame: FrameData) -> None:
        """Keep a frame; the least recently used stream pays for room."""
        place = (session, StreamKey(frame.stream, frame.epoch))
        frames = self._streams.setdefault(place, OrderedDict())
        self._streams.move_to_end(place)
        old = frames.pop(frame.n, None)
        self.size_bytes += _cost(frame) - (_cost(old) if old else 0)
        frames[frame.n] = frame
        while len(frames) > self.frames_per_stream:
            self._evict(place)
        while self.size_bytes > self.capacity_bytes and self._streams:
            self._evict(next(iter(self._streams)))

    def get(self, session: bytes, key: StreamKey, frames: Sequence[int]) -> tuple[list[FrameData], tuple[int, ...]]:
        """The frames that are here, in the order asked for; and the numbers of those that are missing."""
        here = self._streams.get((session, key), OrderedDict())
        return [here[n] for n in frames if n in here], tuple(n for n in frames if n not in here)

    def forget(self, session: bytes) -> None:
        """The session is over."""
        for place in [place for place in self._streams if place[0] == session]:
            self.size_bytes -= sum(map(_cost, self._streams.pop(place).values()))

    def _evict(self, place: _Place) -> None:
        frames = self._streams[place]
        _, frame = frames.popitem(last=False)
        self.size_bytes -= _cost(frame)
        self.evicted += 1
        if not frames:
            del self._streams[place]


def _cost(frame: FrameData) -> int:
    return len(frame.data) + OVERHEAD_BYTES
