"""LinkMeter: what the way to the cloud carries, read off answers (layer 0; sans I/O, `now` in seconds).

Theory of operation. An answer tells when its window's last byte had left the edge:

    left = answered − model's time − round trip

and its transmission began when it was sent, or when the window before it had left, whichever came later. Bytes ÷ that
time is the rate, whether the link was full or not: a window is a packet train of its own, so no probing is needed. What
is measured is the path, workers included: windows that wait for a busy worker read as a slower link, which is how late
they are. Such samples (the worker went from one window straight to the next) may only raise the estimate, and the
window behind, whose beginning they hide, gives none.

    carried bytes ÷ transmission times, both forgotten exponentially. One that took far longer than the rate explains is
            a hole: it counts, in full, only once the next one is as slow. So a link that was away for a while is
            known to be as wide as before, and one that has narrowed is known to be so after two windows
    rate    `carried`, and at once less where the oldest window that is under way takes longer than it explains: so an
            outage shows before anything has come of it. `room` goes by this
    round trip   the least of small messages' in half a minute, of those that found nothing under way: on a link that is
            never empty all others are longer, and a meter that believed them would take the queue for the path

No standing queue: `room` says when the next window may go. Ahead of it there is then at most one window, or what the
link carries in half a round trip, so its age when it has arrived is below a round trip, its own transmission, and
that of one window.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import NamedTuple

from clownfish.messages import WindowKey

FORGET_S = 2.0
"""Time constant of the rate."""
RTT_WINDOW_S = 30.0
LEAST_S = 0.001
"""No transmission is taken to be shorter: clocks and loops are no better than that."""
LEAST_RATE = 1.0
"""Bytes/s: nothing divides by less."""
MODEL_SHARE = 0.2
"""Of a new answer in the mean of the model's time."""


class Arrival(NamedTuple):
    """Of a window at the router, in seconds."""

    age_s: float
    """Since it was sent, when the router had all of it."""
    bound_s: float
    """What that may be: round trip, its own transmission as it was, and one credit, the largest window under way's."""


@dataclass(slots=True)
class _Flying:
    size_bytes: int
    sent: float
    credit: int
    """Bytes of the largest window under way when it was sent, or its own."""


class LinkMeter:
    """Told of every window that is sent, and of what becomes of it."""

    def __init__(self) -> None:
        self.model_s = 0.0
        """Mean of what the remote model takes for a window."""
        self._flying: OrderedDict[WindowKey, _Flying] = OrderedDict()  # oldest first
        self._rtts: deque[tuple[float, float]] = deque()  # (when, rtt), growing in both: minima of what follows
        self._newest_rtt = 0.0
        self._bytes = self._time = 0.0
        self._at = -math.inf
        self._left = -math.inf
        """When the last byte that is known to have left did."""
        self._left_known = True
        """False: it had left before that, and waited for the worker."""
        self._answered = -math.inf
        self._hole: tuple[int, float] | None = None
        """Bytes and time of the newest transmission, where it was far slower than those before."""
        self._waits_since: float | None = None

    # ---- what happens

    def round_trip(self, rtt_s: float, now: float) -> None:
        """A small message came back after so long. Where something was under way when it went, it may have waited
        behind that: then it is a round trip only if it is less than what is known, or nothing is."""
        self._newest_rtt = rtt_s = max(0.0, rtt_s)
        oldest = next(iter(self._flying.values()), None)
        alone = self._answered <= now - rtt_s and (oldest is None or oldest.sent >= now - rtt_s)
        if not alone and self._rtts and rtt_s >= self.rtt_s:
            return
        while self._rtts and self._rtts[-1][1] >= rtt_s:
            self._rtts.pop()
        self._rtts.append((now, rtt_s))
        while self._rtts[0][0] < now - RTT_WINDOW_S:
            self._rtts.popleft()

    def sent(self, key: WindowKey, size_bytes: int, now: float) -> None:
        """So many bytes of this window go on the wire now; once more where frames are asked for again."""
        flying = self._flying.get(key)
        if flying is None:
            self._flying[key] = _Flying(size_bytes, now, max(size_bytes, self._largest()))
            if self._waits_since is None:
                self._waits_since = now
        else:
            flying.size_bytes += size_bytes

    def answered(self, key: WindowKey, model_s: float, now: float) -> Arrival | None:
        """Its answer is here; the model took that much of the time. Returns how old the window was when the router had
        it; None where it was not under way."""
        flying = self._flying.pop(key, None)
        if flying is None:
            return None
        self._waits_since = now if self._flying else None
        model_s = min(max(0.0, model_s), now - flying.sent)  # a peer's word
        self.model_s += (MODEL_SHARE if self.model_s else 1.0) * (model_s - self.model_s)
        left = now - model_s - self.rtt_s
        took = max(LEAST_S, left - max(flying.sent, self._left))
        waited_for_worker = now - model_s <= self._answered + LEAST_S
        rate = self.carried
        begin_known = self._left_known or flying.sent >= self._left
        if (
            begin_known
            and flying.size_bytes
            and (not waited_for_worker or rate is None or flying.size_bytes / took > rate)
        ):
            self._sample(flying.size_bytes, took, now)
        self._left, self._answered, self._left_known = max(self._left, left), now, not waited_for_worker
        rate = rate or self.carried or math.inf
        return Arrival(max(0.0, left + self.rtt_s / 2 - flying.sent), self.rtt_s + took + flying.credit / rate)

    def gone(self, key: WindowKey) -> None:
        """It will not be answered; whether it crossed the link is not known."""
        self._flying.pop(key, None)

    def session_over(self) -> None:
        """Nothing is under way any more. What was measured stands until something else is."""
        self._flying.clear()

    # ---- what is known

    @property
    def rtt_s(self) -> float:
        """The least round trip of the last half minute; 0 where none was measured."""
        return self._rtts[0][1] if self._rtts else 0.0

    @property
    def queue_s(self) -> float:
        """How much longer the newest round trip was: what stood before it in queues."""
        return self._newest_rtt - self.rtt_s

    @property
    def in_flight_bytes(self) -> int:
        return sum(each.size_bytes for each in self._flying.values())

    @property
    def carried(self) -> float | None:
        """Bytes/s that the path carries when it carries anything; None where no answer has come yet."""
        return max(LEAST_RATE, self._bytes / self._time) if self._time else None

    def waits_s(self, now: float) -> float:
        """For how long nothing was answered, though something went out; 0 where nothing waits."""
        return 0.0 if self._waits_since is None else max(0.0, now - self._waits_since)

    def rate(self, now: float) -> float | None:
        """Bytes/s that the path carries, an outage included; None where no answer has come yet."""
        rate = self.carried
        oldest = next((each for each in self._flying.values() if each.size_bytes), None)  # all frames may be there
        if rate is None or oldest is None:
            return rate
        took = now - max(oldest.sent, self._left) - self.rtt_s - self.model_s
        if self._stalled(oldest.size_bytes, took, rate):
            rate = min(rate, max(LEAST_RATE, oldest.size_bytes / took))
        return rate

    def room(self, now: float) -> bool:
        """Whether a window that goes now meets no standing queue."""
        if len(self._flying) < 2:
            return True
        rate = self.rate(now)
        return rate is not None and self._fits(rate) and self._queued(rate, now) <= self._may_stand(rate)

    def next_room(self, now: float) -> float | None:
        """When `room` may turn True by time alone; None: it has, or only an answer can bring it."""
        rate = self.rate(now)
        if rate is None or self.room(now) or not self._fits(rate):
            return None
        return now + max(LEAST_S, (self._queued(rate, now) - self._may_stand(rate)) / rate)

    # ---- inside

    def _sample(self, size_bytes: int, took: float, now: float) -> None:
        """So many bytes took so long."""
        rate, hole = self.carried, self._hole
        self._hole = None
        if rate is not None and self._stalled(size_bytes, took, rate):
            if hole is None:
                self._hole = size_bytes, took
                return
            size_bytes, took = size_bytes + hole[0], took + hole[1]
        keep = math.exp(-max(0.0, now - self._at) / FORGET_S)
        self._bytes, self._time = keep * self._bytes + size_bytes, keep * self._time + took
        self._at = now

    def _stalled(self, size_bytes: int, took: float, rate: float) -> bool:
        """Whether that is longer than the rate and jitter explain."""
        return took > 2 * size_bytes / rate + self.rtt_s

    def _fits(self, rate: float) -> bool:
        """Whether no more is under way than fills the path, and one window. Nobody can know that less is."""
        return self.in_flight_bytes <= rate * (self.rtt_s + self.model_s) + self._largest()

    def _may_stand(self, rate: float) -> float:
        """Bytes that may wait before a window that goes now."""
        return max(rate * self.rtt_s / 2, self._largest())

    def _largest(self) -> int:
        """Bytes of the largest window under way: a small one need not wait for an answer to follow it."""
        return max((each.size_bytes for each in self._flying.values()), default=0)

    def _queued(self, rate: float, now: float) -> float:
        """Bytes that have not left yet, at this rate."""
        free = self._left
        for each in self._flying.values():
            free = max(free, each.sent) + each.size_bytes / rate
        return max(0.0, free - now) * rate
