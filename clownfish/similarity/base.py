"""The contract of a similarity function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from clownfish.messages import Vector


@dataclass(frozen=True, slots=True)
class Inferred:
    """What local inference knows of one window."""

    stream: str
    t: int
    p: Vector
    """Class probabilities, shape (classes,)."""
    feature: npt.NDArray[np.floating]
    """The model's feature vector (logits or pooled embedding, as its description says), shape (features,)."""


class Similarity(Protocol):
    """ρ in [0, 1]: how likely two consecutively inferred windows show the same context. 1 is the same."""

    def rho(self, previous: Inferred, current: Inferred) -> float:
        """Similarity of `current` to `previous`, in that order (SimiNet is not symmetric)."""
