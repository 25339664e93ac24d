"""Fusers that have learnt nothing: random numbers of the right shapes, as files a configuration can name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from clownfish.fusions.weights import FORMAT
from clownfish.models.fusers import BayesianModule, RecurrentModule

LOOKAHEAD = 5


def module(method: str, classes: int, seed: int = 0, lookahead: int = LOOKAHEAD) -> BayesianModule | RecurrentModule:
    """Random, but such that both models' answers count for something."""
    torch.manual_seed(seed)
    recurrent = method == "recurrent"
    made = RecurrentModule(classes, 7, max(1, lookahead - 2)) if recurrent else BayesianModule(classes)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape))
        if isinstance(made, RecurrentModule):
            made.weigh.copy_(torch.tensor([1.0, 2.0, 0.7]))
    return made.eval()


def write_fuser(
    path: Path, method: str, classes: Sequence[str], seed: int = 0, lookahead: int = LOOKAHEAD, **changed: object
) -> str:
    """`path`.safetensors and `path`.json of a random fuser; the name by which a configuration names it."""
    made = module(method, len(classes), seed, lookahead)
    save_file({name: tensor.detach().contiguous() for name, tensor in made.tensors().items()}, f"{path}.safetensors")
    about = {
        "format": FORMAT,
        "name": path.name,
        "method": method,
        "classes": list(classes),
        "local": "small",
        "remote": "large",
        "lookahead": lookahead,
    }
    Path(f"{path}.json").write_text(json.dumps({**about, **changed}), encoding="utf-8")
    return str(path)


def distributions(windows: int, classes: int, seed: int = 0) -> np.ndarray:
    """(windows, classes), some of them with zeros."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(classes, 0.5), windows)
    p[rng.uniform(size=p.shape) < 0.1] = 0
    p[:, 0] += 1e-3
    return p / p.sum(axis=1, keepdims=True)
