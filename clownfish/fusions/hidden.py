"""A hidden Markov chain over contexts, as far as it is learnt: evidence, leaving, and what windows that follow tell.

The hidden context of a window is the class that it is scored by. From window to window it is left with a probability
that ρ and the class itself tell, P(leave k | ρ) = σ(a·logit ρ + b_k), for another by a matrix of what follows what.
Each model's answer is evidence: log-likelihoods are an affine map of log p, so that calibration, what a model takes for
what, the prior it was trained under, and the tempering that windows need which share 75 % of their frames are all one
matrix, learnt on held-out streams (`clownfish train fuser`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clownfish.fusions.chain import Float64, Link
from clownfish.fusions.vectors import logit, logs


def shapes(classes: int) -> dict[str, tuple[int, ...]]:
    """The tensors of a chain over that many classes, as `weights.Learnt.shaped` takes them."""
    k = classes
    return {
        "local_weight": (k, k),
        "local_bias": (k,),
        "remote_weight": (k, k),
        "remote_bias": (k,),
        "leave_slope": (1,),
        "leave_bias": (k,),
        "next": (k, k),
    }


class Hidden:
    """Built from the tensors of `shapes`, in that order."""

    def __init__(self, tensors: Sequence[Float64]) -> None:
        self._local, self._local_bias, self._remote, self._remote_bias, slope, self._leave_bias, self.next = tensors
        self._slope = float(slope[0])
        self._nothing = np.zeros(len(self.next))

    def evidence(self, link: Link) -> Float64:
        """Log-likelihood of each context, up to a constant, shape (classes,)."""
        evidence = self._nothing
        if link.p_local is not None:
            evidence = evidence + logs(link.p_local) @ self._local + self._local_bias
        if link.p_remote is not None:
            evidence = evidence + logs(link.p_remote) @ self._remote + self._remote_bias
        return evidence

    def leave(self, rho: float | None) -> Float64:
        """Probability that each context was left since the window before, shape (classes,)."""
        return np.asarray(1 / (1 + np.exp(-(self._slope * logit(rho) + self._leave_bias))))

    def message(self, following: Sequence[Float64]) -> Float64:
        """How likely each context makes what was said of the windows that follow, scaled to sum 1; shape (classes,).

        `following`: likelihood and leave, one behind the other, of each of those windows, oldest first.
        """
        k = len(self.next)
        message: Float64 = np.full(k, 1 / k)
        for memory in reversed(following):
            stayed = memory[:k] * message
            message = stayed + memory[k:] * (self.next @ stayed - stayed)
            message = message / message.sum()
        return message


def likelihood(evidence: Float64) -> Float64:
    """Largest entry 1."""
    return np.asarray(np.exp(evidence - evidence.max()))
