"""Euclidean similarity of the answers (one of the paper's comparisons for SimiNet, §V)."""

from __future__ import annotations

import math

import numpy as np

from clownfish.similarity.base import Inferred


class Euclidean:
    """ρ = 1 − ‖p_t − p_{t−1}‖ ÷ √2, clipped to [0, 1].

    √2 is the diameter of the probability simplex (two certain and different answers), so ρ covers [0, 1]. The paper
    names the distance but no scale; this one is ours.
    """

    def rho(self, previous: Inferred, current: Inferred) -> float:
        """ρ in float64."""
        difference = np.asarray(current.p, dtype=np.float64) - np.asarray(previous.p, dtype=np.float64)
        return float(np.clip(1.0 - np.linalg.norm(difference) / math.sqrt(2.0), 0.0, 1.0))
