"""Does it grow? A slope with its spread, of something that was sampled while it went up and down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_BLOCKS = 12
"""Samples that follow each other are alike: the middle of each twelfth says what they say together."""
LEAST = 2 * _BLOCKS
"""Samples."""
_NORMAL_95 = 1.96


@dataclass(frozen=True)
class Trend:
    """Per unit of what it is sampled over: the middle slope, and where it lies with 95 % certainty."""

    slope: float
    low: float
    high: float

    def above(self, limit: float) -> bool:
        """It grows, and by more than the limit."""
        return self.low > 0 and self.slope > limit


def trend(at: Sequence[float], values: Sequence[float]) -> Trend:
    """Theil and Sen: the median of the slopes between all pairs of the blocks' medians, and its interval by Kendall's
    variance (Sen, J. Am. Stat. Assoc. 63, 1968). One jump, or a peak, makes no slope. Raises ValueError for fewer than
    24 samples, or where they are not in order."""
    if len(at) != len(values) or len(at) < LEAST:
        raise ValueError(f"a trend takes {LEAST} samples at least, got {len(at)} places and {len(values)} values")
    x = np.array([np.median(block) for block in np.array_split(np.asarray(at, float), _BLOCKS)])
    y = np.array([np.median(block) for block in np.array_split(np.asarray(values, float), _BLOCKS)])
    if not (np.diff(x) > 0).all():
        raise ValueError("samples must be in order of what they are taken over")
    first, second = np.triu_indices(_BLOCKS, 1)
    slopes = np.sort((y[second] - y[first]) / (x[second] - x[first]))
    n = _BLOCKS
    half = _NORMAL_95 * np.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    low, high = int((len(slopes) - half) // 2), int(np.ceil((len(slopes) + half) / 2))
    return Trend(float(np.median(slopes)), float(slopes[low]), float(slopes[high]))
