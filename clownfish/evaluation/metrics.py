"""Scores of answers against ground truth (§VI-B, DESIGN §5.10): frame accuracy, weighted F1, bootstrap intervals.

A window's answer belongs to its last `stride` frames, so frame n belongs to the window that ends in or after it. Not
scored are the frames that belong to no whole window (those before the first window's own, and a last few), the frames
outside every context, and the first 8 frames of each. A frame whose window has no answer is answered wrongly: a system
that skips windows must not score better for it.

All scores come from a confusion matrix, so those of several streams are pooled by adding their matrices: each frame
counts the same, whatever its stream.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from clownfish.errors import DatasetError
from clownfish.sources.truth import Truth

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

SKIPPED_FRAMES = 8
"""Of every context (§VI-B): what a window shows there is still the context before."""

UNANSWERED = -1
UNSCORED = -2


def windows_in(frames: int, size: int, stride: int) -> int:
    """How many whole windows a stream of `frames` frames has."""
    return max(0, (frames - size) // stride + 1)


def answers_by_frame(t: Ints, answers: Ints, size: int, stride: int, frames: int) -> Ints:
    """(frames,) the class answered for each frame: UNANSWERED where its window has none, UNSCORED without a window.

    `t` and `answers`, both (windows,): index and class of each answered window. Raises ValueError for a window that a
    stream of `frames` frames does not have.
    """
    windows = windows_in(frames, size, stride)
    if len(t) and not 0 <= t.min() <= t.max() < windows:
        raise ValueError(f"windows {t.min()} to {t.max()} are answered; a stream of {frames} frames has {windows}")
    by_window = np.full(windows, UNANSWERED, np.int64)
    by_window[t] = answers
    by_frame = np.full(frames, UNSCORED, np.int64)
    first = size - stride
    by_frame[first : first + windows * stride] = np.repeat(by_window, stride)
    return by_frame


def truth_by_frame(truth: Truth, classes: Sequence[str], frames: int, skip: int = SKIPPED_FRAMES) -> Ints:
    """(frames,) the true class of each frame, UNSCORED outside contexts and in the first `skip` frames of each.

    Raises DatasetError for a label that is none of `classes`.
    """
    number = {name: n for n, name in enumerate(classes)}
    by_frame = np.full(frames, UNSCORED, np.int64)
    for context in truth.contexts:
        if context.label not in number:
            raise DatasetError(
                f"the ground truth names {context.label!r} (frame {context.start}); the models know "
                f"{', '.join(classes)}: score with models of these labels"
            )
        by_frame[context.start + skip : context.end] = number[context.label]
    return by_frame


def confusion(truth: Ints, answered: Ints, classes: int) -> Ints:
    """(classes, classes + 1) scored frames by true class and answer; the last column counts the unanswered."""
    scored = (truth >= 0) & (answered != UNSCORED)
    column = np.where(answered[scored] == UNANSWERED, classes, answered[scored])
    flat = np.bincount(truth[scored] * (classes + 1) + column, minlength=classes * (classes + 1))
    return flat.reshape(classes, classes + 1).astype(np.int64)


def accuracy(matrix: npt.NDArray[np.integer]) -> float:
    """Share of scored frames answered right; NaN where none is scored."""
    total = int(matrix.sum())
    return float(np.trace(matrix)) / total if total else float("nan")


def weighted_f1(matrix: npt.NDArray[np.integer]) -> float:
    """Mean over classes of F1 = 2·TP ÷ (2·TP + FP + FN), weighted by each class's true frames; NaN where none is."""
    right = np.diagonal(matrix).astype(np.float64)
    true = matrix.sum(axis=1).astype(np.float64)  # TP + FN
    answered = matrix[:, : len(matrix)].sum(axis=0).astype(np.float64)  # TP + FP
    total = float(true.sum())
    if not total:
        return float("nan")
    f1 = 2 * right / np.maximum(true + answered, 1)
    return float((f1 * true).sum() / total)


def bootstrap_interval(
    matrices: Sequence[Ints],
    score: Callable[[Ints], float],
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of `score` over the pooled matrices of streams drawn with replacement.

    It tells how far the score depends on which streams were measured; of one stream alone it is that stream's score.
    """
    each = np.stack(matrices).astype(np.int64)
    times = np.random.default_rng(seed).multinomial(len(each), np.full(len(each), 1 / len(each)), size=resamples)
    pooled = np.tensordot(times, each, axes=1)
    scores: Floats = np.array([score(matrix) for matrix in pooled])
    low, high = np.nanquantile(scores, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
