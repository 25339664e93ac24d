"""The contract of an engine (layer 1): a described network, or a user's ONNX file, made ready to answer.

All that takes long (tracing, calibration, compilation) happens in the constructor, nothing on the first window. An
engine computes on one thread where it computes on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import torch
from torch import Tensor, nn

from clownfish.errors import ModelError
from clownfish.models.description import ModelDescription

if TYPE_CHECKING:
    from clownfish.models.adapter import Network

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["fp32", "bf16", "fp16"]

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

Answer = tuple[Tensor, Tensor]
"""(embedding, logits), of shapes (batch, features) and (batch, classes)."""


@dataclass(frozen=True)
class Task:
    """What an engine is to run, and how."""

    description: ModelDescription
    network: Network | None
    """In eval mode, fp32, on the CPU; the engine may change it. None where the model is an ONNX file."""
    onnx_file: Path | None = None
    """The user's own, where the model is one."""
    device: Device = "auto"
    precision: Precision = "fp32"
    calibration: Callable[[], Iterator[Tensor]] | None = None
    """Inputs from real windows, each of batch 1; None where none were named."""

    def require_network(self, engine: str) -> Network:
        """Raises ModelError where the model is an ONNX file."""
        if self.network is None:
            raise ModelError(
                f"engine {engine!r} runs no ONNX file, which model {self.description.name!r} is; "
                "use engine 'onnxruntime' or 'openvino'"
            )
        return self.network


class Engine(Protocol):
    """Constructed from a `Task`; raises ModelError where it cannot run it, saying what to do."""

    device: torch.device
    """Where inputs must lie."""
    dtype: torch.dtype
    """Of inputs."""
    runs_on: str
    """What really computes, for people: `cpu`, `cuda`, `TensorRT` …"""
    weights_bytes: int
    """Of the weights as they are given to what computes."""

    def __init__(self, task: Task) -> None: ...

    @staticmethod
    def precisions(device: Device) -> tuple[Precision, ...]:
        """Those worth measuring on that device."""

    def run(self, x: Tensor) -> Answer:
        """`x`: normalised windows, (batch, 3, frames, height, width) in the device and precision above, stored
        channels last. What is returned is not overwritten by the next call. Called in inference mode."""


class EngineMissing(ModelError):
    """A package that the engine needs is not installed."""

    def __init__(self, engine: str, extra: str, error: ImportError) -> None:
        super().__init__(f"engine {engine!r} cannot be loaded ({error}); needs: pip install 'clownfish[{extra}]'")


class Frames(nn.Module):
    """A network that takes frames as they lie in memory, (batch, frames, height, width, 3), and gives an `Answer`.

    Runtimes get this one: their input is then a view of ours, and the transposition is part of what they optimise.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.eval()

    def forward(self, frames: Tensor) -> Answer:
        embedding = self.network.embed(frames.permute(0, 4, 1, 2, 3))
        return embedding, self.network.head(embedding)


def frames_shape(description: ModelDescription) -> tuple[int, int, int, int, int]:
    """What `Frames` takes for one window."""
    shape = description.input
    return 1, shape.frames, shape.height, shape.width, 3


def one_by_one(run: Callable[[Tensor], Answer], x: Tensor) -> Answer:
    """A batch, window by window, through what is compiled for one. On a CPU's one thread a batch gains next to
    nothing, and a second shape would have to be compiled when it first comes."""
    answers: Sequence[Answer] = [run(x[i : i + 1]) for i in range(len(x))]
    if len(answers) == 1:
        return answers[0]
    embeddings, logits = zip(*answers, strict=True)
    return torch.cat(embeddings), torch.cat(logits)


def cpu_only(engine: str, device: Device) -> torch.device:
    """The CPU. Raises ModelError where another device is asked for."""
    if device == "cuda":
        raise ModelError(f"engine {engine!r} runs on CPUs only, and device is 'cuda'; use 'cpu', or engine 'torch'")
    return torch.device("cpu")
