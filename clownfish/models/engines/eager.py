"""The engine `torch`: the network as it is, on any device, in fp32, bf16 or fp16, weights channels last."""

from __future__ import annotations

import torch
from torch import Tensor

from clownfish.models.engines.base import DTYPES, Answer, Device, Precision, Task
from clownfish.models.frame_features import sees_frames
from clownfish.models.load import channels_last, pick_device


class Eager:
    """See `base.Engine`."""

    def __init__(self, task: Task) -> None:
        self.device = pick_device(task.device)
        self.dtype = DTYPES[task.precision]
        self.runs_on = self.device.type
        self.network = network = channels_last(task.require_network("torch").to(self.device, self.dtype))
        self.frame_by_frame = network if sees_frames(network) else None
        self.weights_bytes = sum(each.nbytes for each in self.network.state_dict().values())

    @staticmethod
    def precisions(device: Device) -> tuple[Precision, ...]:
        """Without fp16 on CPUs, where it took fifteen times as long as fp32."""
        cuda = device != "cpu" and torch.cuda.is_available()
        return ("fp32", "bf16", "fp16") if cuda else ("fp32", "bf16")

    def run(self, x: Tensor) -> Answer:
        embedding = self.network.embed(x)
        return embedding, self.network.head(embedding)
