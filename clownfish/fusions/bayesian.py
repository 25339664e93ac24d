"""A hidden Markov chain in place of exponential smoothing: which context is it, given all answers so far?

p_f is the filtered distribution of the chain that `fusions.hidden` describes: the context given what has come of this
window and those before it. The closing revision is smoothed: it looks at `lookahead` windows after its own, too.
Revisions between are not: those that REINFORCE gives begin at the result's window, as the paper's do. A remote result
that comes later than horizon − lookahead windows after its own can come too late for the closing of windows before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Literal

import numpy as np

from clownfish.fusions.chain import Chain, Float64, Link
from clownfish.fusions.hidden import Hidden, likelihood, shapes
from clownfish.fusions.vectors import softmax
from clownfish.fusions.weights import learnt


class Bayesian(Chain):
    """`weights` names what was learnt. `remote_weight` and `anchor_beta` are the paper's method's and not heeded.

    `alpha` of a result is the probability that the context stayed; `beta` begins at max p_f where a remote result is
    known and is multiplied by α from window to window, as in Alg. 1.
    """

    def __init__(
        self,
        theta: float = 0.5,
        remote_weight: float = 2 / 3,
        horizon: int = 64,
        *,
        weights: str,
        stream: str = "",
        epoch: int = 0,
        classes: Sequence[str] = (),
        anchor_beta: Literal["max", "one"] = "max",
    ) -> None:
        """Raises ModelError where the weights are missing, damaged, or of other classes."""
        super().__init__(theta, horizon, stream=stream, epoch=epoch, classes=classes)
        found = learnt(weights, "bayesian", classes)
        k = len(found.classes)
        *hidden, self._prior = found.shaped(**shapes(k), prior=(k,))
        self._hidden = Hidden(hidden)
        self._lookahead = found.lookahead
        self._size = k

    def _compute(self, link: Link, previous: Link | None) -> None:
        evidence, leave = self._hidden.evidence(link), self._hidden.leave(link.rho)
        if previous is None:
            before, link.alpha = self._prior, 0.0
        else:
            left = previous.p_fused * leave
            before = previous.p_fused - left + left @ self._hidden.next
            link.alpha = min(1.0, max(0.0, 1 - float(left.sum())))
        link.p_fused = softmax(np.log(before + 1e-12) + evidence)
        link.beta = min(1.0, float(link.p_fused.max()))
        if link.p_remote is None:
            link.beta = 0.0 if previous is None else previous.beta * link.alpha
        link.memory = np.concatenate([likelihood(evidence), leave])

    def _closing(self, link: Link, following: Iterator[Link]) -> Float64:
        later = [each.memory for each in islice(following, self._lookahead)]
        if not later:
            return link.p_fused
        smoothed = link.p_fused * self._hidden.message(later)
        return np.asarray(smoothed / smoothed.sum())
