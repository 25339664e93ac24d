"""Throughput in samples of a few seconds, from a counter that is published once a second (Fig. 13)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

SAMPLE_S = 5.0
Reading = tuple[float, float]
"""(seconds of any clock, the counter then)."""


def rates(readings: Sequence[Reading], begin_s: float, end_s: float, every_s: float = SAMPLE_S) -> list[float]:
    """What was counted per second, in each whole stretch of about `every_s` from `begin_s` to `end_s`.

    A stretch lasts from one reading to another, those next to its nominal ends, and is divided by its own time.
    `readings` in order of time; fewer than two give nothing.
    """
    inside = [reading for reading in readings if begin_s <= reading[0] <= end_s]
    if len(inside) < 2:
        return []
    ends = [inside[0]]
    while (due := inside[0][0] + len(ends) * every_s) <= inside[-1][0] + 0.5:
        nearest = min(inside, key=lambda reading: abs(reading[0] - due))
        if nearest[0] <= ends[-1][0]:
            break  # readings failed to come for longer than a sample
        ends.append(nearest)
    return [(after[1] - before[1]) / (after[0] - before[0]) for before, after in pairwise(ends)]
