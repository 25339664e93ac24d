"""Random windows of clips for training, and the changes made to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from clownfish.datasets.base import Clip
from clownfish.models.adapter import normalise
from clownfish.models.description import InputDescription
from clownfish.models.resize import resize
from clownfish.opencv import cv2
from clownfish.training.cache import FrameCache
from clownfish.training.config import Augment

LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True, slots=True)
class Change:
    """One random change of a window's frames: a crop, then a flip, then colours."""

    top: int
    left: int
    height: int
    width: int
    flip: bool
    colour: tuple[float, float, float] | None
    """Factors of brightness, contrast and saturation."""


def random_window(
    cache: FrameCache, clip: Clip, shape: InputDescription, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """`shape.frames` frames in a row from the clip's cached ones; a clip that is too short repeats its last frame."""
    frames = cache.clip(clip)
    return window_at(frames, int(rng.integers(0, max(len(frames) - shape.frames, 0) + 1)), shape)


def window_at(frames: npt.NDArray[np.uint8], start: int, shape: InputDescription) -> npt.NDArray[np.uint8]:
    """`shape.frames` frames in a row; where they end early, the last one again and again."""
    return frames[np.minimum(np.arange(start, start + shape.frames), len(frames) - 1)]


def draw_change(height: int, width: int, augment: Augment, rng: np.random.Generator) -> Change:
    """A change of frames of that size."""
    area, aspect = rng.uniform(augment.min_area, 1), np.exp(rng.uniform(-0.2, 0.2))
    crop_h = min(round(height * np.sqrt(area / aspect)), height)
    crop_w = min(round(width * np.sqrt(area * aspect)), width)
    top, left = int(rng.integers(0, height - crop_h + 1)), int(rng.integers(0, width - crop_w + 1))
    flip = augment.flip and bool(rng.random() < 0.5)
    colour = None
    if augment.jitter > 0:
        brightness, contrast, saturation = (1 + augment.jitter * rng.uniform(-1, 1, 3)).tolist()
        colour = brightness, contrast, saturation
    return Change(top, left, crop_h, crop_w, flip, colour)


def change_window(frames: npt.NDArray[np.uint8], change: Change, shape: InputDescription) -> Tensor:
    """All frames of a window changed alike and brought to `shape`: (3, frames, height, width), normalised."""
    crop = frames[:, change.top : change.top + change.height, change.left : change.left + change.width]
    if change.flip:
        crop = crop[:, :, ::-1]
    x = torch.from_numpy(resized(crop, shape)).float()
    if change.colour is not None:
        brightness, contrast, saturation = change.colour
        grey = (x @ torch.tensor(LUMA))[..., None]
        middle = float(grey.numpy().mean())  # numpy adds in one order for any number of threads
        # saturation about grey, then contrast about the middle, then brightness, in two passes over the pixels
        x.mul_(saturation * contrast * brightness)
        x.add_(grey.mul_((1 - saturation) * contrast).add_(middle * (1 - contrast)).mul_(brightness)).clamp_(0, 255)
    return normalise(x, shape).permute(3, 0, 1, 2)


def augmented(
    frames: npt.NDArray[np.uint8], shape: InputDescription, augment: Augment, rng: np.random.Generator
) -> Tensor:
    """A random change of a window: (3, frames, height, width), normalised."""
    return change_window(frames, draw_change(frames.shape[1], frames.shape[2], augment, rng), shape)


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
