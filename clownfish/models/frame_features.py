"""Networks that see frames one by one, and their features kept across windows that share frames.

A window of 16 frames that begins 4 frames after the one before shares 12 with it. Kept, they leave such a network a
quarter of the frames to compute, and a third of the time or less.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from hashlib import blake2b
from typing import Protocol, TypeGuard

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from clownfish.messages import Pixels

CAPACITY = 1024
"""Frames whose features are kept: 5 MB at 1280 numbers each, enough for some sixty streams of windows of 16."""

CHUNK = 64
"""Frames computed at once: bounds what a first window, or many streams together, take in memory."""


class FrameByFrame(nn.Module):
    """Base of such networks: two methods to write, beside `head`; `embed` is both.

    Any module that has them counts, this base or not; `embed(x)` must then equal
    `temporal(frame_features of x's frames)`.
    """

    def frame_features(self, x: Tensor) -> Tensor:
        """Frames (n, 3, height, width), normalised → features (n, features). No frame may influence another's."""
        raise NotImplementedError

    def temporal(self, features: Tensor) -> Tensor:
        """Features (batch, frames, features), oldest first → embedding (batch, embedding size)."""
        raise NotImplementedError

    def embed(self, x: Tensor) -> Tensor:
        """(batch, 3, frames, height, width) → embedding (batch, embedding size)."""
        batch, channels, time, height, width = x.shape
        frames = x.transpose(1, 2).reshape(batch * time, channels, height, width)
        features = self.frame_features(frames.contiguous(memory_format=torch.channels_last))
        return self.temporal(features.reshape(batch, time, -1))


class SeesFrames(Protocol):
    """What `FrameByFrame` offers, and `head`."""

    def frame_features(self, x: Tensor) -> Tensor: ...

    def temporal(self, features: Tensor) -> Tensor: ...

    def head(self, embedding: Tensor) -> Tensor: ...


def sees_frames(network: object) -> TypeGuard[SeesFrames]:
    """Whether the network takes frames one by one."""
    return callable(getattr(network, "frame_features", None)) and callable(getattr(network, "temporal", None))


class FrameFeatures:
    """Features of frames, each computed once while it is among the `capacity` used last.

    Frames are known by their content (their shape and a 128-bit BLAKE2b digest), so it matters neither which stream
    or process they come from nor whether their memory is used again. Not for several threads at once.
    """

    def __init__(
        self, compute: Callable[[Sequence[Pixels]], npt.NDArray[np.float32]], capacity: int = CAPACITY
    ) -> None:
        """`compute`: n frames, uint8 (height, width, 3) of any size → (n, features) float32."""
        self._compute = compute
        self._capacity = capacity
        self._known: OrderedDict[Hashable, npt.NDArray[np.float32]] = OrderedDict()
        self.computed = 0
        self.reused = 0

    def of(self, windows: Sequence[Sequence[Pixels]]) -> npt.NDArray[np.float32]:
        """Windows of equally many frames → (windows, frames, features) float32."""
        keys = [[_key(frame) for frame in window] for window in windows]
        new: dict[Hashable, Pixels] = {}
        for row, window in zip(keys, windows, strict=True):
            new.update((key, frame) for key, frame in zip(row, window, strict=True) if key not in self._known)
        self.computed += len(new)
        self.reused += sum(map(len, keys)) - len(new)
        names, frames = list(new), list(new.values())
        for start in range(0, len(frames), CHUNK):
            features = self._compute(frames[start : start + CHUNK])
            # a copy of each row: a view would keep its whole chunk alive
            self._known.update(zip(names[start : start + CHUNK], map(np.copy, features), strict=True))
        answer = np.stack([np.stack([self._known[key] for key in row]) for row in keys])
        for row in keys:
            for key in row:
                self._known.move_to_end(key)
        while len(self._known) > self._capacity:
            self._known.popitem(last=False)
        return answer


def _key(frame: Pixels) -> Hashable:
    return frame.shape, blake2b(np.ascontiguousarray(frame).data, digest_size=16).digest()
