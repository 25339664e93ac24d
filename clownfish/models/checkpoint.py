"""A user's checkpoint, the `.pth` of a training run elsewhere, read without running any code that is in it.

The public ones of 3D-ResNets-PyTorch and Efficient-3DCNNs are pickled dictionaries with `arch` and `state_dict`, names
prefixed with `module.` where they were trained on several GPUs, beside the optimizer's state. A bare dictionary of
tensors is read, too.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clownfish.errors import ModelError

PREFIX = "module."


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What it says of a network."""

    weights: dict[str, Tensor]
    """By their names, without `module.`."""
    arch: str | None
    """What the checkpoint calls its architecture, as "resnext-101", if it does."""


def read_checkpoint(path: Path) -> Checkpoint:
    """Raises ModelError where the file is missing, cut off, no checkpoint, or needs code to be run."""
    content = _load(path)
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not state:
        found = f"with keys {sorted(map(str, content))[:5]}" if isinstance(content, dict) else ""
        raise ModelError(
            f"{path}: is no checkpoint: read a {type(content).__name__} {found}, expected a dictionary of tensors, or "
            "one under 'state_dict'"
        )
    wrong = [name for name, value in state.items() if not isinstance(name, str) or not isinstance(value, Tensor)]
    if wrong:
        kind = type(state[wrong[0]]).__name__
        raise ModelError(f"{path}: is no checkpoint: {wrong[0]!r} is a {kind}, expected names with a tensor each")
    if all(name.startswith(PREFIX) for name in state):
        state = {name[len(PREFIX) :]: value for name, value in state.items()}
    arch = content.get("arch")
    return Checkpoint(state, arch if isinstance(arch, str) else None)


def _load(path: Path) -> Any:
    if _is_torchscript(path):
        raise ModelError(
            f"{path}: is a TorchScript program, not a checkpoint; put a description (.json) with architecture "
            "'torchscript' beside it and name it as a model"
        )
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ModelError(f"{path}: no such file") from error
    except pickle.UnpicklingError as error:
        code = re.search(r"GLOBAL (\S+)", str(error))
        if code is None:
            raise ModelError(f"{path}: is no checkpoint that torch.save wrote") from error
        raise ModelError(
            f"{path}: holds more than tensors and needs {code[1]} to be run, which an untrusted file must not; where "
            "you trust it, save its state_dict alone: torch.save({'arch': …, 'state_dict': model.state_dict()}, …)"
        ) from error
    except (OSError, EOFError, RuntimeError) as error:
        reason = str(error).partition(". ")[0].partition("\n")[0] or "it ends too soon"
        raise ModelError(f"{path}: is not a whole checkpoint ({reason})") from error
    except Exception as error:  # other files' bytes, read as a pickle, make torch raise nearly anything
        raise ModelError(f"{path}: is no checkpoint that torch.save wrote") from error


def _is_torchscript(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False
