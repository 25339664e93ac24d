"""Pairs of windows that SimiNet learns from and is judged by (§III-C): both of one context, or of two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from clownfish.errors import DatasetError
from clownfish.models.adapter import describe_feature
from clownfish.models.description import ModelDescription
from clownfish.training.streams import SeenStream

Array = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SeenStreams:
    """What a classifier makes of streams, all their windows one stream after the other."""

    embedding: Array
    """(windows, embedding size)"""
    logits: Array
    """(windows, classes), before the temperature"""
    stream: Numbers
    """(windows,) number of the stream"""
    context: Numbers
    """(windows,) number of the middle frame's context within the stream"""

    @staticmethod
    def of(seen: Sequence[SeenStream]) -> SeenStreams:
        return SeenStreams(
            np.concatenate([s.embedding for s in seen]),
            np.concatenate([s.logits for s in seen]),
            np.repeat(np.arange(len(seen)), [len(s.context) for s in seen]),
            np.concatenate([s.context for s in seen]),
        )

    def feature(self, description: ModelDescription) -> Array:
        """As `Inference.feature` is, (windows, feature size)."""
        feature: Array = describe_feature(
            torch.from_numpy(self.embedding), torch.from_numpy(self.logits), description
        ).numpy()
        return feature


@dataclass(frozen=True, slots=True)
class Pairs:
    """Two windows each, the earlier one first."""

    previous: Array
    """(n, feature size)"""
    current: Array
    same: npt.NDArray[np.bool_]
    """(n,) whether both show one context."""


def neighbours(seen: SeenStreams, feature: Array, distance: int = 1) -> Pairs:
    """Every window beside the one `distance` windows before it, in streams as they are. Raises DatasetError where all
    show one context, or none does."""
    first = np.flatnonzero(seen.stream[distance:] == seen.stream[:-distance])
    same = seen.context[first] == seen.context[first + distance]
    return _checked(Pairs(feature[first], feature[first + distance], same), f"windows {distance} apart")


def contexts(seen: SeenStreams, feature: Array, rng: np.random.Generator) -> Pairs:
    """The paper's pairs: every window beside another one of its context, and beside one of the context before it, each
    drawn at random. Raises DatasetError as `neighbours` does."""
    n = len(seen.context)
    new = np.ones(n, bool)
    new[1:] = (seen.stream[1:] != seen.stream[:-1]) | (seen.context[1:] != seen.context[:-1])
    start = np.flatnonzero(new)
    run = np.cumsum(new) - 1
    length = np.diff(np.append(start, n))
    everyone = np.arange(n)
    # another window of the same run: any of the others, counted on from this one and around
    shift = 1 + (rng.random(n) * (length[run] - 1)).astype(int)
    other = start[run] + (everyone - start[run] + shift) % length[run]
    has_other = length[run] > 1
    before = np.maximum(run - 1, 0)
    partner = start[before] + (rng.random(n) * length[before]).astype(int)
    has_before = (run > 0) & (seen.stream[partner] == seen.stream)
    first = np.concatenate([np.minimum(everyone, other)[has_other], partner[has_before]])
    second = np.concatenate([np.maximum(everyone, other)[has_other], everyone[has_before]])
    same = np.arange(len(first)) < has_other.sum()
    return _checked(Pairs(feature[first], feature[second], same), "windows of contexts")


def _checked(pairs: Pairs, what: str) -> Pairs:
    if len(pairs.same) == 0 or pairs.same.all() or not pairs.same.any():
        raise DatasetError(
            f"{len(pairs.same)} pairs of {what}, of which {int(pairs.same.sum())} show one context: SimiNet learns "
            "from pairs of either kind; take longer streams, or more of them"
        )
    return pairs
