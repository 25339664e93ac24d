"""Every n_w-th window, whatever is in it (§III-D without transitions)."""

from __future__ import annotations

from clownfish.errors import ConfigError
from clownfish.filters.base import Verdict


class Periodic:
    """Sends a stream's first window and then each that is `n_w` or more after the last one sent."""

    def __init__(self, n_w: int = 6) -> None:
        """`n_w` in windows, at least 1: a period, so 1 sends all. Raises ConfigError."""
        if not isinstance(n_w, int) or n_w < 1:
            raise ConfigError(
                f"n_w is {n_w!r}; expected a period of at least 1 window, a whole number (the paper has 6)"
            )
        self.n_w = n_w
        self._sent: int | None = None

    def on_window(self, t: int) -> Verdict:
        if self._sent is not None and t - self._sent < self.n_w:
            return Verdict.SKIP
        self._sent = t
        return Verdict.SEND

    def on_rho(self, t: int, rho: float | None) -> bool:
        return False

    def restart(self, t: int) -> None:
        """Count the period from window t, unless a later one was sent already."""
        self._sent = t if self._sent is None else max(self._sent, t)
