"""The link's queue model, on a virtual clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clownfish.lab.net.pipe import Pipe
from clownfish.lab.net.shape import HEADER_BYTES, Shape


def packet(number: int, size_bytes: int = 1000) -> bytes:
    """`size_bytes` on the wire; tells which it is."""
    return number.to_bytes(4, "big").ljust(size_bytes - HEADER_BYTES, b"\0")


def number_of(data: bytes) -> int:
    return int.from_bytes(data[:4], "big")


def drain(pipe: Pipe) -> list[tuple[float, int]]:
    """(when, which packet) of all that still arrive."""
    arrived = []
    while (timer := pipe.next_timer()) is not None:
        arrived += [(timer, number_of(data)) for data in pipe.due(timer)]
    return arrived


def test_a_packet_arrives_after_the_delay() -> None:
    pipe = Pipe(Shape(delay_ms=20))
    pipe.offer(packet(1), 5.0)
    assert pipe.due(5.019) == []
    assert [number_of(data) for data in pipe.due(5.021)] == [1]
    assert pipe.next_timer() is None


def test_packets_take_their_turn_at_the_rate() -> None:
    pipe = Pipe(Shape(rate_mbit=8, delay_ms=10))  # a byte a microsecond
    for i in range(3):
        pipe.offer(packet(i), 0.0)
    assert drain(pipe) == [(pytest.approx(0.010 + 0.001 * (i + 1)), i) for i in range(3)]


def test_what_the_queue_has_no_room_for_is_dropped() -> None:
    pipe = Pipe(Shape(rate_mbit=8, queue_bytes=3000))
    for i in range(5):
        pipe.offer(packet(i), 0.0)
    assert (pipe.counts.overflowed, pipe.queued_bytes) == (2, 3000)
    assert [number for _, number in drain(pipe)] == [0, 1, 2]


def test_a_change_of_rate_holds_for_the_rest_of_what_is_being_sent() -> None:
    pipe = Pipe(Shape(rate_mbit=8))
    pipe.offer(packet(0), 0.0)
    pipe.offer(packet(1), 0.0)
    pipe.change(Shape(rate_mbit=4), 0.0005)  # half of the first is sent; the other half takes twice as long
    assert drain(pipe) == [(pytest.approx(0.0015), 0), (pytest.approx(0.0035), 1)]


def test_what_waited_leaves_at_once_when_the_cap_is_taken_away() -> None:
    pipe = Pipe(Shape(rate_mbit=0.01))
    for i in range(3):
        pipe.offer(packet(i), 0.0)
    pipe.change(Shape(), 1.0)
    assert [number_of(data) for data in pipe.due(1.0)] == [0, 1, 2]


def test_what_is_under_way_arrives_though_the_link_dies() -> None:
    pipe = Pipe(Shape(delay_ms=50))
    pipe.offer(packet(0), 0.0)
    pipe.change(Shape(loss=1), 0.01)
    pipe.offer(packet(1), 0.02)
    assert drain(pipe) == [(pytest.approx(0.05), 0)]
    assert pipe.counts.lost == 1


def test_a_delay_that_falls_lets_no_packet_overtake_another() -> None:
    pipe = Pipe(Shape(delay_ms=50))
    pipe.offer(packet(0), 0.0)
    pipe.change(Shape(delay_ms=5), 0.01)
    pipe.offer(packet(1), 0.01)
    assert [number for _, number in drain(pipe)] == [0, 1]


def test_the_share_that_is_lost_is_the_share_that_was_asked_for() -> None:
    pipe = Pipe(Shape(loss=0.1), seed=3)
    for i in range(10_000):
        pipe.offer(packet(i), i / 1000)
    assert pipe.counts.lost == pytest.approx(1000, abs=3.3 * 30)  # binomial, 3.3 standard deviations


def test_the_same_seed_loses_the_same_packets() -> None:
    def arrived(seed: int) -> list[int]:
        pipe = Pipe(Shape(loss=0.5, delay_ms=1), seed)
        for i in range(200):
            pipe.offer(packet(i), i / 1000)
        return [number for _, number in drain(pipe)]

    assert arrived(7) == arrived(7) != arrived(8)


def test_jitter_stays_within_its_bounds_and_lets_packets_overtake() -> None:
    pipe = Pipe(Shape(delay_ms=30, jitter_ms=10), seed=1)
    for i in range(500):
        pipe.offer(packet(i), i / 1000)
    arrived = drain(pipe)
    delays = [1000 * (at - number / 1000) for at, number in arrived]
    assert 20 <= min(delays) < 21
    assert 39 < max(delays) <= 40
    assert [number for _, number in arrived] != sorted(number for _, number in arrived)


def test_the_share_that_is_reordered_has_no_delay() -> None:
    pipe = Pipe(Shape(delay_ms=30, reorder=0.25), seed=1)
    for i in range(2000):
        pipe.offer(packet(i), i / 1000)
    early = sum(at - number / 1000 < 0.001 for at, number in drain(pipe))
    assert early == pytest.approx(500, abs=3.3 * 19.4)


shapes = st.builds(
    Shape,
    delay_ms=st.floats(0.1, 100),
    loss=st.sampled_from([0.0, 0.3, 1.0]),
    reorder=st.sampled_from([0.0, 0.2]),
    rate_mbit=st.none() | st.floats(0.1, 100),
    queue_bytes=st.integers(1514, 20_000),
)
steps = st.lists(
    st.tuples(st.floats(0, 0.05), st.one_of(st.integers(60, 1514), shapes)),  # wait, then a packet or a change
    max_size=60,
)


@given(first=shapes, steps=steps, seed=st.integers(0, 3))
def test_every_packet_arrives_once_or_is_counted_as_lost(
    first: Shape, steps: list[tuple[float, int | Shape]], seed: int
) -> None:
    pipe, now, offered = Pipe(first, seed), 0.0, 0
    arrived: list[int] = []
    for wait_s, step in steps:
        now += wait_s
        if isinstance(step, Shape):
            pipe.change(step, now)
        else:
            pipe.offer(packet(offered, step), now)
            offered += 1
        arrived += [number_of(data) for data in pipe.due(now)]
        counts = pipe.counts
        assert counts.offered == offered == counts.delivered + counts.lost + counts.overflowed + pipe.inside
    arrived += [number for _, number in drain(pipe)]
    assert len(arrived) == len(set(arrived)) == offered - pipe.counts.lost - pipe.counts.overflowed
    assert (pipe.inside, pipe.queued_bytes) == (0, 0)


@given(
    rate_mbit=st.floats(0.1, 100),
    queue_bytes=st.integers(1514, 30_000),
    gaps=st.lists(st.tuples(st.floats(0, 0.01), st.integers(60, 1514)), min_size=1, max_size=80),
)
def test_no_more_passes_than_the_rate_allows_and_no_more_waits_than_the_queue_holds(
    rate_mbit: float, queue_bytes: int, gaps: list[tuple[float, int]]
) -> None:
    pipe, now, sizes = Pipe(Shape(rate_mbit=rate_mbit, queue_bytes=queue_bytes)), 0.0, {}
    arrived: list[tuple[float, int]] = []
    for i, (wait_s, size) in enumerate(gaps):
        now += wait_s
        while (timer := pipe.next_timer()) is not None and timer <= now:
            arrived += [(timer, number_of(data)) for data in pipe.due(timer)]
        pipe.offer(packet(i, size), now)
        sizes[i] = size
        assert pipe.queued_bytes <= max(queue_bytes, 1514)
    arrived += drain(pipe)
    assert [number for _, number in arrived] == sorted(number for _, number in arrived)
    for begin in range(len(arrived)):
        passed = 0
        for at_s, number in arrived[begin + 1 :]:
            passed += sizes[number]
            assert passed * 8e-6 <= rate_mbit * (at_s - arrived[begin][0]) * (1 + 1e-6) + 1e-9
