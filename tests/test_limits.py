from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clownfish.limits import DeviceLimits, Shunned

A, B = b"a", b"b"


def limits(messages_per_s: float = 10, bytes_per_s: float = 1000, streams: int = 2) -> DeviceLimits:
    return DeviceLimits(messages_per_s=messages_per_s, bytes_per_s=bytes_per_s, streams=streams)


def test_messages_beyond_the_rate_are_over_it_and_counted() -> None:
    it = limits()
    assert [it.message(A, 0.0) for _ in range(22)] == [None] * 20 + ["over_rate"] * 2
    assert it.counts == {"over_rate": 2}
    assert it.message(A, 0.1) is None


def test_a_message_that_costs_more_counts_as_many_and_never_more_than_a_burst() -> None:
    it = limits()
    assert it.message(A, 0.0, cost=15) is None
    assert it.message(A, 0.0, cost=15) == "over_rate"
    assert it.message(B, 0.0, cost=1000) is None
    assert it.message(B, 0.0) == "over_rate"


def test_bytes_beyond_the_rate_are_over_it() -> None:
    it = limits()
    assert it.message(A, 0.0, 5000) is None, "one message may be larger than the burst"
    assert it.message(A, 1.0, 1) == "over_bytes"
    assert it.message(A, 1.0, 0) is None, "what carries no bytes is not held up"
    assert it.message(A, 4.0, 1) is None


def test_streams_beyond_the_limit_are_over_it_until_another_falls_silent() -> None:
    it = limits()
    assert [it.message(A, 0.0, 0, name) for name in ("x", "y", "z", "x")] == [None, None, "over_streams", None]
    assert it.message(A, 30.0, 0, "x") is None
    assert it.message(A, 61.0, 0, "z") is None
    assert it.message(A, 61.0, 0, "y") == "over_streams"


def test_a_device_that_asks_too_much_takes_nothing_from_another() -> None:
    it = limits()
    for _ in range(100):
        it.message(A, 0.0, 1000, "x")
    assert it.message(B, 0.0, 1000, "x") is None
    it.forget(A)
    assert it.message(A, 0.0, 1000, "x") is None


@given(
    st.lists(
        st.tuples(st.floats(0, 0.5), st.integers(0, 400), st.sampled_from("abcd")),
        max_size=200,
    )
)
def test_no_sequence_gets_more_than_its_rate_and_one_burst(trace: list[tuple[float, int, str]]) -> None:
    it, now, admitted, size_bytes = limits(), 0.0, 0, 0
    for wait_s, size, stream in trace:
        now += wait_s
        if it.message(A, now, size, stream) is None:
            admitted += 1
            size_bytes += size
        assert admitted <= 10 * (now + 2) + 1e-6
        assert size_bytes <= 1000 * (now + 2) + 400 + 1e-6


def test_time_that_runs_backwards_gives_nothing_away() -> None:
    it = limits()
    for _ in range(20):
        it.message(A, 10.0)
    assert it.message(A, 0.0) == "over_rate"
    assert it.message(A, 10.0) == "over_rate"


@pytest.mark.parametrize("bad", [{"messages_per_s": 0}, {"bytes_per_s": -1}, {"streams": 0}])
def test_limits_that_let_nothing_through_are_refused(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must let a device send"):
        limits(**bad)


def test_a_device_that_sends_too_many_malformed_messages_is_out_for_a_while_and_nobody_else() -> None:
    it = Shunned(malformed=3, forgiven_per_s=0.5, out_s=10.0)
    assert [it.malformed(A, 0.0) for _ in range(4)] == [False, False, False, True]
    assert (it.is_out(A, 9.9), it.is_out(B, 9.9)) == (True, False)
    assert not it.is_out(A, 10.0)
    assert [it.malformed(A, 10.0) for _ in range(4)] == [False, False, False, True]
    assert it.is_out(A, 10.0)


def test_a_malformed_message_now_and_then_is_borne_for_ever() -> None:
    it = Shunned(malformed=2, forgiven_per_s=0.5)
    assert not any(it.malformed(A, 2.0 * n) for n in range(1000))


def test_a_device_that_is_forgotten_is_not_out_any_more() -> None:
    it = Shunned(malformed=1)
    assert [it.malformed(A, 0.0) for _ in range(2)] == [False, True]
    it.forget(A)
    assert not it.is_out(A, 0.0)
