"""Shapes as streams: contexts of 2.5 to 6 s joined hard, and which frames show what.

`stream` gives the same bytes for the same arguments on every run (of one OpenCV build).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from clownfish.errors import DatasetError
from clownfish.messages import Pixels
from clownfish.shapes.motions import CLASSES
from clownfish.shapes.scene import Scene

FPS = 30.0
FRAMES = 3600
"""Of a stream: two minutes."""
SHORTEST, LONGEST = 75, 180
"""Of a context, in frames."""
SPLITS = ("train", "validation", "test")
VERSION = 1
"""Raised when the same arguments begin to give other frames."""
_SEED = 0x5AE


class Interval(NamedTuple):
    """Frames [start, end) show `label`."""

    start: int
    end: int
    label: str


class ShapesStream:
    """One video with its ground truth; frames are drawn when asked for."""

    fps = FPS
    classes = CLASSES

    def __init__(self, split: str, index: int) -> None:
        self.name = f"{split}/{index}"
        self._seed = [_SEED, SPLITS.index(split), index]
        self.intervals: tuple[Interval, ...] = tuple(_script(np.random.default_rng(self._seed)))
        """In order, without gap or overlap from frame 0 to the end; neighbours differ."""
        self._starts = [interval.start for interval in self.intervals]
        self._scene: tuple[int, Scene] | None = None

    def __len__(self) -> int:
        """Frames."""
        return FRAMES

    def frame(self, n: int) -> Pixels:
        """Frame n by itself: (128, 172, 3) uint8 RGB. Raises IndexError beyond the end."""
        if not 0 <= n < len(self):
            raise IndexError(f"frame {n} of a stream of {len(self)}")
        number = bisect_right(self._starts, n) - 1
        start, end, label = self.intervals[number]
        if self._scene is None or self._scene[0] != number:
            self._scene = (number, Scene(label, end - start, np.random.default_rng([*self._seed, number])))
        return self._scene[1].draw(n - start)

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[Pixels]:
        """Frames [start, stop) in order."""
        for n in range(start, len(self) if stop is None else min(stop, len(self))):
            yield self.frame(n)


def stream(split: str, index: int) -> ShapesStream:
    """Stream `index` (any number from 0 on) of a split. Raises DatasetError for what it does not know."""
    if split not in SPLITS:
        raise DatasetError(f"unknown shapes split {split!r}; known: {', '.join(SPLITS)}")
    if index < 0:
        raise DatasetError(f"shapes stream {index}: streams are numbered from 0 on")
    return ShapesStream(split, index)


def _script(rng: np.random.Generator) -> Iterator[Interval]:
    start, label = 0, ""
    while start < FRAMES:
        end = start + int(rng.integers(SHORTEST, LONGEST + 1))
        if FRAMES - end < SHORTEST:
            end = FRAMES
        label = str(rng.choice([each for each in CLASSES if each != label]))
        yield Interval(start, end, label)
        start = end
