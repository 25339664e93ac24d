"""Time to the first right answer after a transition, counted by hand and by a loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clownfish.evaluation.transitions import (
    CENSORED,
    FirstCorrect,
    censored_share,
    first_correct,
    mean_seconds,
    median_frames,
    together,
    transitions,
)

# 4 frames a window, 2 a stride; contexts: 0 in frames 0-6, 1 in 7-15, 2 in 16-19, nothing in 20-21, 0 in 22-29
LABEL = np.array([0] * 7 + [1] * 9 + [2] * 4 + [-1] * 2 + [0] * 8, np.int16)
T = np.arange(14)


def numbers(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def test_transitions_are_the_contexts_that_follow_another_one() -> None:
    found = transitions(LABEL)
    assert found.start.tolist() == [7, 16, 22]
    assert found.end.tolist() == [16, 20, 30]
    assert found.label.tolist() == [1, 2, 0]
    for nothing in (np.zeros(0, np.int16), np.full(5, -1), np.full(5, 3)):
        assert len(transitions(nothing).start) == 0


def test_the_first_right_answer_of_a_case_counted_by_hand() -> None:
    """Window t ends with frame 2·t + 3: windows 2 to 6 speak for class 1, 7 and 8 for class 2."""
    live = numbers(0, 0, 0, 0, 1, 1, 2, 1, 1, 2, 2, 2, 0, 0)
    found = first_correct(T, live, LABEL, 4, 2)
    # class 1: window 4 is right first, known once frame 11 is there: 12 - 7; class 2: 7 and 8 say 1; class 0: window 12
    assert found.frames.tolist() == [5, CENSORED, 28 - 22]
    assert found.lengths.tolist() == [9, 4, 8]
    assert found.censored == 1
    assert found.seconds(2.0).tolist() == [2.5, 3.0]


def test_a_late_revision_counts_from_when_it_came() -> None:
    live = np.full(14, 9)
    revised = [(6, 3, 1), (5, 4, 0), (13, 7, 2), (12, 11, 2)]
    found = first_correct(T, live, LABEL, 4, 2, revised)
    assert found.frames.tolist() == [6 * 2 + 4 - 7, 13 * 2 + 4 - 16, CENSORED], "the second comes after its context"


def test_a_window_speaks_for_the_context_of_its_last_frame() -> None:
    """Window 6 ends with frame 15, the last of class 1; window 9 with frame 21, which shows nothing."""
    only = np.full(14, 9)
    only[6], only[9] = 1, 2
    assert first_correct(T, only, LABEL, 4, 2).frames.tolist() == [9, CENSORED, CENSORED]


@pytest.mark.parametrize("revision", [(14, 3, 1), (2, 3, 1), (5, -1, 0)])
def test_a_revision_of_no_window_is_refused(revision: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="is revised at window"):
        first_correct(T, np.zeros(14, np.int64), LABEL, 4, 2, [revision])


def test_windows_beyond_the_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="the last window ends with frame 32, there are labels of 30 frames"):
        first_correct(np.arange(15), np.zeros(15, np.int64), LABEL, 4, 2)


def test_sums_over_streams_keep_the_censored_apart() -> None:
    streams = [FirstCorrect(numbers(4, CENSORED), numbers(9, 9)), FirstCorrect(numbers(8), numbers(9))]
    assert together(streams).frames.tolist() == [4, CENSORED, 8]
    assert mean_seconds([(streams[0], 4.0), (streams[1], 2.0)]) == (1 + 4) / 2
    assert median_frames(streams) == 8, "the censored one is longer than both"
    assert censored_share(streams) == pytest.approx(1 / 3)
    none = [FirstCorrect(numbers(), numbers())]
    assert all(math.isnan(score(none)) for score in (median_frames, censored_share))
    assert math.isnan(mean_seconds([(none[0], 30.0)]))
    lost = [FirstCorrect(numbers(CENSORED, CENSORED, 3), numbers(9, 9, 9))]
    assert median_frames(lost) == math.inf


@st.composite
def streams(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, int, int, list[tuple[int, int, int]]]:
    size = draw(st.integers(1, 8))
    stride = draw(st.integers(1, size))
    lengths = draw(st.lists(st.tuples(st.integers(1, 12), st.integers(-1, 2)), max_size=8))
    label = np.array([each for length, each in lengths for _ in range(length)], np.int16)
    windows = max(0, (len(label) - size) // stride + 1)
    t = np.array([each for each in range(windows) if draw(st.booleans())], np.int64)
    live = np.array([draw(st.integers(0, 2)) for _ in t], np.int64)
    revised = []
    for _ in range(draw(st.integers(0, 6)) if len(t) else 0):
        n = draw(st.integers(0, len(t) - 1))
        revised.append((draw(st.integers(n, len(t) - 1)), n, draw(st.integers(0, 2))))
    return t, live, label, size, stride, sorted(revised)


@given(streams())
def test_it_is_what_a_loop_over_contexts_and_windows_finds(
    stream: tuple[np.ndarray, np.ndarray, np.ndarray, int, int, list[tuple[int, int, int]]],
) -> None:
    t, live, label, size, stride, revised = stream
    runs, at = [], 0
    while at < len(label):
        end = at
        while end < len(label) and label[end] == label[at]:
            end += 1
        if label[at] >= 0:
            runs.append((at, end, int(label[at])))
        at = end
    for with_revisions in (False, True):
        expected = []
        for start, end, own in runs[1:]:
            moments = []
            events = [(n, n, int(live[n])) for n in range(len(t))] + (revised if with_revisions else [])
            for now, n, answer in events:
                last = t[n] * stride + size - 1
                if start <= last < end and answer == own:
                    moments.append(t[now] * stride + size - start)
            expected.append(min(moments, default=CENSORED))
        found = first_correct(t, live, label, size, stride, revised if with_revisions else ())
        assert found.frames.tolist() == expected
        assert found.lengths.tolist() == [end - start for start, end, _ in runs[1:]]


@given(streams())
def test_revised_is_never_later_than_live_and_never_censored_where_live_is_not(
    stream: tuple[np.ndarray, np.ndarray, np.ndarray, int, int, list[tuple[int, int, int]]],
) -> None:
    t, live, label, size, stride, revised = stream
    at_once, later = (first_correct(t, live, label, size, stride, each).frames for each in ((), revised))
    answered = at_once != CENSORED
    assert (later[answered] <= at_once[answered]).all()
    assert (later[answered] > 0).all()
