"""When a source is given up, on a virtual clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clownfish.patience import Patience


def test_the_first_frame_has_as_long_as_opening_and_each_other_one_as_long_as_a_stall() -> None:
    patience = Patience(10.0, 3.0, now=100.0)
    assert [patience.over(now) for now in (100.0, 103.1, 109.9, 110.0)] == [False, False, False, True]
    patience.idle()
    patience.owing(120.0)
    assert patience.due() == 123.0
    assert [patience.over(now) for now in (122.9, 123.0)] == [False, True]


def test_while_the_graph_owes_the_source_owes_nothing() -> None:
    patience = Patience(10.0, 3.0, now=0.0)
    patience.idle()
    assert patience.due() is None
    assert not patience.over(1e9)
    assert patience.owed_s(1e9) == 0.0


@given(
    open_s=st.floats(0.1, 60),
    stall_s=st.floats(0.1, 60),
    pauses=st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), max_size=30),
)
def test_a_source_is_given_up_exactly_when_it_owed_for_too_long(
    open_s: float, stall_s: float, pauses: list[tuple[float, float]]
) -> None:
    """However long the source lets one wait, and the graph."""
    now, limit_s = 0.0, open_s
    patience = Patience(open_s, stall_s, now)
    for waits_s, held_s in pauses:
        began = now
        now += waits_s
        assert patience.over(now) == (now >= began + limit_s)
        assert patience.owed_s(now) == now - began
        patience.idle()
        now += held_s
        assert not patience.over(now)
        patience.owing(now)
        limit_s = stall_s


@pytest.mark.parametrize(("open_s", "stall_s"), [(0.0, 1.0), (1.0, 0.0), (float("nan"), 1.0)])
def test_no_patience_at_all_is_refused(open_s: float, stall_s: float) -> None:
    with pytest.raises(ValueError, match="expected above 0"):
        Patience(open_s, stall_s, 0.0)
