"""Hysteresis: a stream's answers, window after window, become runs of one label (layer 0).

A run begins with a window whose best class is sure enough (`enter`), and holds while that class is at least `leave`
(hysteresis). It outlasts `gap` windows that say otherwise, or that never came. Another class that enters meanwhile is
its rival: where the rival lasts `shortest` windows the held run is over, where the held class comes back in time the
rival was a flicker. A run shorter than `shortest` windows never was one.

`Timeline.step` is a pure function of the state before and the window: equal windows in the order of t make equal runs,
however their answers came.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

from clownfish.messages import FusedResult, Vector

EDGE, FUSED, CORRECTED = range(3)
"""What a window's answer owes the cloud: nothing; its answer went in before or as the window was answered; after."""


class Moment(NamedTuple):
    """What the timeline needs of one window's answer."""

    t: int
    p: Vector
    best: int
    label: str
    origin: int

    @classmethod
    def of(cls, result: FusedResult) -> Moment:
        origin = EDGE
        if result.source != "local":
            origin = CORRECTED if result.lag else FUSED
        return cls(result.t, result.p, int(result.p.argmax()), result.label, origin)


@dataclass(frozen=True, slots=True)
class Rules:
    """What makes a run. Lengths are in windows."""

    background: str = "idle"
    """The label that is no event; empty: every label is one."""
    enter: float = 0.4
    leave: float = 0.3
    shortest: int = 1
    gap: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.leave <= self.enter <= 1:
            raise ValueError(f"leave {self.leave} and enter {self.enter}; expected 0 < leave ≤ enter ≤ 1")
        if self.shortest < 1 or self.gap < 0:
            raise ValueError(f"shortest {self.shortest} and gap {self.gap}; expected at least 1 and 0 windows")

    @classmethod
    def in_seconds(
        cls, background: str, enter: float, leave: float, *, min_s: float, gap_s: float, window_s: float
    ) -> Rules:
        """Lengths in seconds; `window_s` is the time between two windows. Raises ValueError."""
        shortest = max(1, math.ceil(min_s / window_s - 1e-9))
        return cls(background, enter, leave, shortest, math.floor(gap_s / window_s + 1e-9))


@dataclass(frozen=True, slots=True)
class Run:
    """Windows `start` to `last` showed one class; those between that did not count neither for nor against it."""

    index: int
    label: str
    start: int
    last: int
    windows: int
    total: float
    """Sum of the class's probability over `windows`."""
    origin: int

    @classmethod
    def of(cls, moment: Moment) -> Run:
        return cls(moment.best, moment.label, moment.t, moment.t, 1, float(moment.p[moment.best]), moment.origin)

    def joined(self, moment: Moment) -> Run:
        return replace(
            self,
            last=moment.t,
            windows=self.windows + 1,
            total=self.total + float(moment.p[self.index]),
            origin=max(self.origin, moment.origin),
        )

    @property
    def length(self) -> int:
        return self.last - self.start + 1

    @property
    def confidence(self) -> float:
        return self.total / self.windows


@dataclass(frozen=True, slots=True)
class Timeline:
    """The state after some windows."""

    rules: Rules
    held: Run | None = None
    rival: Run | None = None
    """Began after the last window of `held`."""

    @property
    def showing(self) -> Run | None:
        """The run that goes on, once it is long enough."""
        held = self.held
        return held if held is not None and held.length >= self.rules.shortest else None

    @property
    def earliest(self) -> int | None:
        """Where the first run that is not over began."""
        return None if self.held is None else self.held.start

    def step(self, moment: Moment) -> tuple[Timeline, tuple[Run, ...]]:
        """The state after `moment`, a later window than those before, and the runs that it ended."""
        state, over = self._expired(moment.t)
        held, rival = state.held, state.rival
        if held is None:
            held = Run.of(moment) if self._enters(moment) else None
        elif self._keeps(held, moment):
            held, rival = held.joined(moment), None
        else:
            if rival is not None and self._keeps(rival, moment):
                rival = rival.joined(moment)
            elif self._enters(moment):
                rival = Run.of(moment)
            if rival is not None and rival.length >= self.rules.shortest:
                over += self._worth(held)
                held, rival = rival, None
        after, expired = Timeline(self.rules, held, rival)._expired(moment.t + 1)
        return after, over + expired

    def finish(self) -> tuple[Run, ...]:
        """No window follows: the run that this ends."""
        return self._worth(self.held)

    def _expired(self, t: int) -> tuple[Timeline, tuple[Run, ...]]:
        """Runs that window `t` comes too late for are over."""
        held, rival = self.held, self.rival
        over: tuple[Run, ...] = ()
        while held is not None and t - held.last - 1 > self.rules.gap:
            over += self._worth(held)
            held, rival = rival, None
        return (self if held is self.held else Timeline(self.rules, held, rival)), over

    def _worth(self, run: Run | None) -> tuple[Run, ...]:
        return (run,) if run is not None and run.length >= self.rules.shortest else ()

    def _enters(self, moment: Moment) -> bool:
        return moment.label != self.rules.background and float(moment.p[moment.best]) >= self.rules.enter

    def _keeps(self, run: Run, moment: Moment) -> bool:
        if run.index == moment.best:
            return float(moment.p[run.index]) >= self.rules.leave
        return float(moment.p[run.index]) >= self.rules.leave and not self._enters(moment)
