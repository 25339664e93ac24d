"""The contract of a filter policy, and the two-step question that the gate asks it.

A window's periodic decision needs no ρ and is taken when the window is formed; a decision that looks at ρ waits for
local inference (DESIGN §5.3). So a policy answers twice: `on_window` at once, and `on_rho` when ρ_t is there. One that
looks at the local model's answer as well has `on_local`, and is asked that in place of `on_rho`.
"""

from __future__ import annotations

import enum
from typing import Protocol, runtime_checkable

from clownfish.messages import Pace, Vector


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


@runtime_checkable
class SeesLocal(Protocol):
    """What a policy has besides, to be asked with the local model's answer."""

    def on_local(self, t: int, rho: float | None, p_local: Vector) -> bool:
        """`on_rho`, with p_local of window t, (classes,). Where that is not known, `on_rho` is asked after all."""


@runtime_checkable
class Paced(Protocol):
    """What a policy has besides, to be told by the uplink how much to send."""

    def pace(self, pace: Pace) -> None:
        """From the next window on."""
