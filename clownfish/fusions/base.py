"""The contract of a fusion method (DESIGN §6): what `services.fusion` and replay ask of it, and what it must keep to.

Whatever the method: revision 0 of each inferred window at once and in order; revision r + 1 of every window whose
vector a remote result changed; one closing revision, `final`, for each. State depends on which results have come, not
on when. At most `horizon` windows are kept.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

from clownfish.messages import FusedResult, Vector
from clownfish.registry import Registry


class FusionMethod(Protocol):
    """One instance per (stream, epoch).

    It is built with theta, remote_weight, horizon, anchor_beta, stream, epoch and classes, all by name, and with its
    own options beside them.
    """

    horizon: int
    newest: int | None
    """Index of the newest inferred window."""
    applied: int
    """Remote results that are, or became, anchors."""
    late: int
    """Remote results dropped because their window had left the horizon."""
    duplicate: int
    """Remote results dropped because their window had one already."""

    def fuse(self, t: int, p_local: Vector, rho: float | None) -> FusedResult:
        """The answer for the newly inferred window `t`, at revision 0. Raises ValueError for what is no such window."""

    def reinforce(self, t: int, p_remote: Vector) -> list[FusedResult]:
        """Apply the remote result of window `t`: the windows that it revises, oldest first. Raises ValueError where it
        is no distribution over the same classes."""

    def closed(self) -> list[FusedResult]:
        """Closing revisions of windows that left the horizon since the last call, oldest first."""

    def finish(self) -> list[FusedResult]:
        """End of stream: the closing revision of every window not closed yet, oldest first."""

    def state(self) -> list[tuple[int, bytes, float, float]]:
        """(t, bytes of what it knows, α, β) of every window kept: equal lists are states equal to the bit."""


class MethodChoice(Protocol):
    """`settings.Plugin`, as far as it is needed here."""

    def build(self, registry: Registry[Any], **given: Any) -> Any: ...


class FusionSettings(Protocol):
    """`settings.FusionSection`, as far as it is needed here."""

    @property
    def theta(self) -> float: ...
    @property
    def remote_weight(self) -> float: ...
    @property
    def horizon(self) -> int: ...
    @property
    def anchor_beta(self) -> Literal["max", "one"]: ...
    @property
    def method(self) -> MethodChoice: ...
