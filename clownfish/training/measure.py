"""Scores of a trained model on labelled streams: what model cards and reports say (DESIGN §5.10, §5.12).

For measuring only: recipes and temperatures are chosen on validation groups, never here.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clownfish.datasets.base import LabelledStream
from clownfish.datasets.decode import iterate
from clownfish.models.base import WindowModel

SKIPPED_FRAMES = 8
"""Of every context, as the paper does (§VI-B)."""

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Watched:
    """A model's answers on one labelled stream, windows in order."""

    p: npt.NDArray[np.float32]
    feature: npt.NDArray[np.float32]
    label: npt.NDArray[np.int64]
    """(windows,) class of the middle frame"""
    context: npt.NDArray[np.int64]
    """(windows,) number of the middle frame's context"""
    frame_label: npt.NDArray[np.int64]
    """(frames,) class, −1 outside contexts and in the first frames of each"""
    stride: int
    ms_per_window: float
    """Median time of `infer` for one window, its frames already decoded."""


def watch(model: WindowModel, stream: LabelledStream, stride: int = 4, size: tuple[int, int] | None = None) -> Watched:
    """Run the model over all windows of the stream, frames first resized to `size` = (width, height) where given."""
    frames = list(iterate(stream.path, size))
    label = np.full(len(frames), -1)
    context = np.full(len(frames), -1)
    scored = np.full(len(frames), -1)
    for n, interval in enumerate(stream.intervals):
        number = model.classes.index(interval.label)
        label[interval.start : interval.end] = number
        context[interval.start : interval.end] = n
        scored[interval.start + SKIPPED_FRAMES : interval.end] = number
    p, feature, spent = [], [], []
    starts = range(0, len(frames) - model.window_size + 1, stride)
    for first in starts:
        began = time.perf_counter()
        answer = model.infer([frames[first : first + model.window_size]])
        spent.append(time.perf_counter() - began)
        p.append(answer.p[0])
        feature.append(answer.feature[0])
    middle = np.array(starts) + model.window_size // 2
    return Watched(
        p=np.stack(p),
        feature=np.stack(feature),
        label=label[middle],
        context=context[middle],
        frame_label=scored,
        stride=stride,
        ms_per_window=float(np.median(spent)) * 1000,
    )


def window_accuracy(watched: Sequence[Watched]) -> float:
    """Share of windows whose answer is the class of their middle frame."""
    right = np.concatenate([(w.p.argmax(1) == w.label)[w.label >= 0] for w in watched])
    return float(right.mean())


def frame_accuracy(watched: Sequence[Watched], window_size: int = 16) -> float:
    """Share of frames answered right: a window's answer belongs to its last `stride` frames, and the first 8 frames of
    every context do not count (DESIGN §5.10). Frames before the first window ends do not count either."""
    right = []
    for w in watched:
        answers = np.repeat(w.p.argmax(1), w.stride)
        truth = w.frame_label[window_size - w.stride :][: len(answers)]
        answers = answers[: len(truth)]
        right.append((answers == truth)[truth >= 0])
    return float(np.concatenate(right).mean())


def cosine(previous: Floats, current: Floats) -> npt.NDArray[np.float64]:
    """Row-wise cosine similarity, (n, k) and (n, k) → (n,)."""
    norms = np.linalg.norm(previous, axis=1) * np.linalg.norm(current, axis=1)
    similarity: npt.NDArray[np.float64] = (previous * current).sum(1) / np.maximum(norms, 1e-12)
    return similarity


def euclidean(previous: Floats, current: Floats) -> npt.NDArray[np.float64]:
    """Row-wise negative Euclidean distance: larger is more similar."""
    distance: npt.NDArray[np.float64] = -np.linalg.norm(previous - current, axis=1)
    return distance


def auc(score: Floats, positive: npt.NDArray[np.bool_]) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties counting half
    (Mann-Whitney)."""
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    positives = int(positive.sum())
    negatives = len(positive) - positives
    return float((rank[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))
