"""Arithmetic that learnt fusion methods share; what trains them (`models.fusers`) computes the same in torch."""

from __future__ import annotations

import math

import numpy as np

from clownfish.fusions.chain import Float64
from clownfish.messages import Vector

FLOOR = 1e-4
"""Probabilities count as at least this before their logarithm is taken."""

RHO_EDGE = 1e-3
"""ρ counts as no nearer to 0 or 1 than this."""

UNDEFINED_RHO = 0.5
"""What ρ counts as where it is undefined."""


def logs(p: Vector) -> Float64:
    """log p, no lower than log FLOOR."""
    return np.log(np.maximum(p, FLOOR))


def logit(rho: float | None) -> float:
    """Of ρ, kept off 0 and 1."""
    rho = min(max(UNDEFINED_RHO if rho is None else rho, RHO_EDGE), 1 - RHO_EDGE)
    return math.log(rho / (1 - rho))


def softmax(x: Float64) -> Float64:
    """Of one vector."""
    e = np.exp(x - x.max())
    return np.asarray(e / e.sum())
