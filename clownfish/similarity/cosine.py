"""Cosine similarity, of the answers or of the features (one of the paper's comparisons for SimiNet, §V)."""

from __future__ import annotations

from typing import Literal

import numpy as np

from clownfish.errors import ConfigError
from clownfish.similarity.base import Inferred


class Cosine:
    """ρ = a·b ÷ (‖a‖‖b‖), clipped to [0, 1]: features that point apart are as unlike as can be."""

    def __init__(self, on: Literal["p", "feature"] = "p") -> None:
        """`on`: what is compared, p_local or the feature vector. Raises ConfigError."""
        if on not in ("p", "feature"):
            raise ConfigError(f"cosine: on is {on!r}; expected 'p' or 'feature'")
        self.on = on

    def rho(self, previous: Inferred, current: Inferred) -> float:
        """ρ in float64. Two zero vectors are the same (1), a zero vector and another are not (0)."""
        a = np.asarray(getattr(previous, self.on), dtype=np.float64)
        b = np.asarray(getattr(current, self.on), dtype=np.float64)
        # Scaled by its largest entry, no vector's squares can overflow or vanish.
        scale_a, scale_b = float(np.abs(a).max(initial=0.0)), float(np.abs(b).max(initial=0.0))
        if scale_a == 0.0 or scale_b == 0.0:
            return 1.0 if scale_a == scale_b else 0.0
        a, b = a / scale_a, b / scale_b
        return float(np.clip(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)), 0.0, 1.0))
