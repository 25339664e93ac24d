"""How old an answer is that a browser has drawn."""

from __future__ import annotations

import pytest

from clownfish.errors import ClownfishError
from clownfish.lab.page_age import ages

MS = 1_000_000


def test_an_answer_is_as_old_as_the_newest_window_of_its_number_that_was_captured_before() -> None:
    captured = {("s0", 3): [10 * MS, 500 * MS, 900 * MS]}  # three epochs
    drawn = [{"stream": "s0", "t": 3, "at_ns": at * MS} for at in (40, 620, 1000)]
    assert ages(drawn, captured) == [30, 120, 100]


def test_what_the_record_does_not_have_is_left_out() -> None:
    captured = {("s0", 3): [10 * MS]}
    drawn = [{"stream": "s0", "t": 3, "at_ns": 12 * MS}, {"stream": "s0", "t": 4, "at_ns": 13 * MS}]
    assert ages(drawn, captured) == [2]
    with pytest.raises(ClownfishError, match="none of the answers"):
        ages(drawn[1:], captured)
