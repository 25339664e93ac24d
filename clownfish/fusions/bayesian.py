"""A hidden Markov chain in place of exponential smoothing: which context is it, given all answers so far?

The hidden context of a window is the class that it is scored by. From window to window it is left with a probability
that ρ and the class itself tell, P(leave k | ρ) = σ(a·logit ρ + b_k), for another by a matrix of what follows what.
Each model's answer is evidence: log-likelihoods are an affine map of log p, so that calibration, what a model takes for
what, the prior it was trained under, and the tempering that windows need which share 75 % of their frames are all one
matrix, learnt on held-out streams (`clownfish train fuser`).

p_f is the filtered distribution: the context given what has come of this window and those before it. The closing
revision is smoothed: it looks at `lookahead` windows after its own, too. Revisions between are not: those that
REINFORCE gives begin at the result's window, as the paper's do. A remote result that comes later than horizon −
lookahead windows after its own can come too late for the closing of windows before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Literal

import numpy as np

from clownfish.fusions.chain import Chain, Float64, Link
from clownfish.fusions.vectors import logit, logs, softmax
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
        self._local, self._local_bias, self._remote, self._remote_bias, slope, self._leave, self._next, self._prior = (
            found.shaped(
                local_weight=(k, k),
                local_bias=(k,),
                remote_weight=(k, k),
                remote_bias=(k,),
                leave_slope=(1,),
                leave_bias=(k,),
                next=(k, k),
                prior=(k,),
            )
        )
        self._slope = float(slope[0])
        self._lookahead = found.lookahead
        self._size = k

    def _compute(self, link: Link, previous: Link | None) -> None:
        evidence = np.zeros(self._prior.shape)
        if link.p_local is not None:
            evidence = evidence + logs(link.p_local) @ self._local + self._local_bias
        if link.p_remote is not None:
            evidence = evidence + logs(link.p_remote) @ self._remote + self._remote_bias
        leave = 1 / (1 + np.exp(-(self._slope * logit(link.rho) + self._leave)))
        if previous is None:
            before, link.alpha = self._prior, 0.0
        else:
            left = previous.p_fused * leave
            before = previous.p_fused - left + left @ self._next
            link.alpha = min(1.0, max(0.0, 1 - float(left.sum())))
        link.p_fused = softmax(np.log(before + 1e-12) + evidence)
        link.beta = min(1.0, float(link.p_fused.max()))
        if link.p_remote is None:
            link.beta = 0.0 if previous is None else previous.beta * link.alpha
        link.memory = np.concatenate([np.exp(evidence - evidence.max()), leave])

    def _closing(self, link: Link, following: Iterator[Link]) -> Float64:
        message = np.ones(self._prior.shape)
        for later in reversed(list(islice(following, self._lookahead))):
            likelihood, leave = np.split(later.memory, 2)
            message = likelihood * message
            message = message - leave * message + leave * (self._next @ message)
            message /= message.sum()
        smoothed = link.p_fused * message
        return np.asarray(smoothed / smoothed.sum())
