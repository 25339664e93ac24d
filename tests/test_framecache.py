from __future__ import annotations

import gc

from hypothesis import given
from hypothesis import strategies as st

from clownfish.framecache import OVERHEAD_BYTES, Found, FrameCache
from clownfish.messages import StreamKey
from clownfish.protocol import MAX_PICTURES, MAX_RUN, FrameData

KEY = StreamKey("cam", 1)
COST = 10 + OVERHEAD_BYTES
"""Of one frame of 10 bytes."""


def frame(n: int, size_bytes: int = 10, stream: str = "cam") -> FrameData:
    return FrameData(stream, 1, n, n, 0, "jpeg", 32, 32, bytes([n % 256]) * size_bytes)


def numbers(found: Found) -> tuple[list[int], tuple[int, ...]]:
    """(frames that are here, missing)."""
    return [found.numbers[at] for at in found.frames], found.missing


def test_frames_come_in_the_order_asked_for_and_the_missing_ones_are_named() -> None:
    cache = FrameCache(100_000)
    for n in (3, 1, 2):
        cache.put(b"a", frame(n).together)
    assert numbers(cache.get(b"a", KEY, (1, 9, 3, 8))) == ([1, 3], (9, 8))


def test_a_session_never_sees_the_frames_of_another() -> None:
    cache = FrameCache(100_000)
    cache.put(b"a", frame(1).together)
    assert cache.get(b"b", KEY, (1,)) == Found((), (1,))


def test_the_oldest_frames_of_a_stream_leave_first() -> None:
    cache = FrameCache(100_000, frames_per_stream=2)
    for n in range(4):
        cache.put(b"a", frame(n).together)
    assert cache.get(b"a", KEY, range(4)).missing == (0, 1)
    assert cache.evicted == 2


def test_the_stream_that_was_quiet_longest_pays_for_room() -> None:
    cache = FrameCache(3 * COST)
    for n, stream in enumerate(("x", "y", "x", "z")):
        cache.put(b"a", frame(n, stream=stream).together)
    assert [cache.get(b"a", StreamKey(s, 1), range(4)).missing for s in "xyz"] == [(1, 3), (0, 1, 2, 3), (0, 1, 2)]
    assert cache.size_bytes == 3 * COST


def test_a_frame_larger_than_the_cache_is_not_kept() -> None:
    cache = FrameCache(COST - 1)
    cache.put(b"a", frame(1).together)
    assert (cache.size_bytes, cache.get(b"a", KEY, (1,)).missing) == (0, (1,))


def test_the_garbage_collector_has_nothing_to_look_at_in_a_frame() -> None:
    """A thousand edges keep hundreds of thousands: looking at them stopped the router for 17 ms at a time."""
    cache = FrameCache(10_000_000)
    cache.put(b"a", frame(0).together)  # the stream itself
    came = [frame(n).together for n in range(1, 300)]
    gc.collect()
    before = len(gc.get_objects())
    for frames in came:
        cache.put(b"a", frames)
    assert len(gc.get_objects()) - before < 30
    assert cache.get(b"a", KEY, range(300)).missing == ()


def test_a_session_that_is_over_leaves_nothing() -> None:
    cache = FrameCache(100_000)
    cache.put(b"a", frame(1).together)
    cache.put(b"b", frame(1).together)
    cache.forget(b"a")
    assert cache.size_bytes == COST
    assert cache.get(b"b", KEY, (1,)).missing == ()


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
            cache.put(session, newest[session, stream, n].together)
        kept = {
            (session, stream, n): data
            for session in (b"a", b"b")
            for stream in "xy"
            for found in [cache.get(session, StreamKey(stream, 1), range(10))]
            for n, data in zip(found.numbers, found.data, strict=True)
        }
        assert cache.size_bytes == sum(len(data) + OVERHEAD_BYTES for data in kept.values()) <= 6 * COST
        assert all(newest[key].data is data for key, data in kept.items())


# -- runs -------------------------------------------------------------------------------------------------------------


def picture(n: int, run: int, place: int, codec: str = "h264") -> FrameData:
    return FrameData("cam", 1, n, run, place, codec, 32, 32, f"{run}.{place}".encode())


def coded(found: Found) -> list[str]:
    return [data.decode() for data in found.data]


def filled(*pictures: FrameData, capacity_bytes: int = 1_000_000, frames_per_stream: int = 1000) -> FrameCache:
    cache = FrameCache(capacity_bytes, frames_per_stream)
    for each in pictures:
        cache.put(b"a", each.together)
    return cache


def test_a_frame_comes_with_all_that_it_is_coded_after() -> None:
    cache = filled(*(picture(n, 0, n) for n in range(6)), *(picture(n, 1, n - 6) for n in range(6, 9)))
    found = cache.get(b"a", KEY, (3, 4, 6))
    assert coded(found) == ["0.0", "0.1", "0.2", "0.3", "0.4", "1.0"]
    assert (found.frames, found.missing) == ((3, 4, 5), ())


def test_a_run_does_not_go_on_after_a_hole_nor_in_another_codec_or_size() -> None:
    cache = filled(picture(0, 0, 0), picture(2, 0, 2), picture(1, 0, 1, codec="hevc"), picture(1, 3, 1))
    assert cache.get(b"a", KEY, (0, 1, 2)).missing == (1, 2)
    assert cache.orphans == 3
    assert cache.size_bytes == 3 + OVERHEAD_BYTES


def test_a_run_is_never_longer_than_is_lawful() -> None:
    cache = filled(*(picture(n, 0, n) for n in range(MAX_RUN + 5)))
    assert cache.get(b"a", KEY, range(MAX_RUN + 5)).missing == tuple(range(MAX_RUN, MAX_RUN + 5))


def test_frames_sent_anew_are_seen_in_their_new_run_and_others_keep_the_old_one() -> None:
    """Decoding a frame after another picture of the frame before it would give wrong pixels."""
    cache = filled(*(picture(n, 0, n) for n in range(4)), picture(1, 1, 0), picture(2, 1, 1))
    found = cache.get(b"a", KEY, (0, 1, 2, 3))
    assert coded(found) == ["0.0", "0.1", "0.2", "0.3", "1.0", "1.1"]
    assert [coded(found)[at] for at in found.frames] == ["0.0", "1.0", "1.1", "0.3"]


def test_a_run_leaves_whole() -> None:
    cache = filled(
        *(picture(n, 0, n) for n in range(3)), *(picture(n, 1, n - 3) for n in range(3, 6)), frames_per_stream=4
    )
    assert cache.get(b"a", KEY, range(6)).missing == (0, 1, 2)
    assert cache.evicted == 3


def test_a_window_that_would_need_too_many_pictures_is_asked_for_anew() -> None:
    long = [picture(run * 200 + n, run, n) for run in range(3) for n in range(MAX_RUN)]
    cache = filled(*long)
    last = MAX_RUN - 1
    assert cache.get(b"a", KEY, (last, 200 + last, 400 + last)) == Found((), (last, 200 + last, 400 + last))
    assert len(cache.get(b"a", KEY, (last, 200 + last)).data) == 2 * MAX_RUN <= MAX_PICTURES


runs = st.tuples(st.integers(0, 7), st.integers(0, 3), st.integers(0, 5))


@given(st.lists(runs, max_size=60), st.integers(1, 12), st.integers(2, 12))
def test_what_is_found_decodes_without_a_hole_to_the_newest_picture_kept(
    puts: list[tuple[int, int, int]], frames_per_stream: int, capacity: int
) -> None:
    cache = FrameCache(capacity * (8 + OVERHEAD_BYTES), frames_per_stream)
    newest: dict[int, bytes] = {}
    for count, (n, run, place) in enumerate(puts):
        data = b"%d.%d.%d" % (run, place, count % 100)
        before = cache.orphans
        cache.put(b"a", FrameData("cam", 1, n, run, place, "h264", 32, 32, data).together)
        if cache.orphans == before:
            newest[n] = data
        found = cache.get(b"a", KEY, range(8))
        assert len(found.frames) + len(found.missing) == 8
        of_run = [data.partition(b".")[0] for data in found.data]
        for at, place_of in enumerate(found.places):
            assert place_of == 0 or (found.places[at - 1] == place_of - 1 and of_run[at - 1] == of_run[at])
        for at, number in zip(found.frames, [n for n in range(8) if n not in found.missing], strict=True):
            assert found.numbers[at] == number
            assert found.data[at] == newest[number]
        assert 0 <= cache.size_bytes <= cache.capacity_bytes
    cache.forget(b"a")
    assert cache.size_bytes == 0
