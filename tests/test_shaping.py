"""Shaper, on a virtual clock: nothing is lost, nothing overtakes, and it leaves no faster than the link's rate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clownfish.shaping import Shape, Shaper


def arrives(shaper: Shaper, until: float) -> list[tuple[float, bytes]]:
    got = []
    while (due := shaper.next_timer()) is not None and due <= until:
        got.append((due, shaper.take(due)))
    return got


def test_bytes_leave_at_the_rate_and_arrive_a_delay_later() -> None:
    shaper = Shaper(Shape(rate_mbit=8.0, delay_ms=100.0), 0.0)
    for _ in range(3):
        shaper.feed(b"x" * 1000, 0.0)  # a millisecond each
    assert [round(at, 6) for at, _ in arrives(shaper, 9.0)] == [0.101, 0.102, 0.103]


def test_an_idle_link_gives_no_credit() -> None:
    shaper = Shaper(Shape(rate_mbit=8.0), 0.0)
    shaper.feed(b"x" * 1000, 5.0)
    assert shaper.next_timer() == pytest.approx(5.001)


def test_a_cut_stops_what_is_on_the_way_and_loses_none_of_it() -> None:
    shaper = Shaper(Shape(delay_ms=100.0), 0.0)
    shaper.feed(b"a", 0.0)
    shaper.reshape(Shape(delay_ms=100.0, cut=True), 0.05)
    shaper.feed(b"b", 1.0)
    assert shaper.next_timer() is None
    assert shaper.take(9.0) == b""
    shaper.reshape(Shape(delay_ms=100.0), 10.05)
    got = arrives(shaper, 99.0)
    assert b"".join(data for _, data in got) == b"ab"
    assert got[0][0] == pytest.approx(10.1)


def test_a_shorter_delay_overtakes_nothing() -> None:
    shaper = Shaper(Shape(delay_ms=1000.0), 0.0)
    shaper.feed(b"a", 0.0)
    shaper.reshape(Shape(), 0.1)
    shaper.feed(b"b", 0.1)
    assert shaper.take(0.5) == b""
    assert shaper.take(1.0) == b"ab"


@pytest.mark.parametrize("wrong", [{"rate_mbit": 0.0}, {"rate_mbit": float("nan")}, {"delay_ms": -1.0}])
def test_a_link_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Shape(**wrong)


SHAPES = st.builds(Shape, st.none() | st.floats(0.1, 100), st.floats(0, 500), st.booleans())


@given(st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=3000) | SHAPES), max_size=40))
def test_whatever_happens_to_the_link_all_bytes_come_in_order(steps: list[tuple[float, bytes | Shape]]) -> None:
    now, shaper, fed, got = 0.0, Shaper(Shape(), 0.0), b"", b""
    for pause, step in steps:
        now += pause
        if isinstance(step, Shape):
            shaper.reshape(step, now)
        elif not shaper.full:
            shaper.feed(step, now)
            fed += step
        got += shaper.take(now)
        assert fed.startswith(got)
    shaper.reshape(Shape(), now)
    got += b"".join(data for _, data in arrives(shaper, float("inf")))
    assert got == fed
    assert not shaper.full
