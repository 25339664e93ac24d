"""Streams made of clips: segments of 60 to 180 frames joined hard, so that every boundary is a transition (§VI-A)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clownfish.datasets.base import Clip
from clownfish.errors import DatasetError

SHORTEST = 60
LONGEST = 180
LEAST = 20
"""One window of 16 frames, and its successor."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Frames [start, end) of `clip`."""

    clip: Clip
    start: int
    end: int


def shortest_of(clips: Sequence[Clip]) -> int:
    """The shortest segment, in frames, to join these clips in: that of labelled streams (§VI-A), or what four clips of
    five have, where they are short. Raises DatasetError where that is too short, too."""
    lengths = [clip.frames for clip in clips]
    shortest = min(SHORTEST, int(np.quantile(lengths, 0.2))) if lengths else 0
    if shortest < LEAST:
        raise DatasetError(
            f"a fifth of the {len(lengths)} clips has {shortest} frames or fewer; joined to streams they need {LEAST}: "
            "take longer clips"
        )
    return shortest


def join(
    clips: Sequence[Clip],
    rng: np.random.Generator,
    segments: int = 32,
    shortest: int = SHORTEST,
    longest: int = LONGEST,
) -> list[list[Segment]]:
    """Streams that use each clip of at least `shortest` frames once, some `segments` of them in each.

    Neighbours never share a label where a choice is left: a context is a period of one class. A remainder too short
    for a stream of two segments is left out.
    """
    left = [clip for clip in clips if clip.frames >= shortest]
    rng.shuffle(left)
    streams: list[list[Segment]] = []
    current: list[Segment] = []
    while left:
        label = current[-1].clip.label if current else None
        pick = next((i for i, clip in enumerate(left) if clip.label != label), None)
        if pick is None:
            break
        clip = left.pop(pick)
        length = int(rng.integers(shortest, min(longest, clip.frames) + 1))
        start = int(rng.integers(0, clip.frames - length + 1))
        current.append(Segment(clip, start, start + length))
        if len(current) == segments:
            streams.append(current)
            current = []
    if len(current) > 1:
        streams.append(current)
    return streams
