"""Recent: whatever the order of notes, a row ends as the newest answers say, and who hears of changes knows all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clownfish.messages import End, Event, FusedResult, LocalResult, Note, RemoteResult
from clownfish.recent import COLUMNS, SOURCES, Recent, as_records

CLASSES = ("idle", "wave", "jump")


def local(t: int, place: int = 0, epoch: int = 1, stream: str = "cam") -> LocalResult:
    return LocalResult(stream, epoch, t, np.eye(3, dtype=np.float32)[place], 0.5, 0, 0)


def remote(t: int, place: int = 0, epoch: int = 1) -> RemoteResult:
    return RemoteResult("cam", epoch, t, np.eye(3, dtype=np.float32)[place], "big")


def fused(t: int, label: str, revision: int = 0, source: Any = "local", lag: int | None = None) -> FusedResult:
    p = np.eye(3, dtype=np.float32)[CLASSES.index(label)]
    return FusedResult("cam", 1, t, revision, p, label, 1.0, 0.25, 0.5, 0.125, lag, source, False)


def noted(recent: Recent, *messages: Any, service: str = "fusion") -> None:
    recent.note(Note(service, 1, 0, messages))


def rows_of(said: dict[str, dict[str, Any]]) -> dict[int, dict[str, Any]]:
    return {record["t"]: dict(record) for record in as_records(said["cam"]["rows"])}


def test_a_late_answer_rewrites_what_is_said_now_and_leaves_what_was_said_at_once() -> None:
    recent = Recent(CLASSES, ["cam"], lambda stream, t: "dance" if t else None)
    noted(recent, local(0), fused(0, "idle"), local(1), fused(1, "idle"))
    assert set(rows_of(recent.changes())) == {0, 1}
    noted(recent, remote(0, 1), fused(0, "wave", 1, "remote", lag=1), fused(1, "wave", 1, "fused"))
    noted(recent, Event("cam", 1, 0, "sent", 0.0, 9.0), service="uplink")
    rows = rows_of(recent.changes())
    assert (rows[0]["live"], rows[0]["now"], rows[0]["remote"], rows[0]["lag"]) == (0, 1, 1, 1)
    assert rows[0]["sent"] == "sent"
    assert (rows[1]["now"], SOURCES[rows[1]["now_source"]], rows[1]["truth"]) == (1, "fused", 3)
    assert recent.labels == [*CLASSES, "dance"]
    assert recent.changes() == {}


def test_an_answer_that_is_older_than_what_is_drawn_changes_nothing() -> None:
    recent = Recent(CLASSES, ["cam"])
    noted(recent, local(0), fused(0, "wave", 2, "fused"), fused(0, "jump", 1, "fused"))
    assert rows_of(recent.whole())[0]["now"] == 1


def test_another_epoch_begins_anew_and_what_is_late_of_the_one_before_is_over() -> None:
    recent = Recent(CLASSES, ["cam"])
    noted(recent, local(7), fused(7, "idle"))
    recent.changes()
    noted(recent, local(0, epoch=2))
    noted(recent, remote(7, 1))
    said = recent.changes()
    assert said["cam"]["fresh"]
    assert set(rows_of(said)) == {0}


def test_the_end_of_a_stream_is_told() -> None:
    recent = Recent(CLASSES, ["cam"])
    noted(recent, local(0))
    recent.changes()
    noted(recent, End("cam", 1, 16, "end of file"))
    assert recent.changes()["cam"]["ended"] == "end of file"


def test_a_label_that_is_new_is_told_to_those_who_follow_whoever_comes_meanwhile() -> None:
    recent = Recent(CLASSES, ["cam"], lambda stream, t: "dance")
    assert recent.grown_labels() is None
    noted(recent, local(0))
    assert recent.whole()  # one who comes anew is told all, and takes nothing from the others
    assert recent.grown_labels() == [*CLASSES, "dance"]
    assert recent.grown_labels() is None


def test_streams_that_are_not_its_own_are_left_out() -> None:
    recent = Recent(CLASSES, ["cam"])
    noted(recent, local(0, stream="other"))
    assert recent.whole() == {}


def test_no_room_is_refused() -> None:
    with pytest.raises(ValueError, match="capacity=0"):
        Recent(CLASSES, ["cam"], capacity=0)


MESSAGES = st.lists(
    st.one_of(
        st.builds(local, st.integers(0, 40), st.integers(0, 2), st.integers(1, 2)),
        st.builds(remote, st.integers(0, 40), st.integers(0, 2)),
        st.builds(fused, st.integers(0, 40), st.sampled_from(CLASSES), st.integers(0, 3)),
    ),
    max_size=60,
)


@given(MESSAGES, st.sets(st.integers(0, 60)))
def test_who_follows_the_changes_knows_what_one_who_comes_anew_is_told(messages: list[Any], asked: set[int]) -> None:
    recent = Recent(CLASSES, ["cam"], capacity=16)
    known: dict[int, Any] = {}

    def follow() -> None:
        for said in recent.changes().values():
            if said["fresh"]:
                known.clear()
            known.update({row[0]: list(row) for row in said["rows"]})

    for place, message in enumerate(messages):
        noted(recent, message)
        if place in asked:
            follow()
    follow()
    whole = {row[0]: row for said in recent.whole().values() for row in said["rows"]}
    assert len(whole) <= 16
    assert {t: known[t] for t in whole} == whole
    assert all(len(row) == len(COLUMNS) for row in whole.values())


def test_streams_that_come_are_drawn_and_of_those_that_go_nothing_is_kept() -> None:
    recent = Recent(CLASSES, ["cam", "old"])
    noted(recent, local(0), local(0, stream="old"))
    recent.follow(["new", "cam"])
    noted(recent, local(1, stream="new"), local(1, stream="old"))
    assert list(recent.whole()) == ["new", "cam"]
    assert set(rows_of(recent.whole())) == {0}, "what stays keeps its past"
    recent.follow(["cam", "old"])
    assert list(recent.whole()) == ["cam"], "one that comes back begins anew"
