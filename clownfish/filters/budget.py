"""Budget: drift that spends a given share of cloud-only's frames, and no more. Not in the paper.

With each window a bucket fills by `share` of a window's new frames. A window costs what it shows that was not sent yet:
`span` windows' worth where it shares no frame with the last one sent, a quarter of that right after it. Drift's
threshold follows the bucket: while it is full, the slightest change of the local answer is worth a question; as it
empties, only a plain one is. So a restless stream asks at its largest changes and a steady one at its small ones. What
a steady stream leaves stays unspent: asking again in a context that the cloud has seen was measured, and gains nothing.
"""

from __future__ import annotations

import math

from clownfish.errors import ConfigError
from clownfish.filters.drift import Drift
from clownfish.messages import Vector

LOWEST, HIGHEST = 0.3, 0.995
"""Threshold of an empty and of a full bucket; between them it grows as the square root of what is saved."""


class Budget(Drift):
    """Of a stream's frames, sends no more than `share`, and the first window.

    `reserve` is what the bucket holds at most, in windows' worth of new frames: how much may be spent at once after a
    steady time. `span` windows on, no frame is shared any more: the window's size ÷ its stride.
    """

    def __init__(
        self, share: float = 0.2, reserve: float = 32, patience: int = 2, follow: int = 0, n_w: int = 60, span: int = 4
    ) -> None:
        """`share` in (0, 1], `reserve` ≥ `span` ≥ 1; the others as in Drift. Raises ConfigError."""
        super().__init__(HIGHEST, patience, follow, n_w)
        if not 0.0 < share <= 1.0:
            raise ConfigError(f"budget: share is {share}; expected 0 < share ≤ 1, of cloud-only's frames")
        if not isinstance(span, int) or not 1 <= span <= reserve:
            raise ConfigError(
                f"budget: span is {span!r}, reserve {reserve}; expected a whole number, 1 ≤ span ≤ reserve"
            )
        self.share = share
        self.reserve = reserve
        self.span = span
        self._saved = 0.0
        self._seen: int | None = None
        """Window up to which the bucket was filled."""

    def on_local(self, t: int, rho: float | None, p_local: Vector) -> bool:
        """As in Drift, with the threshold that the bucket allows now."""
        if self._seen is not None and t > self._seen:
            self._saved = min(self.reserve, self._saved + self.share * (t - self._seen))
        self._seen = t if self._seen is None else max(t, self._seen)
        self.threshold = LOWEST + (HIGHEST - LOWEST) * math.sqrt(max(0.0, self._saved / self.reserve))
        return super().on_local(t, rho, p_local)

    def _may_send(self, t: int) -> bool:
        return self._cost(t) <= self._saved

    def _send(self, t: int, p_local: Vector | None) -> None:
        if self._sent is not None:  # the first window is free
            self._saved -= self._cost(t)
        super()._send(t, p_local)

    def _cost(self, t: int) -> int:
        """New frames of window t, in windows' worth."""
        return self.span if self._sent is None else min(self.span, t - self._sent)
