"""The contract of a filter policy, and the two-step question that the gate asks it.

A window's periodic decision needs no ρ and is taken when the window is formed; a decision that looks at ρ waits for
local inference (DESIGN §5.3). So a policy answers twice: `on_window` at once, and `on_rho` when ρ_t is there.
"""

from __future__ import annotations

import enum
from typing import Protocol


class Verdict(enum.Enum):
    """What `on_window` says of a window."""

    SEND = "send"
    SKIP = "skip"
    WAIT = "wait"
    """Ask again with ρ."""


class FilterPolicy(Protocol):
    """One instance per (stream, epoch). `t` grows from call to call of each method; windows may be missing."""

    def on_window(self, t: int) -> Verdict:
        """Window t is formed. Returns SEND, SKIP, or WAIT for ρ."""

    def on_rho(self, t: int, rho: float | None) -> bool:
        """ρ_t is known (None where it is undefined). True: send window t.

        Called for every inferred window, also for one that `on_window` has sent already; the answer is ignored then.
        """
