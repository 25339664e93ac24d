"""Events: hysteresis and lengths on hand-made streams, then what must hold whatever comes, and in whatever order."""

from __future__ import annotations

import itertools
import json
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clownfish.event_streams import Events
from clownfish.eventing import Clock, SceneEvent, StreamEvents
from clownfish.fusion import Fusion
from clownfish.hysteresis import Rules
from clownfish.messages import End, FusedResult, StreamKey

CLASSES = ("idle", "wave", "run")
CLOCK = Clock(size=16, stride=4, fps=20)
REACH = 12
RULES = Rules("idle", enter=0.6, leave=0.4, shortest=3, gap=2)


def answer(t: int, label: str, p: float = 0.8, revision: int = 0, final: bool = False, **more: object) -> FusedResult:
    rest = (1 - p) / 2
    vector = np.array([p if name == label else rest for name in CLASSES])
    best = CLASSES[int(vector.argmax())]
    result = FusedResult("cam", 1, t, revision, vector, best, float(vector.max()), None, 1, 0, None, "local", final)
    return replace(result, **more)  # type: ignore[arg-type]


def machine(rules: Rules = RULES, reach: int = REACH, **options: int) -> Events:
    return Events(lambda key: StreamEvents(key, rules, CLOCK, reach), **options)


def run(labels: Iterable[str], rules: Rules = RULES, p: float = 0.8) -> list[SceneEvent]:
    """Final answers in order, w for wave, r for run, everything else idle; `.` is a window that never came."""
    it, out = machine(rules), []
    names = {"w": "wave", "r": "run"}
    for t, letter in enumerate(labels):
        if letter != ".":
            out += it.result(answer(t, names.get(letter, "idle"), p, final=True))
    return out + it.end(End("cam", 1, 0, "end"))


def spans(events: Iterable[SceneEvent]) -> list[tuple[str, int, int]]:
    """(label, first window, last window) of the final ones."""
    finals = [each for each in events if each.final and each.state == "ended"]
    return [(e.label, (e.start_frame - 12) // 4, ((e.end_frame or 0) - 16) // 4) for e in finals]


# -- runs


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("ii" "wwww" "iiii", [("wave", 2, 5)]),
        ("wwww", [("wave", 0, 3)]),
        ("ww" "iiii", []),  # too short
        ("www" "ii" "www" "iii", [("wave", 0, 7)]),  # a gap of two is bridged
        ("www" "iii" "www", [("wave", 0, 2), ("wave", 6, 8)]),  # of three it is not
        ("wwww" "rrrr", [("wave", 0, 3), ("run", 4, 7)]),
        ("www" "rr" "www", [("wave", 0, 7)]),  # a flicker of another class
        ("www" "rrr" "www", [("wave", 0, 2), ("run", 3, 5), ("wave", 6, 8)]),
        ("w" "rrr" "iii", [("run", 1, 3)]),  # what was too short gives way
        ("wrwrwrw", [("wave", 0, 6)]),
        ("www" ".." "www", [("wave", 0, 7)]),  # windows that never came count as a gap
        ("www" "..." "www", [("wave", 0, 2), ("wave", 6, 8)]),
        ("", []),
    ],
)  # fmt: skip
def test_windows_become_runs(labels: str, expected: list[tuple[str, int, int]]) -> None:
    assert spans(run(labels)) == expected


def test_an_event_begins_above_enter_and_holds_above_leave() -> None:
    shares = [0.55, 0.65, 0.45, 0.45, 0.45, 0.3, 0.3, 0.3, 0.55, 0.55, 0.55]
    it, out = machine(replace(RULES, gap=0)), []
    for t, p in enumerate(shares):
        vector = np.array([1 - p - 0.05, p, 0.05])
        label = CLASSES[int(vector.argmax())]
        out += it.result(replace(answer(t, "idle", final=True), p=vector, label=label))
    assert spans(out + it.end(End("cam", 1, 0, ""))) == [("wave", 1, 4)]


def test_without_a_background_every_label_is_an_event() -> None:
    assert [label for label, *_ in spans(run("iiiwww", replace(RULES, background="")))] == ["idle", "wave"]


def test_lengths_in_seconds_are_whole_windows() -> None:
    rules = Rules.in_seconds("idle", 0.6, 0.4, min_s=1.0, gap_s=0.5, window_s=0.2)
    assert (rules.shortest, rules.gap) == (5, 2)
    assert Rules.in_seconds("idle", 0.6, 0.4, min_s=0, gap_s=0, window_s=0.2).shortest == 1


@pytest.mark.parametrize("change", [{"leave": 0.7}, {"leave": 0.0}, {"enter": 1.1}, {"shortest": 0}, {"gap": -1}])
def test_rules_that_make_no_sense_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        replace(RULES, **change)


# -- what is said, and when


def told(events: Iterable[SceneEvent]) -> list[tuple[str, int, str, str, bool]]:
    return [(e.id.rpartition("/")[2], e.revision, e.label, e.state, e.final) for e in events]


def test_an_event_is_said_when_it_is_long_enough_when_it_ends_and_when_it_is_final() -> None:
    it = machine()
    said = [told(it.result(answer(t, "wave" if 2 <= t < 6 else "idle"))) for t in range(9)]
    assert said[4] == [("2", 0, "wave", "ongoing", False)]
    assert said[8] == [("2", 1, "wave", "ended", False)]
    assert [each for t, each in enumerate(said) if t not in (4, 8) and each] == []
    closing = [told(it.result(answer(t, "wave" if 2 <= t < 6 else "idle", revision=1, final=True))) for t in range(9)]
    assert closing[8] == [("2", 2, "wave", "ended", True)]
    assert not any(closing[:8])


def test_frames_and_seconds_are_those_that_its_windows_answer_for() -> None:
    (event,) = [e for e in run("iiwwwwiii") if e.final]
    assert (event.start_frame, event.end_frame) == (2 * 4 + 12, 5 * 4 + 16)
    assert (event.start_s, event.end_s) == (20 / 20, 36 / 20)
    assert event.confidence == pytest.approx(0.8)


def feed(it: Events, labels: Sequence[str], **more: object) -> list[SceneEvent]:
    return [event for t, label in enumerate(labels) for event in it.result(answer(t, label, **more))]  # type: ignore[arg-type]


def revise(it: Events, windows: Iterable[int], label: str, revision: int = 1, **more: object) -> list[SceneEvent]:
    return [e for t in windows for e in it.result(answer(t, label, revision=revision, source="fused", lag=3, **more))]  # type: ignore[arg-type]


def test_a_corrected_label_is_a_revision_of_the_same_event() -> None:
    it = machine()
    feed(it, ["wave"] * 8)
    assert {each.id for each in feed(it, ["wave"] * 8)} == set()  # nothing new
    events = revise(it, range(8), "run")
    assert {event.id for event in events} >= {"cam/1/0"}
    assert told(it.end(End("cam", 1, 0, "")))[0][2:] == ("run", "ended", True)


def test_what_a_late_answer_takes_away_is_withdrawn_and_stays_so() -> None:
    it = machine()
    feed(it, ["idle"] * 2 + ["wave"] * 3 + ["idle"] * 4)
    assert told(revise(it, [3], "idle") + revise(it, [2], "idle"))[-1] == ("2", 2, "wave", "withdrawn", False)
    assert told(it.end(End("cam", 1, 0, ""))) == [("2", 3, "wave", "withdrawn", True)]


def test_a_withdrawn_event_that_shows_again_is_that_event_again() -> None:
    it = machine(replace(RULES, gap=0))
    feed(it, ["wave"] * 3 + ["idle"] * 3)
    assert told(revise(it, [1], "idle"))[-1] == ("0", 2, "wave", "withdrawn", False)
    assert told(revise(it, [1], "wave", 2))[-1] == ("0", 3, "wave", "ended", False)


def test_where_an_event_is_split_the_larger_part_keeps_its_name_where_two_are_joined_the_larger_lives() -> None:
    it = machine(replace(RULES, gap=0))
    feed(it, ["wave"] * 10)
    assert told(revise(it, [3], "idle")) == [
        ("0.2", 0, "wave", "ended", False),
        ("0", 1, "wave", "ongoing", False),
    ]
    joined = told(revise(it, [3], "wave", 2))
    assert [each for each in joined if each[3] == "withdrawn"] == [("0.2", 1, "wave", "withdrawn", False)]
    finals = told(it.end(End("cam", 1, 0, "")))
    assert sorted(each[3] for each in finals) == ["ended", "withdrawn"]


@pytest.mark.parametrize(
    ("more", "source"),
    [({}, "edge"), ({"source": "fused"}, "fused"), ({"source": "remote", "lag": 0}, "fused"),
     ({"source": "fused", "lag": 2}, "corrected")],
)  # fmt: skip
def test_an_event_says_what_it_owes_the_cloud(more: dict[str, object], source: str) -> None:
    it = machine()
    feed(it, ["wave"] * 2)
    it.result(answer(2, "wave", **more))  # type: ignore[arg-type]
    assert [event.source for event in it.end(End("cam", 1, 0, ""))] == [source]


def test_a_closing_answer_that_was_lost_holds_nothing_up_for_ever() -> None:
    it, out = machine(), []
    labels = ["wave"] * 5 + ["idle"] * 35
    for t, label in enumerate(labels):
        out += it.result(answer(t, label))
        if t >= 10 and t != 13:
            out += it.result(answer(t - 10, labels[t - 10], revision=1, final=True))
    assert spans(out) == [("wave", 0, 4)]


def test_no_event_goes_on_in_the_next_epoch() -> None:
    it = machine()
    out = feed(it, ["wave"] * 5)
    out += feed(it, ["wave"] * 5, epoch=2)
    out += it.end(End("cam", 1, 0, "capture restarted")) + it.end(End("cam", 2, 0, "end"))
    assert [(e.id, e.final) for e in out if e.final] == [("cam/1/0", True), ("cam/2/0", True)]
    assert it.open == 0


def test_late_answers_of_an_epoch_that_is_over_do_not_bring_it_back() -> None:
    it = machine()
    it.end(End("cam", 1, 0, "end"))
    assert it.result(answer(0, "wave")) == []
    assert (it.open, it.counts["results_stale"]) == (0, 1)


def test_epochs_whose_end_was_lost_are_finished_when_there_are_more() -> None:
    it = machine()
    finals = [e for epoch in range(1, 6) for e in feed(it, ["wave"] * 5, epoch=epoch) if e.final]
    assert [e.epoch for e in finals] == [1, 2, 3]
    assert it.open == 2


def test_of_too_many_streams_the_one_that_was_quiet_longest_is_finished() -> None:
    it = machine(capacity=2)
    out = [e for name in ("a", "b", "c") for e in feed(it, ["wave"] * 5, stream=name)]
    assert [e.stream for e in out if e.final] == ["a"]
    assert it.open == 2


def test_a_stream_that_is_joined_in_its_middle_is_taken_from_there() -> None:
    it = machine()
    out = [e for t in range(1_000_000, 1_000_005) for e in it.result(answer(t, "wave"))]
    assert told(out) == [("1000000", 0, "wave", "ongoing", False)]


# -- whatever comes

label_and_share = st.tuples(st.sampled_from(CLASSES), st.sampled_from([0.35, 0.45, 0.55, 0.65, 0.9]))
histories = st.lists(st.lists(label_and_share, min_size=1, max_size=4), min_size=1, max_size=30)
rules = st.builds(
    Rules,
    background=st.sampled_from(["idle", ""]),
    enter=st.sampled_from([0.5, 0.6]),
    leave=st.sampled_from([0.3, 0.5]),
    shortest=st.integers(1, 4),
    gap=st.integers(0, 3),
)


def results_of(history: list[list[tuple[str, float]]]) -> list[list[FusedResult]]:
    """Each window's revisions; the last is final, and has the vector of the one before."""
    windows = []
    for t, said in enumerate(history):
        revisions = [answer(t, label, p, r, source="fused", lag=r) for r, (label, p) in enumerate(said)]
        windows.append([*revisions, replace(revisions[-1], revision=len(said), final=True)])
    return windows


def content(events: Iterable[SceneEvent]) -> list[tuple[object, ...]]:
    """What the final events say, but for their names."""
    return sorted(
        (e.label, e.start_frame, e.end_frame, e.confidence, e.source) for e in events if e.final and e.state == "ended"
    )


def check(events: Iterable[SceneEvent]) -> None:
    """Revisions grow by one; each event gets one final revision, and it is its last; final events share no frame."""
    revisions: dict[str, int] = defaultdict(lambda: -1)
    final: dict[str, SceneEvent] = {}
    for event in events:
        assert event.id not in final, "a revision after the final one"
        assert event.revision == revisions[event.id] + 1
        assert event.end_frame is None or event.start_frame < event.end_frame
        assert (event.end_frame is None) == (event.state == "ongoing")
        revisions[event.id] = event.revision
        if event.final:
            final[event.id] = event
    assert set(revisions) == set(final), "an event without a last word"
    ended = sorted((e.start_frame, e.end_frame or 0) for e in final.values() if e.state == "ended")
    assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(ended))


@given(histories, rules, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_the_final_events_depend_on_the_final_answers_alone(
    history: list[list[tuple[str, float]]], rules: Rules, dice: random.Random
) -> None:
    windows = results_of(history)
    plain = machine(rules, reach=40)
    expected = [e for window in windows for e in plain.result(window[-1])] + plain.end(End("cam", 1, 0, ""))
    shuffled = [result for window in windows for result in window]
    dice.shuffle(shuffled)
    it = machine(rules, reach=40)
    events = [e for result in shuffled for e in it.result(result)] + it.end(End("cam", 1, 0, ""))
    check(expected)
    check(events)
    assert content(events) == content(expected)


@given(
    st.lists(label_and_share, min_size=1, max_size=60),
    st.dictionaries(st.integers(0, 59), st.tuples(label_and_share, st.integers(0, 9)), max_size=20),
    st.sets(st.integers(0, 59), max_size=10),
    rules,
)
@settings(max_examples=50, deadline=None)
def test_what_fusion_says_becomes_events_in_bounded_memory(
    local: list[tuple[str, float]],
    remote: dict[int, tuple[tuple[str, float], int]],
    skipped: set[int],
    rules: Rules,
) -> None:
    """The real fusion machine, its windows skipped and its remote answers late, as they come: all is kept to."""
    fusion = Fusion(horizon=8, stream="cam", epoch=1, classes=CLASSES)
    results: list[FusedResult] = []
    for t, (label, p) in enumerate(local):
        if t not in skipped:
            results.append(fusion.fuse(t, answer(t, label, p).p, 0.9))
            results += fusion.closed()
        for sent, ((said, share), lag) in remote.items():
            if sent + lag == t:
                results += fusion.reinforce(sent, answer(sent, said, share).p)
    results += fusion.finish()
    it, plain = StreamEvents(StreamKey("cam", 1), rules, CLOCK, REACH), machine(rules, reach=100)
    events: list[SceneEvent] = []
    for result in results:
        events += it.result(result)
        assert it.kept <= REACH
    events += it.finish()
    check(events)
    assert it.late == it.repeated == 0
    expected = [e for r in results if r.final for e in plain.result(r)] + plain.end(End("cam", 1, 0, ""))
    assert content(events) == content(expected)


# -- the next process


@given(
    st.lists(label_and_share, min_size=1, max_size=50),
    st.dictionaries(st.integers(0, 49), st.tuples(label_and_share, st.integers(0, 7)), max_size=12),
    st.integers(0, 120),
    rules,
)
@settings(max_examples=50, deadline=None)
def test_a_process_that_takes_over_ends_every_event_as_one_that_was_never_killed(
    local: list[tuple[str, float]], remote: dict[int, tuple[tuple[str, float], int]], killed: int, rules: Rules
) -> None:
    """Killed after any answer, with a snapshot of then; what comes afterwards is as if nothing had been, by the end."""
    fusion = Fusion(horizon=8, stream="cam", epoch=1, classes=CLASSES)
    results: list[FusedResult] = []
    for t, (label, p) in enumerate(local):
        results += [fusion.fuse(t, answer(t, label, p).p, 0.9), *fusion.closed()]
        for sent, ((said, share), lag) in remote.items():
            if sent + lag == t:
                results += fusion.reinforce(sent, answer(sent, said, share).p)
    results += fusion.finish()
    killed = min(killed, len(results))
    plain, first, second = machine(rules), machine(rules), machine(rules)
    expected = [e for result in results for e in plain.result(result)] + plain.end(End("cam", 1, 0, ""))
    events = [e for result in results[:killed] for e in first.result(result)]
    before = first.get(StreamKey("cam", 1))
    if before is not None:
        second.resume(StreamKey("cam", 1), json.loads(json.dumps(before.snapshot())))
    events += [e for result in results[killed:] for e in second.result(result)] + second.end(End("cam", 1, 0, ""))
    check(events)
    assert content(events) == content(expected)


def test_what_was_left_of_an_epoch_that_is_over_gets_its_last_words_when_the_next_one_begins() -> None:
    first, second = machine(), machine()
    feed(first, ["wave"] * 6)
    second.resume(StreamKey("cam", 1), first.get(StreamKey("cam", 1)).snapshot())  # type: ignore[union-attr]
    out = feed(second, ["wave"] * 5, epoch=2)
    assert told(out) == [("0", 1, "wave", "ended", True), ("0", 0, "wave", "ongoing", False)]
