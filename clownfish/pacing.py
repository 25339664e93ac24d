"""Pacer: chooses the rung of the ladder to send at, by what the link carries and what may be spent (layer 0).

Theory of operation. A rung's answers come a round trip, the model's time and its window's transmission after the
window, and as much later as windows wait for each other where the link is nearly full (M/D/1). The ladder says what
answers so late are worth. So each rung has an expected gain on the link as it is now:

    lag   = round trip + model + size/rate · (1 + u / 2(1 − u)),   u = bytes per second ÷ rate
    worth = ½ live gain(lag) + ½ final gain − price · bytes per second

and the best one within the allowance and the link is chosen. `price` is what a byte must bring in accuracy.

    drop     at once: the rung in force does not fit link or allowance, or another with fewer bytes is worth more
    rise     one with more bytes has been the best for `rise_s`, also at the lowest rate seen in that time
    hole     nothing passes: the rung stays for PATIENCE_S. What is asked then waits, costs nothing until it is sent,
             and is there, the newest first, when the link is back; what was not asked would be missing
    nobody   no credit, no answer for longer than that or none yet, or nothing may be spent: the first rung, whose few
             windows are the probes

What streams really send is compared with what the ladder says, in windows and in bytes a window, and corrected for.
"""

from __future__ import annotations

import math
from collections import deque

from clownfish.allowance import Allowance
from clownfish.ladder import Ladder, Rung
from clownfish.linkmeter import LinkMeter
from clownfish.messages import WindowKey

FULL = 0.85
"""Share of the link's rate beyond which a rung does not fit: estimates are noisy, and a full link is a queue."""
ROOMY = 0.75
"""That beyond which one with more bytes is not risen to: what fits barely would not for long, and so back and forth."""
STALE = 0.002
"""Accuracy by which another rung must be better."""
LEARN_S = 30.0
"""Time constant of what streams really send, where that is not less than _TRUSTED windows' worth."""
PATIENCE_S = 10.0
"""An outage that lasts longer says that the link is not what it was."""
_TRUSTED = 20.0
"""Windows' worth of faith in the ladder to begin with; and what streams really send is of no fewer, or each one would
look like a change."""
MOST = 4.0
"""Streams are not taken to differ from the ladder's by more than this factor."""


class Pacer:
    """One edge box's. Times are seconds of a monotonic clock, `utc_s` of the calendar."""

    def __init__(
        self,
        ladder: Ladder,
        allowance: Allowance | None = None,
        *,
        streams: int = 1,
        price: float = 0.01,
        rise_s: float = 1.0,
    ) -> None:
        """`price`: accuracy (1 is all) that a Mbit/s more must bring."""
        self.ladder = ladder
        self.meter = LinkMeter()
        self.allowance = allowance or Allowance()
        self.rung = ladder.rungs[0]
        self.changes = 0
        self.streams = streams
        self._price = price / 1e6 * 8
        self._rise_s = rise_s
        self._closed: float | None = -math.inf
        """Since when no router grants credit; None: one does."""
        self._windows = self._of_windows = _TRUSTED
        """Windows offered, and those that the rungs in force promised: both forgotten exponentially."""
        self._size = 1.0
        """A window's bytes ÷ its rung's."""
        self._at: float | None = None
        self._rates: deque[tuple[float, float]] = deque()
        self._better_since: float | None = None

    @property
    def streams(self) -> int:
        """Of this edge; they may come and go."""
        return self._streams

    @streams.setter
    def streams(self, streams: int) -> None:
        self._streams = max(1, streams)

    # ---- what happens

    def opened(self, now: float) -> None:
        """A router grants credit."""
        self._closed = None

    def closed(self, now: float) -> None:
        """The session is over."""
        if self._closed is None:
            self._closed = now
        self.meter.session_over()
        self._rates.clear()

    def offered(self, now: float) -> None:
        """The filter has chosen a window."""
        self._promise(now)
        self._windows += 1

    def sent(self, key: WindowKey, size_bytes: int, now: float, utc_s: float) -> None:
        """A window goes on the wire, of the rung in force."""
        self.meter.sent(key, size_bytes, now)
        self.allowance.spend(size_bytes, now, utc_s)
        if size_bytes:
            ratio = min(MOST, max(1 / MOST, size_bytes / self.rung.window_bytes))
            self._size += 0.1 * (ratio - self._size)

    # ---- what to do

    def choose(self, now: float, utc_s: float) -> Rung:
        """The rung to send at from now on. Ask at every answer, and twice a second."""
        self._promise(now)
        rate = self.meter.carried if self._silent_s(now) <= PATIENCE_S else None
        allowed = self.allowance.rate(now, utc_s)
        if rate is None or self.allowance.used_up(now, utc_s):
            return self._change(self.ladder.rungs[0])
        lowest = self._lowest(rate, now)
        best = self._best(rate, allowed)
        if best is self.rung:
            self._better_since = None
            return best
        here = self.worth(self.rung, rate, allowed)
        gains = self.worth(best, rate, allowed) > here + STALE
        if here == -math.inf or (gains and best.bytes_per_s < self.rung.bytes_per_s):
            return self._change(best)
        if not gains:
            self._better_since = None
            return self.rung
        if self._better_since is None:
            self._better_since = now
        best = self._best(lowest, allowed)
        if now - self._better_since >= self._rise_s and best.bytes_per_s > self.rung.bytes_per_s:
            return self._change(best)
        return self.rung

    def worth(self, rung: Rung, rate: float, allowed: float) -> float:
        """Expected gain in accuracy less the price of its bytes; −inf where it does not fit."""
        bytes_per_s = rung.bytes_per_s * self._streams * self._size * self._windows / self._of_windows
        used = bytes_per_s / rate
        full = FULL if rung.bytes_per_s <= self.rung.bytes_per_s else ROOMY
        if bytes_per_s > allowed or used > full:
            return -math.inf
        transmission_s = rung.window_bytes * self._size / rate
        lag_s = self.meter.rtt_s + self.meter.model_s + transmission_s * (1 + used / (2 * (1 - used)))
        gain = (self.ladder.live_gain(rung, lag_s) + rung.final) / 2
        return gain - self._price * bytes_per_s / self._streams

    def may_send(self, now: float, utc_s: float) -> bool:
        """False where the allowance is used up: what is offered then is dropped."""
        return not self.allowance.used_up(now, utc_s)

    # ---- inside

    def _silent_s(self, now: float) -> float:
        """For how long nothing was heard of what was asked."""
        return max(self.meter.waits_s(now), 0.0 if self._closed is None else now - self._closed)

    def _best(self, rate: float, allowed: float) -> Rung:
        worth = [(self.worth(rung, rate, allowed), rung) for rung in self.ladder.rungs]
        most = max(value for value, _ in worth)
        if most == -math.inf:
            return self.ladder.rungs[0]
        return next(rung for value, rung in worth if value == most)

    def _lowest(self, rate: float, now: float) -> float:
        """The least rate of the last `rise_s`."""
        while self._rates and self._rates[-1][1] >= rate:
            self._rates.pop()
        self._rates.append((now, rate))
        while self._rates[0][0] < now - self._rise_s:
            self._rates.popleft()
        return self._rates[0][1]

    def _change(self, rung: Rung) -> Rung:
        self._better_since = None
        if rung is not self.rung:
            self.rung = rung
            self.changes += 1
        return rung

    def _promise(self, now: float) -> None:
        """Time passes, and with it the windows that the rung in force promises."""
        if self._at is not None and now > self._at:
            passed = now - self._at
            windows_per_s = self.rung.bytes_per_s / self.rung.window_bytes * self._streams
            keep = math.exp(-passed / max(LEARN_S, _TRUSTED / windows_per_s))
            promised = windows_per_s * passed
            self._windows *= keep
            self._of_windows = keep * self._of_windows + promised
            ratio = self._windows / self._of_windows
            self._windows = self._of_windows * min(MOST, max(1 / MOST, ratio))
        self._at = now if self._at is None else max(now, self._at)
