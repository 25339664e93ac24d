"""Training the part of a KeypointNet that sees time, on features of frames computed once.

What frames look like is settled then (`keypoints`); a few hundred streams pass through the frame network, and windows
of their features train the rest in minutes.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional as F

from clownfish import puppets
from clownfish.atomic import write_whole
from clownfish.errors import ModelError
from clownfish.models.adapter import normalise
from clownfish.models.description import InputDescription
from clownfish.models.keypoint import KeypointNet
from clownfish.models.resize import resize
from clownfish.training.progress import Say, track

CHUNK = 64
OVER_TIME = ("reduce.", "time1.", "time2.", "fc.")
"""Parameters of the part that sees time."""
AROUND = 12
"""Frames before and after an action that are kept with it."""


class OverTimeFit(BaseModel):
    """`[over_time]`: how the network over time learns."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    streams: int = Field(default=160, ge=1)
    """Train streams 0 to this, the views in turn, half of them mirrored."""
    longest_idle: int = Field(default=130, ge=32)
    """Frames kept of an idle stretch."""
    epochs: int = Field(default=6, ge=1)
    windows_per_epoch: int = Field(default=45_000, ge=1)
    idle_share: float = Field(default=0.45, gt=0, lt=1)
    batch: int = Field(default=256, ge=2)
    learning_rate: float = Field(default=2e-3, gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    label_smoothing: float = Field(default=0.03, ge=0, lt=1)
    place_noise: float = Field(default=0.01, ge=0)
    """Standard deviation added to keypoints (−1 … 1 across the picture), and `look_noise` to the rest, in units of
    its own deviation."""
    look_noise: float = Field(default=0.3, ge=0)


def fingerprint(network: KeypointNet) -> str:
    """Of the weights of the part that sees frames."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        if not name.startswith(OVER_TIME):
            digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()[:12]


class FrameTable:
    """Features of the kept frames of streams, one stretch after the other."""

    def __init__(self, features: npt.NDArray[np.float16], label: npt.NDArray[np.int64], starts: npt.NDArray[np.int64]):
        self.features = torch.from_numpy(features)
        """(frames, features) fp16"""
        self.label = torch.from_numpy(label)
        """(frames,) class"""
        self.starts = torch.from_numpy(starts)
        """(windows,) first frame of each window that lies in one stretch."""


def frame_table(
    network: KeypointNet,
    shape: InputDescription,
    views: Sequence[str],
    fit: OverTimeFit,
    seed: int,
    path: Path,
    say: Say,
) -> FrameTable:
    """The table of train streams, kept at `path`; computed where it is not there."""
    if not path.exists():
        features, labels, starts, total = [], [], [], 0
        for index in track(say, range(fit.streams), fit.streams, "frames"):
            found, label, first = _stream_features(network, shape, views[index % len(views)], index, fit, seed)
            features.append(found)
            labels.append(label)
            starts.append(first + total)
            total += len(found)
            if index % 20 == 19:
                say(f"frames of {index + 1} of {fit.streams} streams seen")
        f, y, s = np.concatenate(features), np.concatenate(labels), np.concatenate(starts)
        write_whole(path, lambda file: np.savez(file, f=f, y=y, s=s))
    with np.load(path, allow_pickle=False) as stored:
        return FrameTable(stored["f"], stored["y"], stored["s"])


def _stream_features(
    network: KeypointNet, shape: InputDescription, view: str, index: int, fit: OverTimeFit, seed: int
) -> tuple[npt.NDArray[np.float16], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(features, classes, windows' first frames) of the kept frames of one stream."""
    rng = np.random.default_rng([seed, index])
    stream = puppets.stream("train", index, view)
    mirrored = rng.random() < 0.5
    channels = rng.permutation(3) if rng.random() < 0.5 else np.arange(3)
    step, features, labels, starts, total = shape.frame_step, [], [], [], 0
    for interval in stream.intervals:
        first, end = interval.start - AROUND, interval.end + AROUND
        if interval.label == puppets.IDLE and end - first > fit.longest_idle:
            first += int(rng.integers(end - first - fit.longest_idle + 1))
            end = first + fit.longest_idle
        # the same frames as a window takes that begins at a multiple of the step
        numbers = np.arange(max(first, 0) // step * step + step - 1, min(end, len(stream)), step)
        pixels = [stream.frame(int(n))[:, :: -1 if mirrored else 1][:, :, channels] for n in numbers]
        features.append(features_of(network, shape, pixels).astype(np.float16))
        labels.append(np.array([puppets.CLASSES.index(stream.label_at(min(n + 1, len(stream) - 1))) for n in numbers]))
        starts.append(total + np.arange(max(len(numbers) - shape.frames + 1, 0)))
        total += len(numbers)
    return np.concatenate(features), np.concatenate(labels), np.concatenate(starts)


def features_of(
    network: KeypointNet, shape: InputDescription, pixels: Sequence[npt.NDArray[np.uint8]]
) -> npt.NDArray[np.float32]:
    """(frames, features) of frames of any size, computed in bf16; the network is in eval mode."""
    found = []
    for begin in range(0, len(pixels), CHUNK):
        small = [resize(np.ascontiguousarray(each), shape) for each in pixels[begin : begin + CHUNK]]
        x = normalise(torch.from_numpy(np.stack(small)), shape).permute(0, 3, 1, 2)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            found.append(network.frame_features(x).float().numpy())
    return np.concatenate(found) if found else np.empty((0, network.features), np.float32)


def train_over_time(
    network: KeypointNet, shape: InputDescription, table: FrameTable, fit: OverTimeFit, seed: int, say: Say
) -> None:
    """Train `reduce`, both convolutions and the last layer; the frame part stays. Raises ModelError where the loss is
    not finite."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.arange(shape.frames)
    windows = table.label[table.starts + max(shape.frames // 2 - 1, 0)]  # the middle frame's
    idle = windows == puppets.CLASSES.index(puppets.IDLE)
    weight = torch.where(idle, fit.idle_share / idle.sum(), (1 - fit.idle_share) / (~idle).sum())
    places = 2 * network.keypoints
    mean, std = table.features[::50].float().mean(0), table.features[::50].float().std(0) + 1e-3
    mean[:places], std[:places] = 0, 1
    parameters = [p for name, p in network.named_parameters() if name.startswith(OVER_TIME)]
    optimizer = torch.optim.AdamW(parameters, lr=fit.learning_rate, weight_decay=fit.weight_decay)
    steps = -(-fit.windows_per_epoch // fit.batch)
    noise = torch.full((network.features,), fit.look_noise)
    noise[:places] = fit.place_noise
    network.train()
    for epoch in range(fit.epochs):
        began, total = time.monotonic(), 0.0
        for step in range(steps):
            share = (epoch * steps + step) / (fit.epochs * steps)
            for group in optimizer.param_groups:
                group["lr"] = fit.learning_rate * 0.5 * (1 + math.cos(math.pi * share))
            chosen = torch.multinomial(weight, fit.batch, replacement=True, generator=generator)
            x = (table.features[table.starts[chosen][:, None] + numbers].float() - mean) / std
            x += noise * torch.randn(x.shape, generator=generator)
            logits = network.head(network.temporal(x))
            loss = F.cross_entropy(logits, windows[chosen], label_smoothing=fit.label_smoothing)
            if not torch.isfinite(loss):
                raise ModelError(f"over time: the loss is {loss.item()} in epoch {epoch + 1}: lower learning_rate")
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.item()
        say(f"over time, epoch {epoch + 1}/{fit.epochs}: loss {total / steps:.4f}, {time.monotonic() - began:.0f} s")
    network.eval()
    fold(network, mean, std)


def fold(network: KeypointNet, mean: Tensor, std: Tensor) -> None:
    """Change `reduce` so that it takes raw features where it was trained on (x − mean) / std. Keypoints' places have
    mean 0 and deviation 1 here: `temporal` moves and scales them itself."""
    with torch.no_grad():
        network.reduce.weight.div_(std)
        network.reduce.bias.sub_(network.reduce.weight @ mean)
