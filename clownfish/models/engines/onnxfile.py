"""A user's own ONNX file, with its description beside it, architecture "onnx" (layer 1).

One input, (batch, 3, frames, height, width) float32, normalised as the description says; the output `logits`, (batch,
classes), and, where the description's feature is the embedding, the output `embedding`, (batch, features).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from clownfish.errors import ModelError
from clownfish.models.engines.base import Answer, Task

Shape = Sequence[Any]
"""Of what a file declares: numbers, and names or None where any number will do."""


@dataclass(frozen=True)
class Outputs:
    """Which of a runtime's outputs are which."""

    logits: int
    embedding: int | None

    def answer(self, arrays: Sequence[Any]) -> Answer:
        """(embedding, logits) of one window; the logits twice where the file gives no embedding."""
        logits = torch.from_numpy(arrays[self.logits]).float()
        if self.embedding is None:
            return logits, logits
        return torch.from_numpy(arrays[self.embedding]).float().flatten(1), logits


OURS = Outputs(logits=1, embedding=0)
"""Of `base.Frames`."""


def read_outputs(task: Task, inputs: Sequence[tuple[str, Shape]], outputs: Sequence[str]) -> Outputs:
    """Match what a file declares with the description. Raises ModelError naming what does not fit."""
    shape = task.description.input
    wanted = (1, 3, shape.frames, shape.height, shape.width)
    if len(inputs) != 1:
        raise ModelError(f"{task.onnx_file}: has the inputs {', '.join(name for name, _ in inputs)}; expected one")
    name, read = inputs[0]
    fits = len(read) == len(wanted) and all(
        not isinstance(a, int) or a in (b, -1) for a, b in zip(read, wanted, strict=True)
    )
    if not fits:
        raise ModelError(
            f"{task.onnx_file}: input {name!r} has shape {tuple(read)}; the description says {wanted} "
            "(batch, channels, frames, height, width)"
        )
    names = list(outputs)
    if "logits" not in names and len(names) > 1:
        raise ModelError(f"{task.onnx_file}: has the outputs {', '.join(names)}; one must be called 'logits'")
    embedding = names.index("embedding") if "embedding" in names else None
    if embedding is None and task.description.feature == "embedding":
        raise ModelError(
            f"{task.onnx_file}: has no output 'embedding', which the description names as its feature; its outputs are "
            f'{", ".join(names)}: write feature = "logits", or export the embedding, too'
        )
    return Outputs(names.index("logits") if "logits" in names else 0, embedding)
