"""What the cloud changed: agreement of edge and cloud, and how often what is said is not what the edge alone had said.

All are counts that add up over streams, for `metrics.bootstrap_interval` and `paired_interval`.
"""

from __future__ import annotations

import numpy as np

from clownfish.evaluation.metrics import UNSCORED, Ints

SCORED, RIGHTLY, WRONGLY, OTHERWISE = range(4)
"""Places in what `corrections` gives."""


def agreement(first: Ints, second: Ints) -> Ints:
    """(2,) windows that both answer alike, and all windows; both (windows,) classes. `metrics.share` makes it one.

    Raises ValueError where they are not as many.
    """
    _same_length(first, second)
    return np.array([np.sum(first == second), len(first)], np.int64)


def corrections(truth: Ints, alone: Ints, said: Ints) -> Ints:
    """(4,) scored frames: all; and those where what is `said` differs from what the edge says `alone` (Alg. 1 without
    any remote result): right where that was wrong (rightly), wrong where it was right (wrongly), wrong both times.

    All three are (frames,): `truth` of `metrics.truth_by_frame`, the answers of `metrics.answers_by_frame`. Rightly −
    wrongly is, in frames, what the cloud brings in accuracy. Raises ValueError where they are not as many.
    """
    _same_length(truth, alone)
    _same_length(truth, said)
    scored = (truth >= 0) & (alone != UNSCORED) & (said != UNSCORED)
    changed = scored & (alone != said)
    rightly, wrongly = changed & (said == truth), changed & (alone == truth)
    return np.array([scored.sum(), rightly.sum(), wrongly.sum(), (changed & ~rightly & ~wrongly).sum()], np.int64)


def correction_rate(counts: Ints) -> float:
    """Share of scored frames whose answer the cloud changed; NaN where none is scored."""
    return _of_scored(counts, int(counts[RIGHTLY:].sum()))


def rightly_rate(counts: Ints) -> float:
    """Share of scored frames that were wrong and that the cloud put right."""
    return _of_scored(counts, int(counts[RIGHTLY]))


def wrongly_rate(counts: Ints) -> float:
    """Share of scored frames that were right and that the cloud spoilt."""
    return _of_scored(counts, int(counts[WRONGLY]))


def gain(counts: Ints) -> float:
    """What the changes bring in frame accuracy."""
    return _of_scored(counts, int(counts[RIGHTLY]) - int(counts[WRONGLY]))


def _of_scored(counts: Ints, frames: int) -> float:
    return frames / int(counts[SCORED]) if counts[SCORED] else float("nan")


def _same_length(first: Ints, second: Ints) -> None:
    if len(first) != len(second):
        raise ValueError(
            f"{len(first)} answers are compared with {len(second)}: they must be of the same windows or frames"
        )
