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
from typing import TypeVar

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


T = TypeVar("T")
Interval = tuple[float, float]

LEVEL, RESAMPLES, SEED = 0.95, 2000, 0


def bootstrap_interval(
    matrices: Sequence[npt.NDArray[np.integer]],
    score: Callable[[Ints], float],
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Interval:
    """Percentile interval of `score` over the pooled counts of streams drawn with replacement: confusion matrices, or
    any other counts that add up, of one shape.

    It tells how far the score depends on which streams were measured; of one stream alone it is that stream's score.
    NaN where no draw has a score.
    """
    each = np.stack(matrices).astype(np.int64)
    pooled = np.tensordot(_draws(len(each), resamples, seed), each, axes=1)
    return _percentiles([score(matrix) for matrix in pooled], level)


def interval_over(
    streams: Sequence[T],
    score: Callable[[Sequence[T]], float],
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Interval:
    """Likewise, of a score that is no function of sums (a median): `score` takes what was drawn, stream by stream."""
    numbers = np.arange(len(streams))
    drawn = [np.repeat(numbers, times).tolist() for times in _draws(len(streams), resamples, seed)]
    return _percentiles([score([streams[n] for n in each]) for each in drawn], level)


def paired_interval(
    first: Sequence[T],
    second: Sequence[T],
    score: Callable[[Sequence[T]], float],
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Interval:
    """Interval of score(first) − score(second), two methods on the same streams: each draw takes the same streams of
    both, so that what is hard for both is hard in both. Raises ValueError where the streams are not as many."""
    return interval_over(
        list(zip(first, second, strict=True)),
        lambda pairs: score([one for one, _ in pairs]) - score([other for _, other in pairs]),
        level,
        resamples,
        seed,
    )


def _draws(streams: int, resamples: int, seed: int) -> Ints:
    """(resamples, streams) how often each stream is drawn. Raises ValueError without streams."""
    if not streams:
        raise ValueError("no streams: there is nothing to draw from")
    return np.random.default_rng(seed).multinomial(streams, np.full(streams, 1 / streams), size=resamples)


def _percentiles(scores: Sequence[float], level: float) -> Interval:
    known = np.asarray(scores, np.float64)
    known = known[~np.isnan(known)]
    if not len(known):
        return float("nan"), float("nan")
    bounds = [(1 - level) / 2, (1 + level) / 2]
    if np.isinf(known).any():  # between two infinite scores there is nothing to interpolate
        low, high = np.sort(known)[[round(bound * (len(known) - 1)) for bound in bounds]]
    else:
        low, high = np.quantile(known, bounds)
    return float(low), float(high)


def pooled_score(score: Callable[[Ints], float]) -> Callable[[Sequence[Ints]], float]:
    """`score` of counts that are added up first: for `interval_over` and `paired_interval`."""
    return lambda counts: score(np.sum(counts, axis=0))


def share(counts: Ints) -> float:
    """(some, all) → some ÷ all; NaN of nothing."""
    some, everything = counts
    return float(some) / float(everything) if everything else float("nan")
