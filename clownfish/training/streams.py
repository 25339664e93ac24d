"""Streams joined from clips, seen through a classifier: features window by window, with each window's true context.

Joined as the labelled streams are (`datasets.joined`), so that SimiNet and the temperature meet what they will meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from clownfish.datasets.base import Clip
from clownfish.datasets.joined import LONGEST, Segment, join, shortest_of
from clownfish.errors import DatasetError
from clownfish.models.adapter import Network
from clownfish.models.description import InputDescription
from clownfish.models.frame_features import sees_frames
from clownfish.training.cache import FrameCache
from clownfish.training.sampling import plain

STRIDE = 4
BATCH = 4
"""Small: the activations of more windows no longer fit the cache, and cost more each."""


@dataclass(frozen=True, slots=True)
class SeenStream:
    """What a classifier makes of one stream, windows in order."""

    embedding: npt.NDArray[np.float32]
    """(windows, embedding size)"""
    logits: npt.NDArray[np.float32]
    """(windows, classes), before the temperature"""
    label: npt.NDArray[np.int64]
    """(windows,) class of the middle frame"""
    context: npt.NDArray[np.int64]
    """(windows,) number of the middle frame's context"""


def joined_streams(
    cache: FrameCache, clips: Sequence[Clip], rng: np.random.Generator, lengths: tuple[int, int] | None = None
) -> list[list[Segment]]:
    """Joined streams of the clips that the cache holds, in segments of `lengths` = (shortest, longest) frames, else in
    such as labelled streams have. Raises DatasetError where clips are too short or too few."""
    held = [clip for clip in clips if cache.has(clip)]
    shortest, longest = lengths or (shortest_of(held), LONGEST)
    streams = join(held, rng, shortest=shortest, longest=longest)
    if not streams:
        raise DatasetError(
            f"{len(held)} clips make no stream of two contexts, each of {shortest} frames or more: take more clips, or "
            "longer ones"
        )
    return streams


def windows_of(
    stream: Sequence[Segment], classes: Sequence[str], shape: InputDescription, every: int
) -> list[tuple[int, int, int]]:
    """(first kept frame, label, context) of each window, kept frames counted along the stream in steps of `every`.

    A window's context is that of its middle frame. Where `every` is the window stride, each step is a window.
    """
    context = np.concatenate([np.full((s.end - s.start) // every, i) for i, s in enumerate(stream)])
    kept, step = shape.window_size // every, max(STRIDE // every, 1)
    found = []
    for first in range(0, len(context) - kept + 1, step):
        which = int(context[first + kept // 2])
        found.append((first, classes.index(stream[which].clip.label), which))
    return found


def stream_frames(cache: FrameCache, stream: Sequence[Segment]) -> npt.NDArray[np.uint8]:
    """The stream's kept frames, shape (frames, height, width, 3)."""
    parts = []
    for segment in stream:
        length = (segment.end - segment.start) // cache.every
        start = min(segment.start // cache.every, len(cache.clip(segment.clip)) - length)
        parts.append(cache.clip(segment.clip)[start : start + length])
    return np.concatenate(parts)


def see(
    network: Network, cache: FrameCache, stream: Sequence[Segment], classes: Sequence[str], shape: InputDescription
) -> SeenStream:
    """Run the network (as it is: in eval mode) over all windows of a joined stream."""
    frames = stream_frames(cache, stream)
    found = windows_of(stream, classes, shape, cache.every)
    x = plain(frames, shape)
    with torch.inference_mode():
        embedding = _embeddings(network, x, [first for first, _, _ in found], shape.frames)
        logits = network.head(embedding)
    return SeenStream(
        embedding=embedding.numpy(),
        logits=logits.numpy(),
        label=np.array([label for _, label, _ in found]),
        context=np.array([context for _, _, context in found]),
    )


def _embeddings(network: Network, x: Tensor, starts: Sequence[int], frames: int) -> Tensor:
    """Embeddings of the windows that begin at `starts` in x (3, all frames, height, width)."""
    if sees_frames(network):  # each frame is seen once, however many windows share it
        each = torch.cat([network.frame_features(part) for part in torch.split(x.transpose(0, 1), BATCH * frames)])
        return network.temporal(torch.stack([each[first : first + frames] for first in starts]))
    windows = torch.stack([x[:, first : first + frames] for first in starts])
    layout = torch.channels_last_3d
    return torch.cat([network.embed(part.contiguous(memory_format=layout)) for part in torch.split(windows, BATCH)])
