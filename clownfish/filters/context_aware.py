"""The paper's filter (§III-D, DESIGN §5.1 to 5.3): every n_w-th window, and the window at which similarity recovers."""

from __future__ import annotations

from clownfish.errors import ConfigError
from clownfish.filters.base import Verdict
from clownfish.filters.periodic import Periodic


class ContextAware:
    """Sends windows 0, n_w, 2·n_w …, and window t where ρ_t − ρ_{t−1} ≥ `rise`: a transition, which restarts that.

    ρ falls where the context changes and rises again once two consecutive windows lie inside the new one, so the window
    sent at the rise shows the new context. t − 1 is the window inferred before t, whatever its number.
    """

    def __init__(self, n_w: int = 6, rise: float = 0.5) -> None:
        """`n_w` in windows, at least 1; `rise` in (0, 1]. Raises ConfigError."""
        if not 0.0 < rise <= 1.0:
            raise ConfigError(f"context_aware: rise is {rise}; expected 0 < rise ≤ 1 (the paper has 0.5)")
        self.rise = rise
        self._period = Periodic(n_w)
        self._rho: float | None = None

    def on_window(self, t: int) -> Verdict:
        """SEND where the period is over (and for the first window), else WAIT for ρ."""
        return Verdict.SEND if self._period.on_window(t) is Verdict.SEND else Verdict.WAIT

    def on_rho(self, t: int, rho: float | None) -> bool:
        """True at a rise. Undefined ρ starts the chain anew: neither it nor the next is a transition."""
        before, self._rho = self._rho, rho
        if before is None or rho is None or rho - before < self.rise:
            return False
        self._period.restart(t)
        return True
