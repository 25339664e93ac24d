"""The contract of a classifier over windows (layer 1; torch is imported in this folder and in training code, nowhere
else)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from clownfish.messages import Pixels


@dataclass(frozen=True, slots=True)
class Inference:
    """Answers for a batch of windows."""

    p: npt.NDArray[np.float32]
    """Calibrated class probabilities, shape (batch, classes)."""
    feature: npt.NDArray[np.float32]
    """Feature vectors as the description names them, shape (batch, features)."""


class WindowModel(Protocol):
    """A loaded model. `infer` is called from one thread at a time and holds the GIL as little as torch allows."""

    name: str
    classes: tuple[str, ...]
    window_size: int
    """Frames that `infer` expects in each window."""

    def infer(self, windows: Sequence[Sequence[Pixels]]) -> Inference:
        """Each window: `window_size` frames, oldest first, uint8 RGB (height, width, 3), any size: resized here."""
