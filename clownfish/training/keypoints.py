"""Teaching a KeypointNet where joints are, on single frames whose drawing knows (training only).

A class for a window says one word about sixteen pictures; keypoints say where twenty things are in each. So frames
learn first, from drawn truth, and the network over time after them (`overtime`).
"""

from __future__ import annotations

import math
import time

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from clownfish.errors import ModelError
from clownfish.models.description import InputDescription
from clownfish.models.keypoint import KeypointNet, gather
from clownfish.puppets import CLASSES
from clownfish.puppets.keypoints import HOLDS, KEYPOINTS
from clownfish.training.checkpoint import Checkpoint
from clownfish.training.overtime import OVER_TIME
from clownfish.training.posed_frames import PosedFrames, PosedFrameSource
from clownfish.training.progress import Say, track

SPREAD = 0.8
"""Standard deviation of the heatmap that is asked for, in its cells."""
WEIGHTS = {"places": 0.3, "holds": 0.5, "label": 0.3}
"""Of the other losses beside the heatmaps'."""
GRADIENT = 5.0
"""Largest norm of a step's gradient."""
WARM_UP = 200
"""Steps until the learning rate is whole, of a short run a fifth of it."""


class KeypointFit(BaseModel):
    """`[keypoints]`: how frames learn."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    frames: int = Field(default=400_000, ge=1)
    """Drawn and seen once each."""
    frames_per_epoch: int = Field(default=20_000, ge=1)
    """Between two checkpoints."""
    streams_at_once: int = Field(default=48, ge=1)
    """That frames of a batch come from: enough that neighbours in a batch have little to do with each other."""
    batch: int = Field(default=64, ge=2)
    learning_rate: float = Field(default=3e-3, gt=0)
    weight_decay: float = Field(default=0.02, ge=0)
    bfloat16: bool = True
    """Compute convolutions in bf16: twice as fast on a CPU that has it."""


class _Teacher(nn.Module):
    """The network's frame part, and what is asked of it in training alone."""

    def __init__(self, network: KeypointNet) -> None:
        super().__init__()
        self.network = network
        self.asked = nn.Linear(network.features, len(HOLDS) + len(CLASSES))

    def loss(self, batch: PosedFrames, bfloat16: bool) -> tuple[Tensor, Tensor]:
        """(loss, mean distance of keypoints from the truth as a share of the picture's width and height)."""
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            heat, look, whole = self.network.maps(batch.x.contiguous(memory_format=torch.channels_last))
        features = gather(heat, look, whole)
        height, width = heat.shape[-2:]
        cell = batch.places * torch.tensor([width, height]) - 0.5
        known, count = batch.known, batch.known.sum()
        log_share = F.log_softmax(heat.float().flatten(2), dim=2)
        cross_entropy = -(_wanted(cell, height, width) * log_share).sum(dim=2)
        place = features[:, : 2 * len(KEYPOINTS)].reshape(-1, len(KEYPOINTS), 2)
        off = (place + 1) / 2 * torch.tensor([width - 1, height - 1]) - cell
        holds, label = self.asked(features).split([len(HOLDS), len(CLASSES)], dim=1)
        loss = (
            (cross_entropy * known).sum() / count
            + WEIGHTS["places"] * (off.abs().sum(dim=2) * known).sum() / count
            + WEIGHTS["holds"] * F.cross_entropy(holds, batch.holds)
            + WEIGHTS["label"] * F.cross_entropy(label, batch.label)
        )
        share = (off.detach() / torch.tensor([width, height])).norm(dim=2)
        return loss, (share * known).sum() / count


def _wanted(cell: Tensor, height: int, width: int) -> Tensor:
    """(n, keypoints, height · width): a bell around each place that sums to 1."""
    y, x = torch.arange(height)[:, None], torch.arange(width)[None]
    square = (x - cell[..., 0, None, None]) ** 2 + (y - cell[..., 1, None, None]) ** 2
    bell = torch.exp(-square / (2 * SPREAD**2)).flatten(2)
    return bell / (bell.sum(dim=2, keepdim=True) + 1e-6)


def teach_keypoints(
    network: KeypointNet,
    shape: InputDescription,
    views: tuple[str, ...],
    fit: KeypointFit,
    checkpoint: Checkpoint,
    seed: int,
    say: Say,
) -> None:
    """Train the part that sees frames; goes on from the checkpoint where one lies.

    Raises ModelError where the network has other keypoints, or the loss is not finite.
    """
    if network.keypoints != len(KEYPOINTS):
        raise ModelError(f"options.keypoints is {network.keypoints}, puppets have {len(KEYPOINTS)}")
    torch.manual_seed(seed)
    teacher = _Teacher(network)
    over_time = tuple(f"network.{name}" for name in OVER_TIME)
    parameters = [p for name, p in teacher.named_parameters() if not name.startswith(over_time)]
    optimizer = torch.optim.AdamW(parameters, lr=fit.learning_rate, weight_decay=fit.weight_decay)
    steps, epochs = max(fit.frames_per_epoch // fit.batch, 1), -(-fit.frames // fit.frames_per_epoch)
    first, state = 0, checkpoint.load(say)
    if state is not None:
        first = state["epoch"]
        with checkpoint.restoring():
            teacher.load_state_dict(state["teacher"])
            optimizer.load_state_dict(state["optimizer"])
    for epoch in range(first, epochs):
        began, total, off = time.monotonic(), 0.0, 0.0
        source = PosedFrameSource(shape, views, fit.streams_at_once, np.random.default_rng([seed, epoch]))
        teacher.train()
        for step in track(say, range(steps), steps, f"keypoints, epoch {epoch + 1}/{epochs}"):
            share = (epoch * steps + step) / (epochs * steps)
            warm = min(1.0, (epoch * steps + step + 1) / min(WARM_UP, epochs * steps / 5))
            for group in optimizer.param_groups:
                group["lr"] = fit.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * share))
            loss, distance = teacher.loss(source.batch(fit.batch), fit.bfloat16)
            if not torch.isfinite(loss):
                raise ModelError(f"keypoints: the loss is {loss.item()} in epoch {epoch + 1}: lower learning_rate")
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(parameters, GRADIENT)
            optimizer.step()
            total, off = total + loss.item(), off + float(distance)
        checkpoint.save(epoch + 1, teacher=teacher.state_dict(), optimizer=optimizer.state_dict())
        say(
            f"keypoints, epoch {epoch + 1}/{epochs}: loss {total / steps:.3f}, off by {100 * off / steps:.2f} % of the "
            f"picture, {time.monotonic() - began:.0f} s"
        )
    network.eval()
