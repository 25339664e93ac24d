"""A slope with its spread: what grows is told from what goes up and down."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clownfish.lab.trend import trend

HOURS = np.linspace(0, 2, 240)


@given(st.floats(-50, 50), st.floats(-1000, 1000))
def test_a_straight_line_has_its_own_slope_and_no_spread(slope: float, start: float) -> None:
    found = trend(list(HOURS), list(start + slope * HOURS))
    assert (found.slope, found.low, found.high) == pytest.approx((slope, slope, slope), abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_noise_has_none_and_growth_below_it_is_found(seed: int) -> None:
    noise = np.random.default_rng(seed).normal(0, 4, len(HOURS))
    still = trend(list(HOURS), list(100 + noise))
    assert still.low < 1
    assert still.high > -1
    assert not still.above(3)
    growing = trend(list(HOURS), list(100 + 8 * HOURS + noise))
    assert growing.above(3)
    assert growing.low < 8 < growing.high + 1


def test_a_jump_or_a_peak_is_no_growth() -> None:
    jump = np.where(HOURS < 0.2, 50.0, 110.0)
    assert trend(list(HOURS), list(jump)).slope == 0
    peak = np.where((HOURS > 1.7) & (HOURS < 1.8), 500.0, 100.0)
    assert not trend(list(HOURS), list(peak)).above(0)


def test_what_gives_no_trend_is_refused() -> None:
    with pytest.raises(ValueError, match="24 samples at least, got 23"):
        trend(list(range(23)), [1.0] * 23)
    with pytest.raises(ValueError, match="in order"):
        trend([1.0] * 24, [1.0] * 24)
