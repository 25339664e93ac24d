"""FUSE and REINFORCE: one stream's chain of answers (§IV, Alg. 1, Eq. 1-5; DESIGN §5.4-5.8, §6). Layer 0.

The theory of operation. Windows form a chain in the order of t (`fusions.chain`). A link is of one of three kinds:

- *inferred*: p_f(t) = α_t·p_f(t⁻) + (1 − α_t)·p_l(t) and β_t = β(t⁻)·α_t, where t⁻ is the link before it, and
  α_t = ρ_t if β(t⁻) ≥ θ, else 0.5. The first link has p_f = p_l and β = 0.
- *anchor*: its remote result is known, so p_f(t) = (1 − g)·p_l(t) + g·p_r(t) with g = 2/3, and β_t = max p_f(t).
  Nothing before an anchor reaches it or anything after it, so a replay ends there.
- *gap anchor*: its remote result is known, but local inference skipped it: p_f = p_r. It carries the chain on and is
  itself never answered for, because revision 0 exists for inferred windows only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from clownfish.fusions.chain import Chain, Float64, Link

__all__ = ["FALLBACK_ALPHA", "Float64", "Fusion"]

FALLBACK_ALPHA = 0.5
"""α where no remote answer is trusted (Alg. 1, line "else"), and where ρ_t is undefined."""


class Fusion(Chain):
    """The fused answers of one stream and epoch: the paper's method, `exponential`.

    `theta` is θ, below which a fused answer's weight β no longer counts as remote influence. `remote_weight` is g, the
    remote result's share in an anchor (§IV-C uses 2/3; 1 is Eq. 2's bare p_r). `horizon` is how many windows are kept:
    an older remote result is late. `anchor_beta="one"` is Eq. 4's β = 1 in place of max p_f. `fallback_alpha`, an
    option of the method, is Alg. 1's 0.5.
    """

    def __init__(
        self,
        theta: float = 0.5,
        remote_weight: float = 2 / 3,
        horizon: int = 64,
        *,
        stream: str = "",
        epoch: int = 0,
        classes: Sequence[str] = (),
        anchor_beta: Literal["max", "one"] = "max",
        fallback_alpha: float = FALLBACK_ALPHA,
    ) -> None:
        super().__init__(theta, horizon, stream=stream, epoch=epoch, classes=classes)
        if not 0 <= remote_weight <= 1 or not 0 <= fallback_alpha < 1:
            raise ValueError(
                f"remote_weight {remote_weight} must lie in [0, 1], and fallback_alpha {fallback_alpha} in [0, 1)"
            )
        self.remote_weight = remote_weight
        self.anchor_beta = anchor_beta
        self.fallback_alpha = fallback_alpha

    def _compute(self, link: Link, previous: Link | None) -> None:
        """Set p_f, α and β of `link`: the one place where the equations stand."""
        p_l, p_r = link.p_local, link.p_remote
        if p_r is not None:
            g = self.remote_weight
            link.p_fused = p_r if p_l is None else (1 - g) * p_l + g * p_r
            link.alpha = 0.0
            link.beta = 1.0 if self.anchor_beta == "one" else min(1.0, float(link.p_fused.max()))
            return
        assert p_l is not None  # a link has a local or a remote result
        if previous is None:
            link.p_fused, link.alpha, link.beta = p_l, 0.0, 0.0
            return
        trusted = previous.beta >= self.theta and link.rho is not None
        link.alpha = link.rho if trusted and link.rho is not None else self.fallback_alpha
        link.p_fused = link.alpha * previous.p_fused + (1 - link.alpha) * p_l
        link.beta = previous.beta * link.alpha
