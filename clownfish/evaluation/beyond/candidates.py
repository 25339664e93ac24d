"""Filter policies that were tried and not kept: here so that `clownfish eval policies` can measure them again.

A configuration names one as any policy of one's own: `kind = "clownfish.evaluation.beyond.candidates:Transition"`.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

import numpy as np

from clownfish.errors import ConfigError
from clownfish.filters.base import Verdict
from clownfish.filters.drift import Drift
from clownfish.filters.periodic import Periodic
from clownfish.messages import Vector
from clownfish.similarity.base import Inferred
from clownfish.similarity.cosine import Cosine

On = Literal["rise", "fall", "either"]


class Transition:
    """The paper's rule with its choices open: `on` a rise of ρ by `bound` (the paper's, by 0.5), a fall, or either;
    the window sent is the `hold`-th after that one, so that it lies further inside the new context."""

    def __init__(self, on: On = "rise", bound: float = 0.5, hold: int = 0, n_w: int = 6) -> None:
        """Raises ConfigError."""
        if on not in ("rise", "fall", "either") or not 0 < bound <= 1 or hold < 0:
            raise ConfigError(
                f"transition: on {on!r}, bound {bound}, hold {hold}; expected rise, fall or either, bound in (0, 1], "
                "hold of at least 0 windows"
            )
        self._signs = {"rise": (1,), "fall": (-1,), "either": (1, -1)}[on]
        self._bound = bound
        self._hold = hold
        self._period = Periodic(n_w)
        self._before: float | None = None
        self._due: int | None = None

    def on_window(self, t: int) -> Verdict:
        due = self._due is not None and t >= self._due
        if not due:
            return Verdict.SEND if self._period.on_window(t) is Verdict.SEND else Verdict.WAIT
        self._due = None
        self._period.restart(t)
        return Verdict.SEND

    def on_rho(self, t: int, rho: float | None) -> bool:
        before, self._before = self._before, rho
        if before is None or rho is None or all(sign * (rho - before) < self._bound for sign in self._signs):
            return False
        if self._hold:
            self._due = t + self._hold
            return False
        self._period.restart(t)
        return True


class Apart(Transition):
    """The same of the cosine of the local answers to windows t and t − `apart`, which share no frame."""

    def __init__(self, on: On = "fall", bound: float = 0.1, hold: int = 0, n_w: int = 60, apart: int = 4) -> None:
        super().__init__(on, bound, hold, n_w)
        self._last: deque[Vector] = deque(maxlen=apart + 1)
        self._cosine = Cosine()

    def on_rho(self, t: int, rho: float | None) -> bool:
        return False

    def on_local(self, t: int, rho: float | None, p_local: Vector) -> bool:
        self._last.append(p_local)
        full = len(self._last) == self._last.maxlen
        ends = [Inferred("", 0, p, p) for p in (self._last[0], p_local)]
        return super().on_rho(t, self._cosine.rho(*ends) if full else None)


class Unsure:
    """Sends where the two largest local probabilities are within `margin`, for more than `patience` windows running and
    `gap` or more after the last one sent; and one every `n_w` windows."""

    def __init__(self, margin: float = 0.5, gap: int = 8, n_w: int = 60, patience: int = 0) -> None:
        self._margin = margin
        self._gap = gap
        self._patience = patience
        self._period = Periodic(n_w)
        self._since_gap = Periodic(gap)
        self._unsure = 0

    def on_window(self, t: int) -> Verdict:
        if self._period.on_window(t) is not Verdict.SEND:
            return Verdict.WAIT
        self._since_gap.restart(t)
        return Verdict.SEND

    def on_rho(self, t: int, rho: float | None) -> bool:
        return False

    def on_local(self, t: int, rho: float | None, p_local: Vector) -> bool:
        second, first = np.sort(p_local)[-2:]
        self._unsure = self._unsure + 1 if first - second <= self._margin else 0
        if self._unsure <= self._patience or self._since_gap.on_window(t) is not Verdict.SEND:
            return False
        self._unsure = 0
        self._period.restart(t)
        return True


class DriftOfKinds(Drift):
    """Drift with early discard's rule: a window that is of class number `background` for the local model, with
    probability `bound` or more, is not sent."""

    def __init__(
        self, background: int = 0, bound: float = 0.95, threshold: float = 0.99, patience: int = 0, follow: int = 1
    ) -> None:
        super().__init__(threshold, patience, follow)
        self._background = background
        self._bound = bound
        self._discarded = False

    def on_local(self, t: int, rho: float | None, p_local: Vector) -> bool:
        self._discarded = float(p_local[self._background]) >= self._bound
        return super().on_local(t, rho, p_local)

    def _may_send(self, t: int) -> bool:
        return not self._discarded


class PeriodOfKinds(Periodic):
    """Early discard's rule on top of a period: no window of class number `background`, see DriftOfKinds."""

    def __init__(self, background: int = 0, bound: float = 0.95, n_w: int = 6) -> None:
        super().__init__(n_w)
        self._background = background
        self._bound = bound

    def on_window(self, t: int) -> Verdict:
        return Verdict.WAIT if self._sent is not None else super().on_window(t)

    def on_local(self, t: int, rho: float | None, p_local: Vector) -> bool:
        if float(p_local[self._background]) >= self._bound:
            return False
        return super().on_window(t) is Verdict.SEND
