from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from clownfish.framecache import OVERHEAD_BYTES, FrameCache
from clownfish.messages import StreamKey
from clownfish.protocol import FrameData

KEY = StreamKey("cam", 1)
COST = 10 + OVERHEAD_BYTES
"""Of one frame of 10 bytes."""


def frame(n: int, size_bytes: int = 10, stream: str = "cam") -> FrameData:
    return FrameData(stream, 1, n, "jpeg", 32, 32, bytes([n % 256]) * size_bytes)


def test_frames_come_in_the_order_asked_for_and_the_missing_ones_are_named() -> None:
    cache = FrameCache(100_000)
    for n in (3, 1, 2):
        cache.put(b"a", frame(n))
    frames, missing = cache.get(b"a", KEY, (1, 9, 3, 8))
    assert ([each.n for each in frames], missing) == ([1, 3], (9, 8))


def test_a_session_never_sees_the_frames_of_another() -> None:
    cache = FrameCache(100_000)
    cache.put(b"a", frame(1))
    assert cache.get(b"b", KEY, (1,)) == ([], (1,))


def test_the_oldest_frames_of_a_stream_leave_first() -> None:
    cache = FrameCache(100_000, frames_per_stream=2)
    for n in range(4):
        cache.put(b"a", frame(n))
    assert cache.get(b"a", KEY, range(4))[1] == (0, 1)
    assert cache.evicted == 2


def test_the_stream_that_was_quiet_longest_pays_for_room() -> None:
    cache = FrameCache(3 * COST)
    for n, stream in enumerate(("x", "y", "x", "z")):
        cache.put(b"a", frame(n, stream=stream))
    assert [cache.get(b"a", StreamKey(s, 1), range(4))[1] for s in "xyz"] == [(1, 3), (0, 1, 2, 3), (0, 1, 2)]
    assert cache.size_bytes == 3 * COST


def test_a_frame_larger_than_the_cache_is_not_kept() -> None:
    cache = FrameCache(COST - 1)
    cache.put(b"a", frame(1))
    assert (cache.size_bytes, cache.get(b"a", KEY, (1,))[1]) == (0, (1,))


def test_a_session_that_is_over_leaves_nothing() -> None:
    cache = FrameCache(100_000)
    cache.put(b"a", frame(1))
    cache.put(b"b", frame(1))
    cache.forget(b"a")
    assert cache.size_bytes == COST
    assert cache.get(b"b", KEY, (1,))[1] == ()


puts = st.tuples(st.sampled_from([b"a", b"b"]), st.sampled_from("xy"), st.integers(0, 9), st.integers(0, 40))


@given(st.lists(st.one_of(puts, st.sampled_from([b"a", b"b"])), max_size=60))
def test_the_bytes_kept_are_counted_exactly_and_never_above_the_capacity(steps: list[object]) -> None:
    cache = FrameCache(6 * COST, frames_per_stream=4)
    newest: dict[tuple[bytes, str, int], FrameData] = {}
    for step in steps:
        if isinstance(step, bytes):
            cache.forget(step)
        else:
            session, stream, n, size_bytes = step  # type: ignore[misc]
            newest[session, stream, n] = frame(n, size_bytes, stream)
            cache.put(session, newest[session, stream, n])
        kept = [
            (session, each)
            for session in (b"a", b"b")
            for stream in "xy"
            for each in cache.get(session, StreamKey(stream, 1), range(10))[0]
        ]
        assert cache.size_bytes == sum(len(each.data) + OVERHEAD_BYTES for _, each in kept) <= 6 * COST
        assert all(newest[session, each.stream, each.n] is each for session, each in kept)
