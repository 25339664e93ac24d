"""FUSE and REINFORCE: one stream's chain of answers (§IV, Alg. 1, Eq. 1-5; DESIGN §5.4-5.8, §6). Layer 0.

The theory of operation. Windows form a chain in the order of t. A link is of one of three kinds:

- *inferred*: p_f(t) = α_t·p_f(t⁻) + (1 − α_t)·p_l(t) and β_t = β(t⁻)·α_t, where t⁻ is the link before it, and
  α_t = ρ_t if β(t⁻) ≥ θ, else 0.5. The first link has p_f = p_l and β = 0.
- *anchor*: its remote result is known, so p_f(t) = (1 − g)·p_l(t) + g·p_r(t) with g = 2/3, and β_t = max p_f(t).
  Nothing before an anchor reaches it or anything after it.
- *gap anchor*: its remote result is known, but local inference skipped it: p_f = p_r. It carries the chain on and is
  itself never answered for, because revision 0 exists for inferred windows only.

So the chain's state is a function of *which* results are known, not of when they came. REINFORCE makes a link an anchor
and replays from there to the link before the next anchor. A result that is late leaves the state that an on-time one
would have left, bit for bit: both run the same code on the same operands.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from clownfish.messages import FusedResult, Source, Vector

Float64 = npt.NDArray[np.float64]

FALLBACK_ALPHA = 0.5
"""α where no remote answer is trusted (Alg. 1, line "else"), and where ρ_t is undefined."""

_SUM_TOLERANCE = 1e-3
"""How far a vector's sum may be from 1 before it is no distribution: a half-precision softmax stays within."""


@dataclass(slots=True)
class _Link:
    """One window in the chain. `p_local` is None in a gap anchor, `p_remote` in a link that is no anchor."""

    t: int
    p_local: Float64 | None
    rho: float | None
    p_remote: Float64 | None = None
    p_fused: Float64 = field(default_factory=lambda: np.empty(0))
    alpha: float = 0.0
    beta: float = 0.0
    revision: int = 0
    lag: int | None = None


class Fusion:
    """The fused answers of one stream and epoch.

    `theta` is θ, below which a fused answer's weight β no longer counts as remote influence. `remote_weight` is g, the
    remote result's share in an anchor (§IV-C uses 2/3; 1 is Eq. 2's bare p_r). `horizon` is how many windows are kept:
    an older remote result is late. `anchor_beta="one"` is Eq. 4's β = 1 in place of max p_f.
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
    ) -> None:
        if not 0 <= theta <= 1 or not 0 <= remote_weight <= 1:
            raise ValueError(f"theta {theta} and remote_weight {remote_weight} must lie in [0, 1]")
        if horizon < 1:
            raise ValueError(f"horizon {horizon} must be at least one window")
        self.theta = theta
        self.remote_weight = remote_weight
        self.horizon = horizon
        self.stream = stream
        self.epoch = epoch
        self.classes = tuple(classes)
        self.anchor_beta = anchor_beta
        self.newest: int | None = None
        """Index of the newest inferred window."""
        self.late = 0
        """Remote results dropped because their window had left the horizon."""
        self.duplicate = 0
        """Remote results dropped because their window had one already."""
        self.applied = 0
        """Remote results that are, or became, anchors."""
        self._chain: OrderedDict[int, _Link] = OrderedDict()
        """The last `horizon` windows' links, oldest first."""
        self._early: dict[int, Float64] = {}
        """Remote results for windows after `newest`, kept for their local ones."""
        self._closed: list[FusedResult] = []
        self._closed_through = -1
        """Windows up to this index can change no more."""
        self._size: int | None = len(self.classes) or None

    # -- the calls

    def fuse(self, t: int, p_local: Vector, rho: float | None) -> FusedResult:
        """FUSE (Alg. 1): the answer for the newly inferred window `t`, at revision 0.

        `p_local` has shape (classes,); `rho` is ρ_t in [0, 1] to the window inferred before it, None where undefined.
        Raises ValueError where `t` is not after the newest, or `p_local` or `rho` is not what it should be.
        """
        if self.newest is not None and t <= self.newest:
            raise ValueError(f"window {t} comes after window {self.newest}: windows are fused once, in order")
        if t < 0:
            raise ValueError(f"window {t}: the index of a window is not negative")
        p_l = self._distribution(p_local, "p_local")
        if rho is not None:
            rho = float(rho)
            if not 0 <= rho <= 1:
                raise ValueError(f"rho of window {t} is {rho}: it must lie in [0, 1]")
        for t_gap in sorted(t_early for t_early in self._early if t_early < t):
            self._append(_Link(t_gap, None, None, p_remote=self._early.pop(t_gap)))
        lag = 0 if t in self._early else None
        link = _Link(t, p_l, rho, p_remote=self._early.pop(t, None), lag=lag)
        self._append(link)
        self.newest = t
        self._forget(t - self.horizon)
        return self._result(link)

    def reinforce(self, t: int, p_remote: Vector) -> list[FusedResult]:
        """REINFORCE (§IV-C): apply the remote result of window `t` and replay what followed it.

        Returns the revised windows, oldest first, each with revision + 1: those whose vector changed. Empty when the
        result is late (older than the horizon), a duplicate, or of a window not yet inferred (it is kept for it then).
        Raises ValueError where `p_remote` is no distribution over the same classes.
        """
        p_r = self._distribution(p_remote, "p_remote")
        if self.newest is None or t > self.newest:
            self._keep_early(t, p_r)
            return []
        if t <= self._closed_through:
            self.late += 1
            return []
        link = self._chain.get(t)
        if link is not None and link.p_remote is not None:
            self.duplicate += 1
            return []
        self.applied += 1
        if link is None:
            link = _Link(t, None, None)
            self._chain[t] = link
            self._chain = OrderedDict(sorted(self._chain.items()))
        link.p_remote = p_r
        return self._replay_from(t, lag=self.newest - t)

    def finish(self) -> list[FusedResult]:
        """End of stream: the closing revision of every window not closed yet, oldest first."""
        if self.newest is not None:
            self._forget(self.newest)
        self._early.clear()
        return self.closed()

    def closed(self) -> list[FusedResult]:
        """Closing revisions (`final` set) of windows that left the horizon since the last call, oldest first.

        To be called after each `fuse` where memory matters: uncollected revisions wait here, or for `finish`.
        """
        closed, self._closed = self._closed, []
        return closed

    # -- the chain

    def state(self) -> list[tuple[int, bytes, float, float]]:
        """(t, p_fused's bytes, α, β) of every link: equal lists are states equal to the bit."""
        return [(link.t, link.p_fused.tobytes(), link.alpha, link.beta) for link in self._chain.values()]

    def _compute(self, link: _Link, previous: _Link | None) -> None:
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
        link.alpha = link.rho if trusted and link.rho is not None else FALLBACK_ALPHA
        link.p_fused = link.alpha * previous.p_fused + (1 - link.alpha) * p_l
        link.beta = previous.beta * link.alpha

    def _append(self, link: _Link) -> None:
        previous = next(reversed(self._chain.values())) if self._chain else None
        self._compute(link, previous)
        self._chain[link.t] = link

    def _replay_from(self, t: int, lag: int) -> list[FusedResult]:
        revised = []
        previous: _Link | None = None
        for link in self._links_from(t):
            if link.t != t and link.p_remote is not None:
                break
            before = link.p_fused
            self._compute(link, previous)
            previous = link
            if link.p_local is not None and not np.array_equal(before, link.p_fused):
                link.revision += 1
                link.lag = lag
                revised.append(self._result(link))
        return revised

    def _links_from(self, t: int) -> Iterator[_Link]:
        """Links from window `t` on, oldest first. Walks back from the newest: a lag is short, the horizon long."""
        links = []
        for link in reversed(self._chain.values()):
            if link.t < t:
                break
            links.append(link)
        return reversed(links)

    def _keep_early(self, t: int, p_r: Float64) -> None:
        if t in self._early:
            self.duplicate += 1
            return
        self.applied += 1
        self._early[t] = p_r
        if len(self._early) > self.horizon:  # a peer that answers for windows nobody formed must not fill the memory
            self._early.pop(min(self._early))
            self.applied -= 1
            self.late += 1

    def _forget(self, t_last: int) -> None:
        """Close and drop links up to window `t_last`."""
        self._closed_through = max(self._closed_through, t_last)
        while self._chain:
            link = next(iter(self._chain.values()))
            if link.t > t_last:
                return
            if link.p_local is not None:
                link.revision += 1
                self._closed.append(self._result(link, final=True))
            del self._chain[link.t]

    # -- values

    def _distribution(self, p: Vector, name: str) -> Float64:
        vector = np.array(p, dtype=np.float64)
        if self._size is None and vector.ndim == 1 and vector.size:
            self._size = vector.size
        if vector.shape != (self._size,):
            raise ValueError(f"{name} has shape {vector.shape}; expected one entry for each of {self._size} classes")
        total = float(vector.sum())
        if not np.isfinite(total) or vector.min() < 0 or abs(total - 1) > _SUM_TOLERANCE:
            raise ValueError(f"{name} is no distribution: smallest {vector.min()}, sum {total}; expected ≥ 0 and 1")
        vector /= total
        vector.flags.writeable = False
        return vector

    def _result(self, link: _Link, final: bool = False) -> FusedResult:
        best = int(link.p_fused.argmax())
        source: Source = "local"
        if link.p_remote is not None:
            source = "remote"
        elif link.beta >= self.theta:
            source = "fused"
        return FusedResult(
            stream=self.stream,
            epoch=self.epoch,
            t=link.t,
            revision=link.revision,
            p=link.p_fused,
            label=self.classes[best] if self.classes else str(best),
            confidence=float(link.p_fused[best]),
            rho=link.rho,
            alpha=link.alpha,
            beta=link.beta,
            lag=link.lag,
            source=source,
            final=final,
        )
