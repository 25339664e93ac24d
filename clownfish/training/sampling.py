"""Random windows of clips for training, the same ones for the same seed and epoch, so that a resumed run repeats
itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from clownfish.datasets.base import Clip
from clownfish.models.adapter import normalise
from clownfish.models.description import InputDescription
from clownfish.models.resize import resize
from clownfish.opencv import cv2
from clownfish.training.cache import FrameCache
from clownfish.training.config import Augment

LUMA = (0.299, 0.587, 0.114)


def training_batches(
    cache: FrameCache,
    clips: Sequence[Clip],
    classes: Sequence[str],
    shape: InputDescription,
    augment: Augment,
    windows_per_clip: int,
    batch: int,
    rng: np.random.Generator,
) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch of (x, targets): x (batch, 3, frames, height, width) normalised, targets (batch, classes) summing to 1.

    Every clip gives `windows_per_clip` windows at random places. The last, smaller batch is kept unless it is a
    single window, which batch norm cannot train on.
    """
    order = rng.permutation(np.repeat(np.arange(len(clips)), windows_per_clip))
    for begin in range(0, len(order), batch):
        chosen = [clips[i] for i in order[begin : begin + batch]]
        if len(chosen) < 2:
            return
        windows = [augmented(random_window(cache, clip, shape, rng), shape, augment, rng) for clip in chosen]
        labels = torch.tensor([classes.index(clip.label) for clip in chosen])
        x = torch.stack(windows).contiguous(memory_format=torch.channels_last_3d)
        targets = F.one_hot(labels, len(classes)).float()
        if augment.mixup > 0:
            share = float(rng.beta(augment.mixup, augment.mixup))
            other = torch.from_numpy(rng.permutation(len(chosen)))
            x = share * x + (1 - share) * x[other]
            targets = share * targets + (1 - share) * targets[other]
        yield x, targets


def random_window(
    cache: FrameCache, clip: Clip, shape: InputDescription, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """`shape.frames` frames in a row from the clip's cached ones; a clip that is too short repeats its last frame."""
    frames = cache.clip(clip)
    start = int(rng.integers(0, max(len(frames) - shape.frames, 0) + 1))
    return frames[np.minimum(np.arange(start, start + shape.frames), len(frames) - 1)]


def augmented(
    frames: npt.NDArray[np.uint8], shape: InputDescription, augment: Augment, rng: np.random.Generator
) -> Tensor:
    """One random crop, flip and colour change for the whole window: (3, frames, height, width), normalised."""
    height, width = frames.shape[1:3]
    area, aspect = rng.uniform(augment.min_area, 1), np.exp(rng.uniform(-0.2, 0.2))
    crop_h = min(round(height * np.sqrt(area / aspect)), height)
    crop_w = min(round(width * np.sqrt(area * aspect)), width)
    top, left = int(rng.integers(0, height - crop_h + 1)), int(rng.integers(0, width - crop_w + 1))
    crop = frames[:, top : top + crop_h, left : left + crop_w]
    if augment.flip and rng.random() < 0.5:
        crop = crop[:, :, ::-1]
    x = torch.from_numpy(resized(crop, shape)).float()
    if augment.jitter > 0:
        brightness, contrast, saturation = (1 + augment.jitter * rng.uniform(-1, 1, 3)).tolist()
        grey = (x @ torch.tensor(LUMA))[..., None]
        middle = float(grey.mean())
        # saturation about grey, then contrast about the middle, then brightness, in two passes over the pixels
        x.mul_(saturation * contrast * brightness)
        x.add_(grey.mul_((1 - saturation) * contrast).add_(middle * (1 - contrast)).mul_(brightness)).clamp_(0, 255)
    return normalise(x, shape).permute(3, 0, 1, 2)


def plain(frames: npt.NDArray[np.uint8], shape: InputDescription) -> Tensor:
    """Frames as the adapter shows them to the network, from cached frames of any size: (3, frames, height, width)."""
    small = np.stack([resize(frame, shape) for frame in frames])
    return normalise(torch.from_numpy(small), shape).permute(3, 0, 1, 2)


def resized(frames: npt.NDArray[np.uint8], shape: InputDescription) -> npt.NDArray[np.uint8]:
    """A random crop's frames at the network's size, of whatever shape the crop is: (frames, height, width, 3)."""
    size = (shape.width, shape.height)
    if frames.shape[2:0:-1] == size:
        return np.array(frames)
    return np.stack([cv2.resize(np.ascontiguousarray(f), size, interpolation=cv2.INTER_AREA) for f in frames])
