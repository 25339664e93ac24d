"""Mailbox: newest first for live streams, nothing lost for others, all in turn."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clownfish.errors import ConfigError
from clownfish.mailbox import OTHER_STREAMS, Mailbox
from clownfish.messages import StreamKey, WindowKey


def key(stream: str, t: int, epoch: int = 1) -> WindowKey:
    return WindowKey(stream, epoch, t)


def keys(batch: list[tuple[WindowKey, str]]) -> list[tuple[str, int]]:
    return [(k.stream, k.t) for k, _ in batch]


def test_only_the_newest_window_of_a_live_stream_waits_and_the_others_are_counted() -> None:
    mailbox: Mailbox[str] = Mailbox()
    for t in range(3):
        mailbox.put(key("a", t), f"window {t}", live=True)
    mailbox.put(key("b", 9), "other", live=True)
    assert mailbox.take(8) == [(key("a", 2), "window 2"), (key("b", 9), "other")]
    assert mailbox.skipped == {"a": 2}
    assert mailbox.take(8) == []


def test_a_stream_that_is_not_live_keeps_all_its_windows_in_order_one_per_batch() -> None:
    mailbox: Mailbox[str] = Mailbox(depth=3)
    for t in range(3):
        assert not mailbox.full(key("file", t))
        mailbox.put(key("file", t), "", live=False)
    assert mailbox.full(key("file", 3))
    assert [keys(mailbox.take(8)) for _ in range(4)] == [[("file", 0)], [("file", 1)], [("file", 2)], []]
    assert not mailbox.skipped


def test_a_window_put_where_it_should_have_been_held_back_is_the_callers_mistake() -> None:
    mailbox: Mailbox[str] = Mailbox(depth=1)
    mailbox.put(key("file", 0), "", live=False)
    with pytest.raises(ValueError, match="full"):
        mailbox.put(key("file", 1), "", live=False)
    assert keys(mailbox.take(1)) == [("file", 0)]


def test_a_live_stream_is_never_full() -> None:
    mailbox: Mailbox[str] = Mailbox(depth=1)
    mailbox.put(key("cam", 0), "", live=True)
    assert not mailbox.full(key("cam", 1))


def test_streams_take_turns_when_a_batch_cannot_hold_all() -> None:
    mailbox: Mailbox[str] = Mailbox()
    for name in "abcd":
        mailbox.put(key(name, 0), "", live=True)
    assert keys(mailbox.take(2)) == [("a", 0), ("b", 0)]
    mailbox.put(key("a", 1), "", live=True)
    mailbox.put(key("c", 1), "", live=True)
    assert keys(mailbox.take(2)) == [("c", 1), ("d", 0)]
    assert keys(mailbox.take(2)) == [("a", 1)]


def test_a_newer_window_keeps_its_streams_place_in_line() -> None:
    mailbox: Mailbox[str] = Mailbox()
    for name, t in (("slow", 0), ("fast", 0), ("slow", 1)):
        mailbox.put(key(name, t), "", live=True)
    assert keys(mailbox.take(1)) == [("slow", 1)]


def test_a_file_with_many_windows_does_not_keep_a_camera_waiting() -> None:
    mailbox: Mailbox[str] = Mailbox()
    for t in range(5):
        mailbox.put(key("file", t), "", live=False)
    mailbox.put(key("cam", 0), "", live=True)
    assert [keys(mailbox.take(1)) for _ in range(3)] == [[("file", 0)], [("cam", 0)], [("file", 1)]]


def test_a_camera_that_takes_a_files_name_skips_none_of_the_files_windows() -> None:
    mailbox: Mailbox[str] = Mailbox()
    mailbox.put(key("a", 5, epoch=1), "", live=False)
    for t in range(2):
        mailbox.put(key("a", t, epoch=2), "", live=True)
    assert [mailbox.take(1)[0][0] for _ in range(2)] == [key("a", 5, epoch=1), key("a", 1, epoch=2)]
    assert mailbox.skipped == {"a": 1}


def test_waiting_counts_one_epochs_windows_so_that_its_end_can_follow_the_last() -> None:
    mailbox: Mailbox[str] = Mailbox()
    mailbox.put(key("file", 0, epoch=1), "", live=False)
    mailbox.put(key("file", 0, epoch=2), "", live=False)
    assert (mailbox.waiting(StreamKey("file", 1)), mailbox.waiting(StreamKey("file", 3)), len(mailbox)) == (1, 0, 2)
    mailbox.take(1)
    assert mailbox.waiting(StreamKey("file", 1)) == 0


def test_the_names_that_skips_are_counted_under_are_bounded() -> None:
    mailbox: Mailbox[str] = Mailbox(streams=2)
    for name in "abcd":
        mailbox.put(key(name, 0), "", live=True)
        mailbox.put(key(name, 1), "", live=True)
    assert mailbox.skipped == {"a": 1, "b": 1, OTHER_STREAMS: 2}


def test_a_mailbox_without_room_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        Mailbox(depth=0)


STEPS = st.lists(st.one_of(st.tuples(st.sampled_from("abcXY"), st.integers(1, 2)), st.integers(1, 4)), max_size=60)


@given(steps=STEPS)
def test_every_window_is_taken_or_skipped_in_order_and_no_batch_holds_a_stream_twice(
    steps: list[tuple[str, int] | int],
) -> None:
    """Capital letters are files; an integer takes a batch of so many."""
    mailbox: Mailbox[int] = Mailbox(depth=4)
    put: list[WindowKey] = []
    taken: list[WindowKey] = []
    for t, step in enumerate(steps):
        if isinstance(step, int):
            batch = [k for k, _ in mailbox.take(step)]
            assert len({k.stream for k in batch}) == len(batch) <= step
            taken += batch
        else:
            k = key(step[0], t, epoch=step[1])
            if step[0].islower() or not mailbox.full(k):
                mailbox.put(k, t, live=step[0].islower())
                put.append(k)
    while batch_rest := mailbox.take(8):
        taken += [k for k, _ in batch_rest]
    assert len(taken) + mailbox.skipped.total() == len(put)
    assert not any(name.isupper() for name in mailbox.skipped), "a file loses nothing"
    for stream in "abcXY":
        ts = [k.t for k in taken if k.stream == stream]
        assert ts == sorted(ts)
        assert mailbox.skipped[stream] == sum(k.stream == stream for k in put) - len(ts)
