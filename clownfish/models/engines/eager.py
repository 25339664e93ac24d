"""The engine `torch`: the network as it is, on any device, in fp32, bf16 or fp16, weights channels last."""

from __future__ import annotations

import torch
from torch import Tensor

from clownfish.errors import ModelError
from clownfish.models.adapter import Network
from clownfish.models.engines.base import DTYPES, Answer, Device, Precision, Task
from clownfish.models.frame_features import sees_frames


class Eager:
    """See `base.Engine`."""

    def __init__(self, task: Task) -> None:
        self.device = pick_device(task.device)
        self.dtype = DTYPES[task.precision]
        self.runs_on = self.device.type
        self._network = network = channels_last(task.require_network("torch").to(self.device, self.dtype))
        self.frame_by_frame = network if sees_frames(network) else None
        self.weights_bytes = sum(each.nbytes for each in self._network.state_dict().values())

    @staticmethod
    def precisions(device: Device) -> tuple[Precision, ...]:
        """Without fp16 on CPUs, where it took fifteen times as long as fp32."""
        cuda = device != "cpu" and torch.cuda.is_available()
        return ("fp32", "bf16", "fp16") if cuda else ("fp32", "bf16")

    def run(self, x: Tensor) -> Answer:
        embedding = self._network.embed(x)
        return embedding, self._network.head(embedding)


def pick_device(device: Device) -> torch.device:
    """ "auto" is CUDA where it works. Raises ModelError for "cuda" where it does not."""
    if device == "cuda" and not torch.cuda.is_available():
        raise ModelError("device is 'cuda', but torch finds no CUDA device; use 'auto' or 'cpu'")
    return torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")


def channels_last(network: Network) -> Network:
    """The same network, its convolutions' weights laid out channels last: up to twice as fast, forward and backward."""
    for parameter in network.parameters():
        if parameter.ndim >= 4:
            layout = torch.channels_last if parameter.ndim == 4 else torch.channels_last_3d
            parameter.data = parameter.data.contiguous(memory_format=layout)
    return network
