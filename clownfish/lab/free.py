"""A model that costs nothing, so that what is left is the graph's own cost. Plugs in as any user's own model does:
`model = "clownfish.lab.free:FreeModel"`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clownfish.messages import Pixels
from clownfish.models.base import Inference


class FreeModel:
    """A `WindowModel` that looks at nothing and always answers the same."""

    name = "free"
    classes = tuple(f"class-{i}" for i in range(9))
    window_size = 16

    def __init__(self) -> None:
        self._p = np.full(len(self.classes), 1 / len(self.classes), np.float32)

    def infer(self, windows: Sequence[Sequence[Pixels]]) -> Inference:
        """Uniform p and, as feature, the same vector; see `WindowModel.infer`."""
        p = np.tile(self._p, (len(windows), 1))
        return Inference(p=p, feature=p)
