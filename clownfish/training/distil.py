"""Distillation: the local model learns from the remote one's answers beside the labels (Hinton, Vinyals, Dean,
"Distilling the Knowledge in a Neural Network", 2015)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from clownfish.classes import difference
from clownfish.errors import ConfigError, ModelError
from clownfish.models.description import InputDescription, read_description
from clownfish.models.load import build, channels_last, load_weights
from clownfish.training.config import Distil
from clownfish.zoo import locate


class Teacher:
    """A trained classifier that answers for the windows that its student learns from, at its own input size.

    Raises ModelError where the weights cannot be read or the classes differ from the student's, ConfigError where it
    sees other frames.
    """

    def __init__(self, options: Distil, classes: Sequence[str], shape: InputDescription, device: torch.device) -> None:
        description = read_description(options.teacher)
        clause = difference(classes, description.classes)
        if clause is not None:
            raise ModelError(
                f"distil.teacher {options.teacher} {clause}, compared with the data set; a teacher must know the same "
                "classes in the same order"
            )
        self.input = description.input
        if self.input.window_size != shape.window_size or self.input.frame_step % shape.frame_step:
            raise ConfigError(
                f"distil.teacher {options.teacher} sees every {self.input.frame_step}th of {self.input.window_size} "
                f"frames, its student every {shape.frame_step}th of {shape.window_size}: windows must be of one size, "
                "and the teacher's step a multiple of the student's"
            )
        network = build(description)
        load_weights(network, locate(options.teacher).with_suffix(".safetensors"), description)
        self._network = channels_last(network).to(device).eval()
        self._temperature = description.temperature

    def logits(self, x: Tensor) -> Tensor:
        """Calibrated ones, (batch, classes) of windows (batch, 3, frames, height, width)."""
        with torch.no_grad():
            logits: Tensor = self._network(x)
        return logits.float() / self._temperature


def divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T² · KL(softmax(teacher / T) ‖ softmax(student / T)), mean over the batch; T² keeps its gradients' size whatever
    T is. Logits, (batch, classes)."""
    log_p = F.log_softmax(teacher / temperature, dim=1)
    log_q = F.log_softmax(student / temperature, dim=1)
    return temperature**2 * F.kl_div(log_q, log_p, reduction="batchmean", log_target=True)
