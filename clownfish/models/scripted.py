"""A network as a TorchScript program: NAME.pt beside its NAME.json, whose architecture is "torchscript".

The program takes (batch, 3, frames, height, width), normalised as the description says, and gives logits. One that
exports `embed` and `head` besides, as our own architectures have them, may also have feature "embedding". It runs
whatever is in it: load your own, or one that you trust.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from clownfish.errors import ModelError
from clownfish.models.description import ModelDescription


class Scripted(nn.Module):
    """The program with `embed` and `head`: its own, or its logits for an embedding and nothing after it."""

    def __init__(self, program: Any) -> None:
        super().__init__()
        self.program = program
        self.in_two = all(callable(getattr(program, part, None)) for part in ("embed", "head"))

    def embed(self, x: Tensor) -> Tensor:
        """(batch, embedding size), or the logits."""
        answer: Tensor = self.program.embed(x) if self.in_two else self.program(x)
        return answer

    def head(self, embedding: Tensor) -> Tensor:
        """Logits."""
        answer: Tensor = self.program.head(embedding) if self.in_two else embedding
        return answer

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.embed(x))


def load_scripted(path: Path, description: ModelDescription) -> Scripted:
    """Raises ModelError where `path` is missing, no TorchScript program, or has not what the description wants."""
    if description.options:
        raise ModelError(f"{path}: a TorchScript program takes no options; the description has {description.options}")
    if not path.exists():
        raise ModelError(f"{path}: no such file; save the program there with torch.jit.save")
    try:
        with warnings.catch_warnings():  # deprecated since torch 2.9, in favour of programs bound to one version
            warnings.simplefilter("ignore", DeprecationWarning)
            network = Scripted(torch.jit.load(str(path), map_location="cpu"))  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        reason = str(error).partition(". ")[0].partition("\n")[0]
        raise ModelError(f"{path}: is no whole TorchScript program ({reason})") from error
    if description.feature == "embedding" and not network.in_two:
        raise ModelError(
            f"{path}: feature is 'embedding', but the program exports no `embed` and `head`; mark them with "
            "torch.jit.export, or use feature 'logits'"
        )
    return network
