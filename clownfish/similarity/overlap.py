"""Overlap: how far two answers of the local model agree, alone or as a factor of another similarity. Not in the paper.

SimiNet judges windows that share most of their frames, and where contexts change slowly, or by less than what moves
within one, its ρ hardly falls: an old remote answer then stays believed. Where the local model is sure of one class,
and then of another, the overlap of its answers falls, too; the product of both believes what neither doubts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from clownfish.messages import Vector
from clownfish.similarity.base import Inferred, Similarity


class Overlap:
    """ρ = Σ_c √(p_{t−1}(c) · p_t(c)), the Bhattacharyya coefficient; times the ρ of another similarity if one is named.

    `of` is that one's name; all other options are its own: `{ kind = "overlap", of = "siminet", weights = "…" }`.
    """

    def __init__(self, of: str = "", **options: Any) -> None:
        """Raises ConfigError for an unknown name, and what that similarity raises."""
        from clownfish.similarity import SIMILARITIES

        if not of and options:
            raise TypeError(f"options {', '.join(sorted(options))} belong to no similarity; name it in `of`")
        self._of: Similarity | None = SIMILARITIES.get(of)(**options) if of else None

    def rho(self, previous: Inferred, current: Inferred) -> float:
        """ρ in float64."""
        rho = overlap(previous.p, current.p)
        return rho if self._of is None else rho * self._of.rho(previous, current)


def overlap(p: Vector, q: Vector) -> float:
    """Of two distributions over the same classes: 1 where they are equal, 0 where they share no class."""
    return min(1.0, float(np.sqrt(p.astype(np.float64) * q).sum()))
