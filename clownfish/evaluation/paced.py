"""The network `Paced`: a trace with adaptive sending before it: the live uplink's own `Pacer`, on the stream's clock.

The pacer is told what the live one is: windows offered, sent and answered, and twice a second the round trip of a small
message, which waits behind what is in the link's queue. It says the filter's pace, how frames are coded, and when there
is room. Frames that the router has are not sent again, unless they are of another size than the window's: then all are.
A remote answer is that for the picture of the rung in force when its window was sent.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Mapping

from clownfish.backlog import Send
from clownfish.evaluation.dump import Dump
from clownfish.evaluation.network import Link
from clownfish.evaluation.trace import Trace, TracedLink
from clownfish.gate import SendWhy
from clownfish.ladder import Rung, Way
from clownfish.messages import Pace, Vector, WindowKey
from clownfish.pacing import Pacer

PING_S = 0.5
_PING_BYTES = 100
UTC_S = 1_767_225_600.0
"""The calendar at the stream's beginning: 1 January 2026."""


class Paced:
    """`trace` with the pacer that `make` gives, a new one for each replay. `views`: stream → way."""

    def __init__(
        self,
        trace: Trace,
        make: Callable[[], Pacer],
        views: Mapping[str, Mapping[Way, Dump]],
        adaptive: bool = True,
        measured: bool = True,
    ) -> None:
        """`adaptive` False: the pacer's first rung is kept. `measured` False: windows go as credit allows, whatever
        stands in queues ([uplink] in_flight)."""
        self.trace, self.make, self.views, self.adaptive, self.measured = trace, make, views, adaptive, measured

    def open(self, dump: Dump) -> Link:
        return PacedLink(self, dump)


class PacedLink(TracedLink):
    """One replay's way over a `Paced`."""

    def __init__(self, paced: Paced, dump: Dump) -> None:
        super().__init__(paced.trace, dump)
        self._pacer = pacer = paced.make()
        self._adaptive, self._measured = paced.adaptive, paced.measured
        self._views = views = paced.views[dump.header.stream]
        self.ages: list[tuple[float, float]] = []
        """Of each window: seconds from when it was sent to when the router had all of it, and those that it would have
        taken had nothing been in its way."""
        self._bytes = {way: view.frame_bytes.tolist() for way, view in views.items()}
        self._place = {t: n for n, t in enumerate(dump.t.tolist())}
        self._pinged = self._room_at = -1.0
        self.seen: dict[int, Vector] = {}
        self._way: Way | None = None
        pacer.opened(0.0)
        self._turn_to(pacer.rung)

    def pace(self) -> Pace:
        return self._pacer.rung.pace

    def send(self, t: int, why: SendWhy) -> None:
        self._pacer.offered(self._captured(t))
        super().send(t, why)

    def _advance(self, until: float) -> None:
        while self._pinged + PING_S <= until:
            at = max(self._now, self._pinged + PING_S)
            super()._advance(at)
            self._ping(at)
        super()._advance(until)

    def _ping(self, at: float) -> None:
        self._pinged = at
        queue_s = self._carried(max(at, self._link_free), _PING_BYTES) - at
        if queue_s < 1.0:  # else it is not back before the next one
            rtt_s = 2 * self._delay(at) + queue_s
            self._pacer.meter.round_trip(rtt_s, at + rtt_s)
        self._choose()

    def _choose(self) -> None:
        if self._adaptive:
            self._turn_to(self._pacer.choose(self._now, UTC_S + self._now))

    def _turn_to(self, rung: Rung) -> None:
        if rung.way == self._way:
            return
        if self._way is not None and rung.way.scale != self._way.scale:
            self._known.clear()
        self._way = rung.way
        self._frame_bytes = self._bytes[rung.way]

    def _came(self, t: int, what: str) -> None:
        if what == "room":
            return
        if what == "answered":
            self._pacer.meter.answered(self._key(t), self._trace.remote_s, self._now)
        else:
            self._pacer.meter.gone(self._key(t))
        super()._came(t, what)
        self._choose()

    def _next(self) -> Send[None] | None:
        pacer = self._pacer
        if self._measured and not pacer.meter.room(self._now):
            at = pacer.meter.next_room(self._now)
            if at is not None and self._backlog.waiting and not self._now < self._room_at <= at:
                self._room_at = at
                heapq.heappush(self._events, (at, -1, "room"))
            return None
        item = super()._next()
        if item is not None and not pacer.may_send(self._now, UTC_S + self._now):
            self._backlog.withdraw(item.key, "over_allowance")
            return None
        return item

    def _gone_out(self, key: WindowKey, size_bytes: int) -> None:
        assert self._way is not None
        self._pacer.sent(key, size_bytes, self._now, UTC_S + self._now)
        alone, behind = self._carried(self._now, size_bytes), self._link_free
        if math.isfinite(behind):
            delay = self._delay(behind)
            self.ages.append((behind + delay - self._now, alone + delay - self._now))
        n = self._place.get(key.t)
        if n is not None:
            self.seen[key.t] = self._views[self._way].p_remote[n]
