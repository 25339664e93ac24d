"""StreamTable: one epoch of each stream, boundedly many streams."""

from __future__ import annotations

from collections import Counter

import pytest

from clownfish.messages import StreamKey
from clownfish.streams import Departed, StreamTable

A1, A2, B1, C1 = StreamKey("a", 1), StreamKey("a", 2), StreamKey("b", 1), StreamKey("c", 1)


def table(capacity: int = 1024) -> StreamTable[Counter[str]]:
    return StreamTable(lambda: Counter[str](), capacity)


def test_a_stream_finds_its_state_again() -> None:
    streams = table()
    state, departed = streams.enter(A1)
    assert state is not None
    state["x"] += 1
    assert streams.enter(A1) == ({"x": 1}, [])
    assert streams.get(A1) is state
    assert departed == []


def test_a_new_epoch_replaces_the_old_one_which_never_comes_back() -> None:
    streams = table()
    old, _ = streams.enter(A1)
    new, departed = streams.enter(A2)
    assert departed == [Departed(A1, old, "replaced")]
    assert streams.enter(A1) == (None, [])
    assert streams.get(A2) is new
    assert len(streams) == 1


def test_an_ended_epoch_stays_ended_even_if_it_was_never_entered() -> None:
    streams = table()
    state, _ = streams.enter(A1)
    assert streams.end(A1) is state
    assert streams.end(B1) is None
    assert streams.enter(A1) == streams.enter(B1) == (None, [])
    assert len(streams) == 0


def test_the_end_of_an_old_epoch_leaves_the_new_one_alone() -> None:
    streams = table()
    streams.enter(A1)
    new, _ = streams.enter(A2)
    assert streams.end(A1) is None
    assert streams.get(A2) is new


def test_the_least_recently_used_stream_makes_room_and_may_return() -> None:
    streams = table(capacity=2)
    streams.enter(A1)
    b, _ = streams.enter(B1)
    streams.enter(A1)
    _, departed = streams.enter(C1)
    assert departed == [Departed(B1, b, "evicted")]
    assert [key for key, _ in streams] == [A1, C1]
    again, _ = streams.enter(B1)
    assert again is not None
    assert again is not b


def test_the_memory_of_epochs_that_are_over_is_bounded() -> None:
    streams = table(capacity=2)
    for epoch in range(100):
        streams.end(StreamKey("a", epoch))
    assert streams.enter(StreamKey("a", 99)) == (None, [])
    assert streams.enter(StreamKey("a", 0))[0] is not None  # forgotten


def test_a_table_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one stream"):
        table(capacity=0)
