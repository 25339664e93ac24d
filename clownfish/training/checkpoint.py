"""What a training run leaves after each epoch, so that it can go on from there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from clownfish.errors import ModelError
from clownfish.models.adapter import Network
from clownfish.training.config import ClassifierConfig


def checkpoint_of(config: ClassifierConfig) -> Path:
    return config.runs / config.name / "checkpoint.pt"


def save(path: Path, network: Network, optimizer: torch.optim.Optimizer, epoch: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    torch.save({"epoch": epoch, "network": network.state_dict(), "optimizer": optimizer.state_dict()}, part)
    part.replace(path)  # never half a checkpoint


def resume(path: Path, network: Network, optimizer: torch.optim.Optimizer, say: Callable[[str], None]) -> int:
    """The epoch to go on with: 0 where no checkpoint lies. Raises ModelError where it is of another network."""
    if not path.exists():
        return 0
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
    except (RuntimeError, KeyError, ValueError) as error:
        raise ModelError(f"{path}: does not fit this configuration ({error}); delete it to start over") from error
    if state["epoch"]:
        say(f"going on after epoch {state['epoch']} ({path})")
    return int(state["epoch"])
