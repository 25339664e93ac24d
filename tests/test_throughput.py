"""Throughput in samples, from a counter that is read about once a second."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clownfish.lab.throughput import rates


def steady(per_s: float, seconds: int, begin_s: float = 100.0) -> list[tuple[float, int]]:
    return [(begin_s + i, int(i * per_s)) for i in range(seconds + 1)]


def test_a_steady_stream_has_the_same_rate_in_each_sample() -> None:
    assert rates(steady(8, 20), 100, 120) == [8, 8, 8, 8]


def test_what_is_left_after_the_last_whole_sample_is_not_one() -> None:
    assert len(rates(steady(8, 13), 100, 113)) == 2


def test_only_what_lies_between_begin_and_end_counts() -> None:
    slow_start = [(90.0 + i, 0) for i in range(10)]
    assert rates([*slow_start, *steady(8, 10), (111.0, 80), (116.0, 80)], 100, 110) == [8, 8]


def test_a_stretch_is_divided_by_its_own_time() -> None:
    late = [(0.0, 0), (1.0, 7), (2.0, 14), (3.0, 21), (4.0, 28), (5.4, 38), (10.2, 71)]
    assert rates(late, 0, 11) == [pytest.approx(38 / 5.4), pytest.approx(33 / 4.8)]


def test_where_nothing_was_read_there_is_no_sample() -> None:
    assert rates([], 0, 10) == []
    assert rates([(1.0, 5)], 0, 10) == []
    assert rates(steady(8, 3), 100, 103) == []


@given(
    gaps=st.lists(st.floats(0.5, 1.5), min_size=2, max_size=80),
    counted=st.integers(0, 50),
)
def test_no_sample_is_above_the_fastest_second_or_below_the_slowest(gaps: list[float], counted: int) -> None:
    readings, now = [(0.0, 0)], 0.0
    for i, gap in enumerate(gaps):
        now += gap
        readings.append((now, (i + 1) * counted))
    each = [counted / gap for gap in gaps]
    for rate in rates(readings, 0, now):
        assert min(each) - 1e-6 <= rate <= max(each) + 1e-6
