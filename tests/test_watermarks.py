from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from clownfish.messages import StreamKey
from clownfish.watermarks import BUFFER_BYTES, STREAMS, Watermarks

A1, A2, B1 = StreamKey("a", 1), StreamKey("a", 2), StreamKey("b", 1)


def test_the_newest_window_outlives_the_process() -> None:
    buffer = bytearray(BUFFER_BYTES)
    first = Watermarks(buffer)
    first.set(A1, 0)
    first.set(B1, 7)
    first.set(A1, 3)
    second = Watermarks(buffer)
    assert (second.get(A1), second.get(B1)) == (3, 7)


def test_a_new_epoch_takes_the_place_of_the_old_one() -> None:
    marks = Watermarks()
    marks.set(A1, 9)
    marks.set(A2, 0)
    assert (marks.get(A1), marks.get(A2)) == (None, 0)


def test_nothing_is_known_of_a_stream_that_was_never_answered() -> None:
    assert Watermarks().get(A1) is None


def test_the_longest_known_stream_makes_room_when_all_places_are_taken() -> None:
    buffer = bytearray(BUFFER_BYTES)
    marks = Watermarks(buffer)
    for n in range(STREAMS + 1):
        marks.set(StreamKey(f"s{n}", 1), n)
    for each in (marks, Watermarks(buffer)):
        assert each.get(StreamKey("s0", 1)) is None
        assert each.get(StreamKey("s1", 1)) == 1
        assert each.get(StreamKey(f"s{STREAMS}", 1)) == STREAMS


class _Spied(np.ndarray):  # type: ignore[type-arg]
    """An array that keeps what its memory looked like after each store."""

    moments: list[bytes]
    whole: Any

    def __array_finalize__(self, source: Any) -> None:
        self.moments = getattr(source, "moments", [])
        self.whole = getattr(source, "whole", None)

    def __setitem__(self, place: Any, value: Any) -> None:
        super().__setitem__(place, value)
        self.moments.append(self.whole.tobytes())


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 3), st.integers(0, 5)), max_size=12))
def test_a_process_killed_between_two_stores_leaves_a_pair_that_was_true(sets: list[tuple[str, int, int]]) -> None:
    """Whatever the moment, the next process reads of each stream and epoch something that was set, or nothing."""
    marks = Watermarks()
    spied = marks._records.view(_Spied)
    spied.whole, spied.moments = marks._records, []
    marks._records = spied
    said: set[tuple[StreamKey, int]] = set()
    for stream, epoch, t in sets:
        key = StreamKey(stream, epoch)
        said.add((key, t))
        spied.moments.clear()
        marks.set(key, t)
        for moment in spied.moments:
            found = Watermarks(bytearray(moment))
            for other in (StreamKey(s, e) for s in "ab" for e in range(4)):
                newest = found.get(other)
                assert newest is None or (other, newest) in said
        assert marks.get(key) == t


@given(st.binary(max_size=4096), st.integers(0, BUFFER_BYTES - 4096))
def test_whatever_a_buffer_holds_the_newest_window_is_a_number_or_not_known(noise: bytes, place: int) -> None:
    buffer = bytearray(BUFFER_BYTES)
    buffer[place : place + len(noise)] = noise
    marks = Watermarks(buffer)
    key = StreamKey("cam", 7)
    assert marks.get(key) is None or marks.get(key) >= 0  # type: ignore[operator]
    marks.set(key, 3)
    assert marks.get(key) == Watermarks(buffer).get(key) == 3
