"""Autoscaler: how many workers a router needs, by what it says of its queue once a second. Layer 0.

    up      windows wait longer than `up_delay_s`, or miss their deadlines, and have done so for `up_after_s`
    down    for `down_after_s` no deadline was missed, and what waited and was held would have fitted one worker less,
            each loaded to `down_load` at most (held windows are busy workers, by Little's law)
    else    as it is

How long a window waits is the queue's length by the rate of answers (Little's law again). Up goes by half as many
again, because a queue grows while one looks; down goes by one. What keeps it from flapping: the two thresholds lie
apart; after each change it looks afresh, and changes nothing for `cooldown_s`; while the workers that it asked for are
still loading their model it does not ask for more, for `patience_s` at most. Silence is no reason for anything: where
the router said nothing for a while, what it said before is forgotten.

Times are seconds of a monotonic clock, given by the caller.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

_RATE_S = 5.0
"""The rate of answers, and whether deadlines are missed, is taken over so much time."""
_SILENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class Load:
    """What a router says of its queue."""

    waiting: int
    """Windows that wait for a worker."""
    held: int
    """Windows at workers."""
    answered: int
    """Since it began; it only grows."""
    missed: int
    """Windows that waited past their deadline, or were pushed out of a full queue; since it began."""


class Autoscaler:
    """Keeps `target`, the number of workers that should run, between `least` and `most`. Raises ValueError."""

    def __init__(
        self,
        *,
        least: int,
        most: int,
        up_delay_s: float = 0.2,
        up_after_s: float = 2.0,
        down_load: float = 0.5,
        down_after_s: float = 60.0,
        cooldown_s: float = 10.0,
        patience_s: float = 60.0,
    ) -> None:
        if not (0 <= least <= most and most >= 1) or min(up_delay_s, up_after_s, down_after_s, cooldown_s) < 0:
            raise ValueError(f"bounds of an autoscaler: {least=} {most=} {up_delay_s=} {up_after_s=} {down_after_s=}")
        if not 0 < down_load < 1:
            raise ValueError(f"{down_load=}; expected between 0 and 1: at 1 what was just taken away is missed at once")
        self.least = least
        self.most = most
        self.target = max(least, 1)
        self.ups = 0
        self.downs = 0
        self._up_delay_s = up_delay_s
        self._up_after_s = up_after_s
        self._down_load = down_load
        self._down_after_s = down_after_s
        self._cooldown_s = cooldown_s
        self._patience_s = patience_s
        self._seen: deque[tuple[float, Load]] = deque()
        """The newest last; the first is the newest that is `down_after_s` old, if any is."""
        self._changed: float | None = None
        self._pressed_since: float | None = None

    @property
    def delay_s(self) -> float:
        """How long a window waits for a worker, as last seen; infinite where some wait and none is answered."""
        if not self._seen or not self._seen[-1][1].waiting:
            return 0.0
        (begin, first), (end, last) = self._rate_span()
        answered = last.answered - first.answered
        return last.waiting * (end - begin) / answered if answered else math.inf

    def see(self, load: Load, ready: int, now: float) -> int:
        """The router said this; `ready` workers of the pool do their work. Returns `target`."""
        if self._changed is None:
            self._changed = now  # the first workers are only just asked for, too
        if self._seen:
            before, last = self._seen[-1]
            if now - before > _SILENCE_S or load.answered < last.answered or load.missed < last.missed:
                self._look_afresh()
        self._seen.append((now, load))
        while len(self._seen) > 1 and self._seen[1][0] <= now - max(self._down_after_s, _RATE_S):
            self._seen.popleft()
        if not self._pressed():
            self._pressed_since = None
        elif self._pressed_since is None:
            self._pressed_since = now
        if now - self._changed >= self._cooldown_s:
            self._decide(ready, now, now - self._changed >= self._patience_s)
        return self.target

    def _decide(self, ready: int, now: float, impatient: bool) -> None:
        target = self.target
        if self._pressed_since is not None and now - self._pressed_since >= self._up_after_s:
            if ready >= target or impatient:
                target = min(self.most, target + max(1, target // 2))
        elif self._idle(now):
            target = max(self.least, target - 1)
        if target == self.target:
            return
        self.ups += target > self.target
        self.downs += target < self.target
        self.target = target
        self._changed = now
        self._look_afresh()

    def _look_afresh(self) -> None:
        self._seen.clear()
        self._pressed_since = None

    def _rate_span(self) -> tuple[tuple[float, Load], tuple[float, Load]]:
        """The first and the last of what was seen within `_RATE_S`."""
        last = self._seen[-1]
        return next(each for each in self._seen if each[0] >= last[0] - _RATE_S), last

    def _pressed(self) -> bool:
        (_, first), (_, last) = self._rate_span()
        return last.missed > first.missed or self.delay_s > self._up_delay_s

    def _idle(self, now: float) -> bool:
        begin, first = self._seen[0]
        if now - begin < self._down_after_s or self._seen[-1][1].missed > first.missed:
            return False
        busy = sum(load.waiting + load.held for _, load in self._seen) / len(self._seen)
        if self.target == 1:  # what a worker answers between two looks is not seen as held
            return not busy and self._seen[-1][1].answered == first.answered
        return busy <= self._down_load * (self.target - 1)
