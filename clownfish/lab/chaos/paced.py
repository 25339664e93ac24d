"""A small real network as a worker's model, slowed down: `model = "clownfish.lab.chaos.paced:PacedModel"`.

It answers as `zoo:shapes/local` does, and takes a tenth of a second for each window, of which it computes a few
milliseconds: so a cloud's capacity is known on any machine, and is not what the edges beside it leave of the processor.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from clownfish.messages import Pixels
from clownfish.models.base import Inference, WindowModel
from clownfish.zoo import read_classes

NETWORK = "zoo:shapes/local"
WINDOW_S = 0.1


class PacedModel:
    """A `WindowModel`."""

    name = "paced"
    classes = read_classes(NETWORK)
    window_size = 16

    def __init__(self) -> None:
        from clownfish.models.load import load_model  # here: who reads only the classes needs no torch

        self._model: WindowModel = load_model(NETWORK)

    def infer(self, windows: Sequence[Sequence[Pixels]]) -> Inference:
        """See `WindowModel.infer`."""
        begin = time.monotonic()
        answer = self._model.infer(windows)
        time.sleep(max(0.0, begin + WINDOW_S * len(windows) - time.monotonic()))
        return answer
