"""No window is sent: the edge alone (§VI-A, edge-only)."""

from __future__ import annotations

from clownfish.filters.base import Verdict


class Never:
    """Sends nothing."""

    def on_window(self, t: int) -> Verdict:
        return Verdict.SKIP

    def on_rho(self, t: int, rho: float | None) -> bool:
        return False
