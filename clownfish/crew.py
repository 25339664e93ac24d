"""Crew: which workers of a pool start, run, drain, and are replaced when they end by themselves. Layer 0.

    Start ──→ starting ──ready──→ ready ──Drain──→ draining ──ended──→ gone
                 └─────────ended─────┴──→ replaced, after a back-off

A worker has a name of its own and is started once; who takes its place has another name. The back-off doubles with
each worker that ended before it had worked for `healthy_s`, and begins anew with one that had. Where there are too
many, those go first that do not work yet, then the newest.

Times are seconds of a monotonic clock, given by the caller.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Start:
    """Start a worker of this name. Say `ready` when it works, and `ended` when it is no more, once."""

    name: str


@dataclass(frozen=True, slots=True)
class Drain:
    """Let this worker hand back what it holds, and end it. Say `ended` when it is no more."""

    name: str


Instruction = Start | Drain


@dataclass(slots=True)
class _Member:
    state: Literal["starting", "ready", "draining"] = "starting"
    since: float = 0.0


class Crew:
    """Keeps as many workers as `want` said last. Raises ValueError for times that are none."""

    def __init__(
        self, prefix: str, backoff_s: float = 0.5, max_backoff_s: float = 30.0, healthy_s: float = 10.0
    ) -> None:
        if not 0 < backoff_s <= max_backoff_s or healthy_s < 0:
            raise ValueError(f"back-off of a crew: {backoff_s=} {max_backoff_s=} {healthy_s=}")
        self.target = 0
        self.started = 0
        self.lost = 0
        """Workers that ended though nobody had told them to."""
        self._prefix = prefix
        self._first_backoff_s = self._backoff_s = backoff_s
        self._max_backoff_s = max_backoff_s
        self._healthy_s = healthy_s
        self._not_before = -math.inf
        self._members: dict[str, _Member] = {}  # in the order they were started

    def want(self, target: int, now: float) -> list[Instruction]:
        """So many workers should run. Raises ValueError below 0."""
        if target < 0:
            raise ValueError(f"a crew of {target}")
        self.target = target
        return self._settle(now)

    def ready(self, name: str, now: float) -> None:
        """This worker does its work now."""
        member = self._members.get(name)
        if member is not None and member.state == "starting":
            member.state, member.since = "ready", now

    def ended(self, name: str, now: float) -> list[Instruction]:
        """This worker is no more, told to or not."""
        member = self._members.pop(name, None)
        if member is None or member.state == "draining":
            return self._settle(now)
        self.lost += 1
        if member.state == "ready" and now - member.since >= self._healthy_s:
            self._backoff_s = self._first_backoff_s
        self._not_before = max(self._not_before, now + self._backoff_s)
        self._backoff_s = min(2 * self._backoff_s, self._max_backoff_s)
        return self._settle(now)

    def timer(self, now: float) -> list[Instruction]:
        return self._settle(now)

    def next_timer(self) -> float | None:
        """When `timer` has something to do; None: nothing to wait for."""
        return self._not_before if len(self._staying()) < self.target else None

    def count(self, state: Literal["starting", "ready", "draining"]) -> int:
        return sum(member.state == state for member in self._members.values())

    def _staying(self) -> list[str]:
        return [name for name, member in self._members.items() if member.state != "draining"]

    def _settle(self, now: float) -> list[Instruction]:
        staying = self._staying()
        if len(staying) < self.target:
            return [self._start(now) for _ in range(self.target - len(staying))] if now >= self._not_before else []
        starting = [name for name in staying if self._members[name].state == "starting"]
        working = [name for name in staying if self._members[name].state == "ready"]
        leaving = [*reversed(starting), *reversed(working)][: len(staying) - self.target]
        for name in leaving:
            self._members[name].state = "draining"
        return [Drain(name) for name in leaving]

    def _start(self, now: float) -> Start:
        name = f"{self._prefix}{self.started}"
        self.started += 1
        self._members[name] = _Member(since=now)
        return Start(name)
