"""The chain of windows that every fusion method runs over: arrivals, replay, revisions, closing (DESIGN §5.6-5.8, §6).

The theory of operation. Windows form a chain in the order of t. A link is of one of three kinds:

- *inferred*: its local result is known.
- *anchor*: its remote result is known, too.
- *gap anchor*: its remote result is known, but local inference skipped it. It carries the chain on and is itself never
  answered for, because revision 0 exists for inferred windows only.

A method says one thing, `_compute`: what a link is, given its own results and the link before it. So the chain's state
is a function of *which* results are known, not of when they came. When a late result comes, the chain is computed again
from its link on, to the first link that comes out as it was: what follows that one cannot change either. A result that
is late leaves the state that an on-time one would have left, bit for bit: both run the same code on the same operands.

A method may also look back (`_closing`): what a window's closing revision says may depend on the windows after it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from clownfish.messages import FusedResult, Source, Vector

Float64 = npt.NDArray[np.float64]

_SUM_TOLERANCE = 1e-3
"""How far a vector's sum may be from 1 before it is no distribution: a half-precision softmax stays within."""

_NOTHING: Float64 = np.empty(0)


@dataclass(slots=True)
class Link:
    """One window in the chain. `p_local` is None in a gap anchor, `p_remote` in a link that is no anchor."""

    t: int
    p_local: Float64 | None
    rho: float | None
    p_remote: Float64 | None = None
    p_fused: Float64 = field(default_factory=lambda: _NOTHING)
    memory: Float64 = field(default_factory=lambda: _NOTHING)
    """What a method hands on beside p_f, α and β: the state of a filter or of a network."""
    alpha: float = 0.0
    beta: float = 0.0
    revision: int = 0
    lag: int | None = None


class Chain:
    """One stream's and epoch's windows, newest `horizon` of them; a fusion method but for `_compute`.

    `theta` is θ, below which a fused answer's weight β no longer counts as remote influence (a result's `source`).
    An older remote result than `horizon` windows is late.
    """

    def __init__(
        self,
        theta: float = 0.5,
        horizon: int = 64,
        *,
        stream: str = "",
        epoch: int = 0,
        classes: Sequence[str] = (),
    ) -> None:
        if not 0 <= theta <= 1:
            raise ValueError(f"theta {theta} must lie in [0, 1]")
        if horizon < 1:
            raise ValueError(f"horizon {horizon} must be at least one window")
        self.theta = theta
        self.horizon = horizon
        self.stream = stream
        self.epoch = epoch
        self.classes = tuple(classes)
        self.newest: int | None = None
        """Index of the newest inferred window."""
        self.late = 0
        """Remote results dropped because their window had left the horizon."""
        self.duplicate = 0
        """Remote results dropped because their window had one already."""
        self.applied = 0
        """Remote results that are, or became, anchors."""
        self._chain: OrderedDict[int, Link] = OrderedDict()
        """The last `horizon` windows' links, oldest first."""
        self._before: Link | None = None
        """The link that was closed last: what the oldest one kept was computed from."""
        self._early: dict[int, Float64] = {}
        """Remote results for windows after `newest`, kept for their local ones."""
        self._closed: list[FusedResult] = []
        self._closed_through = -1
        """Windows up to this index can change no more."""
        self._size: int | None = len(self.classes) or None

    # -- what a method says

    def _compute(self, link: Link, previous: Link | None) -> None:
        """Set p_f, α, β and memory of `link`, from its results and from the link before it and nothing else.

        `previous` is None for a stream's first link.
        """
        raise NotImplementedError

    def _closing(self, link: Link, following: Iterator[Link]) -> Float64:
        """The vector of a window's closing revision; `following` are the links after it that are kept, oldest first."""
        return link.p_fused

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
            self._append(Link(t_gap, None, None, p_remote=self._early.pop(t_gap)))
        lag = 0 if t in self._early else None
        link = Link(t, p_l, rho, p_remote=self._early.pop(t, None), lag=lag)
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
            link = Link(t, None, None)
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

    def state(self) -> list[tuple[int, bytes, float, float]]:
        """(t, bytes of p_fused and memory, α, β) of every link: equal lists are states equal to the bit."""
        return [
            (link.t, link.p_fused.tobytes() + link.memory.tobytes(), link.alpha, link.beta)
            for link in self._chain.values()
        ]

    # -- the chain

    def _append(self, link: Link) -> None:
        self._compute(link, next(reversed(self._chain.values())) if self._chain else self._before)
        self._chain[link.t] = link

    def _replay_from(self, t: int, lag: int) -> list[FusedResult]:
        revised = []
        previous, links = self._links_from(t)
        for link in links:
            p_before, memory, alpha, beta = link.p_fused, link.memory, link.alpha, link.beta
            self._compute(link, previous)
            previous = link
            changed = not np.array_equal(p_before, link.p_fused)
            if link.p_local is not None and changed:
                link.revision += 1
                link.lag = lag
                revised.append(self._result(link))
            same = not changed and (alpha, beta) == (link.alpha, link.beta) and np.array_equal(memory, link.memory)
            if same and link.t != t:
                break
        return revised

    def _links_from(self, t: int) -> tuple[Link | None, Iterator[Link]]:
        """The link before window `t`, and those from it on, oldest first. Walks back from the newest: a lag is short,
        the horizon long."""
        links: list[Link] = []
        for link in reversed(self._chain.values()):
            if link.t < t:
                return link, reversed(links)
            links.append(link)
        return self._before, reversed(links)

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
            del self._chain[link.t]
            self._before = link
            if link.p_local is not None:
                link.revision += 1
                self._closed.append(self._result(link, final=True, p=self._closing(link, iter(self._chain.values()))))

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

    def _result(self, link: Link, final: bool = False, p: Float64 | None = None) -> FusedResult:
        p = link.p_fused if p is None else p
        best = int(p.argmax())
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
            p=p,
            label=self.classes[best] if self.classes else str(best),
            confidence=float(p[best]),
            rho=link.rho,
            alpha=link.alpha,
            beta=link.beta,
            lag=link.lag,
            source=source,
            final=final,
        )
