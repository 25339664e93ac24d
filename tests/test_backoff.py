"""Waits between tries: bounded, growing, and never the same for two."""

from __future__ import annotations

import itertools
import random

from hypothesis import given
from hypothesis import strategies as st

from clownfish.backoff import Backoff


def test_tries_come_ever_less_often_and_never_all_at_once() -> None:
    waits = [Backoff(0.5, 8, random.Random(seed)) for seed in range(20)]
    first, *_, last = [[each.next_s() for each in waits] for _ in range(8)]
    assert all(0.25 <= each <= 0.5 for each in first)
    assert all(4 <= each <= 8 for each in last)
    assert len({round(each, 6) for each in last}) == 20
    waits[0].reset()
    assert waits[0].next_s() <= 0.5


@given(first_s=st.floats(0.001, 10), factor=st.floats(1, 1000), tries=st.integers(1, 100), seed=st.integers(0, 1000))
def test_no_wait_is_above_the_limit_or_below_half_of_the_first(
    first_s: float, factor: float, tries: int, seed: int
) -> None:
    backoff = Backoff(first_s, first_s * factor, random.Random(seed))
    waits = [backoff.next_s() for _ in range(tries)]
    assert all(0.5 * first_s <= wait_s <= first_s * factor for wait_s in waits)
    assert all(later >= 0.5 * earlier for earlier, later in itertools.pairwise(waits))
