"""Every window is sent: what the cloud can do at best, and what that costs (§VI-A, cloud-only)."""

from __future__ import annotations

from clownfish.filters.base import Verdict


class Always:
    """Sends every window."""

    def on_window(self, t: int) -> Verdict:
        return Verdict.SEND

    def on_rho(self, t: int, rho: float | None) -> bool:
        return False
