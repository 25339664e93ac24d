"""Frames of puppets with their keypoints, drawn when asked for: examples without end, never stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from clownfish import puppets
from clownfish.messages import Pixels
from clownfish.models.adapter import normalise
from clownfish.models.description import InputDescription
from clownfish.opencv import cv2
from clownfish.puppets.keypoints import KEYPOINTS, MIRRORED

ITEM = KEYPOINTS.index("ITEM")
FRAMES_OF_STREAM = 200
"""That are drawn before another stream takes its place: planning a stream costs as much as some 250 frames."""
ANY_STREAM = 100_000
ACTING = 0.65
"""Share of frames that show an action; in a stream a third do."""
NEAR, FAR = 0.85, 1.2
SHIFT = (0.08, 0.06)
"""Of the picture's size, how far it may be moved."""
RECOLOURED = 0.6
"""Share of frames whose channels change places: more colours of clothes and walls than there are subjects."""
GAIN = (0.6, 1.2)
"""Of each channel."""


@dataclass(frozen=True, slots=True)
class PosedFrames:
    """A batch."""

    x: Tensor
    """(batch, 3, height, width), normalised, channels last in memory."""
    places: Tensor
    """(batch, keypoints, 2): x and y, 0 … 1 across the picture."""
    known: Tensor
    """(batch, keypoints): 1 where the keypoint is there and in the picture."""
    holds: Tensor
    """(batch,) index into `puppets.keypoints.HOLDS`."""
    label: Tensor
    """(batch,) class."""


class _Stream:
    """One stream, and which of its frames show what."""

    def __init__(self, index: int, view: str) -> None:
        self._stream = puppets.stream("train", index, view)
        self._keypoints = self._stream.keypoints
        self._acting = [each for each in self._stream.intervals if each.label != puppets.IDLE]
        self._idling = [each for each in self._stream.intervals if each.label == puppets.IDLE]
        self.left = FRAMES_OF_STREAM

    def draw(self, rng: np.random.Generator) -> tuple[Pixels, npt.NDArray[np.float64], int, int]:
        self.left -= 1
        intervals = self._acting if rng.random() < ACTING else self._idling
        interval = intervals[rng.integers(len(intervals))]
        n = int(rng.integers(interval.start, interval.end))
        label = puppets.CLASSES.index(interval.label)
        return self._stream.frame(n), self._keypoints.places[n], int(self._keypoints.holds[n]), label


class PosedFrameSource:
    """Batches of random frames of random train streams; the same ones for the same generator."""

    def __init__(self, shape: InputDescription, views: Sequence[str], at_once: int, rng: np.random.Generator) -> None:
        self._shape, self._views, self._rng = shape, views, rng
        self._pool = [self._new() for _ in range(at_once)]

    def _new(self) -> _Stream:
        view = self._views[int(self._rng.integers(len(self._views)))]
        return _Stream(int(self._rng.integers(ANY_STREAM)), view)

    def batch(self, size: int) -> PosedFrames:
        """`size` frames, each moved, scaled, mirrored and recoloured at random."""
        pixels, places, holds, labels = [], [], [], []
        for _ in range(size):
            slot = int(self._rng.integers(len(self._pool)))
            if self._pool[slot].left <= 0:
                self._pool[slot] = self._new()
            frame, points, held, label = self._pool[slot].draw(self._rng)
            frame, points = moved(frame, points, self._shape, self._rng)
            if self._rng.random() < RECOLOURED:
                frame = frame[:, :, self._rng.permutation(3)]
            pixels.append(frame)
            places.append(points)
            holds.append(held)
            labels.append(label)
        gain = torch.from_numpy(self._rng.uniform(*GAIN, (size, 1, 1, 3)).astype(np.float32))
        x = normalise((torch.from_numpy(np.stack(pixels)) * gain).clamp(0, 255), self._shape).permute(0, 3, 1, 2)
        where, in_hand = torch.from_numpy(np.stack(places)).float(), torch.tensor(holds)
        known = ((where > -0.02) & (where < 1.02)).all(dim=2).float()
        known[:, ITEM] *= in_hand > 0
        return PosedFrames(x, where, known, in_hand, torch.tensor(labels))


def moved(
    frame: Pixels, places: npt.NDArray[np.float64], shape: InputDescription, rng: np.random.Generator
) -> tuple[Pixels, npt.NDArray[np.float64]]:
    """The frame at the network's size, scaled, shifted and perhaps mirrored; its keypoints, 0 … 1 across it."""
    width, height = shape.width, shape.height
    scale = rng.uniform(NEAR, FAR)
    sx, sy = scale * width / frame.shape[1], scale * height / frame.shape[0]
    dx = rng.uniform(-SHIFT[0], SHIFT[0]) * width + width / 2 * (1 - scale)
    dy = rng.uniform(-SHIFT[1], SHIFT[1]) * height + height / 2 * (1 - scale)
    mirrored = rng.random() < 0.5
    if mirrored:
        sx, dx = -sx, width - 1 - dx
    if abs(sx) < 0.7:  # thinned out, noise would turn into false edges
        frame = np.asarray(cv2.GaussianBlur(frame, (3, 3), 0.4 / abs(sx)), np.uint8)
    matrix = np.array([[sx, 0, dx], [0, sy, dy]], np.float32)
    picture = cv2.warpAffine(frame, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    there = (places * [sx, sy] + [dx, dy]) / [width, height]
    return np.asarray(picture, np.uint8), there[MIRRORED] if mirrored else there
