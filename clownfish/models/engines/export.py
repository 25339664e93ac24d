"""A network as a graph that other runtimes read: through torch.export, for one window (layer 1)."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from clownfish.errors import ModelError
from clownfish.models.adapter import Network
from clownfish.models.description import ModelDescription
from clownfish.models.engines.base import Frames, frames_shape

OPSET = 18
"""Of ONNX: old enough for the runtimes that JetPack 6 brings, and the one that torch's exporter is written for."""


def exported(network: Network, description: ModelDescription, dtype: torch.dtype = torch.float32) -> Any:
    """`Frames(network)` as a torch.export.ExportedProgram. Raises ModelError where the network cannot be exported."""
    with quiet():
        try:
            return torch.export.export(Frames(network), (torch.zeros(frames_shape(description), dtype=dtype),))
        except Exception as error:  # torch.export runs the network's own code, and has no one error of its own
            raise cannot("exported", description, error) from error


def write_onnx(path: Path, network: Network, description: ModelDescription, dtype: torch.dtype = torch.float32) -> None:
    """The network as an ONNX file with the input `frames` and the outputs `embedding` and `logits`.

    Raises ModelError where it cannot be exported, and ImportError without the packages onnx and onnxscript.
    """
    program = exported(network, description, dtype)
    with quiet():
        try:
            torch.onnx.export(
                program,
                (),
                path,
                dynamo=True,
                opset_version=OPSET,
                external_data=False,
                input_names=["frames"],
                output_names=["embedding", "logits"],
                verbose=False,
            )
        except ImportError:
            raise
        except Exception as error:  # as above
            raise cannot("written as ONNX", description, error) from error


def cannot(done: str, description: ModelDescription, error: Exception) -> ModelError:
    """What to say of a network that torch or a runtime does not take."""
    lines = str(error).strip().splitlines() or [""]
    return ModelError(
        f"model {description.name!r}: architecture {description.architecture!r} cannot be {done} "
        f"({type(error).__name__}: {lines[0][:200]}); use engine 'torch'"
    )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what torch's exporters say of themselves: deprecations inside torch, and packages that we do not need."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export")]
    levels = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)
