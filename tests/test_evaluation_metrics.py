"""Frame accuracy, weighted F1 and bootstrap intervals (DESIGN §5.10)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clownfish.errors import DatasetError
from clownfish.evaluation.metrics import (
    UNANSWERED,
    UNSCORED,
    accuracy,
    answers_by_frame,
    bootstrap_interval,
    confusion,
    interval_over,
    paired_interval,
    pooled_score,
    truth_by_frame,
    weighted_f1,
)
from clownfish.sources.truth import Context, Truth

CLASSES = ("bow", "clap", "wave")


def truth(*contexts: tuple[int, int, str]) -> Truth:
    return Truth(tuple(Context(*context) for context in contexts))


def numbers(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def test_a_windows_answer_belongs_to_its_last_stride_frames() -> None:
    by_frame = answers_by_frame(numbers(0, 1, 2), numbers(5, 6, 7), size=6, stride=2, frames=11)
    assert by_frame.tolist() == [UNSCORED] * 4 + [5, 5, 6, 6, 7, 7] + [UNSCORED]


def test_a_window_without_an_answer_leaves_its_frames_unanswered_but_scored() -> None:
    by_frame = answers_by_frame(numbers(0, 2), numbers(1, 1), size=4, stride=4, frames=12)
    assert by_frame.tolist() == [1] * 4 + [UNANSWERED] * 4 + [1] * 4
    matrix = confusion(truth_by_frame(truth((0, 12, "clap")), CLASSES, 12, skip=0), by_frame, 3)
    assert accuracy(matrix) == pytest.approx(8 / 12)
    assert weighted_f1(matrix) == pytest.approx(2 * 8 / (8 + 12))


def test_an_answer_for_a_window_that_the_stream_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="windows 0 to 3 are answered; a stream of 15 frames has 3"):
        answers_by_frame(numbers(0, 3), numbers(0, 0), size=4, stride=4, frames=15)


def test_the_first_eight_frames_of_every_context_and_frames_outside_are_not_scored() -> None:
    """Two contexts of one label that meet are two contexts; a context of eight frames has nothing left to score."""
    by_frame = truth_by_frame(truth((0, 10, "bow"), (10, 20, "bow"), (25, 33, "wave")), CLASSES, 40)
    scored = np.flatnonzero(by_frame != UNSCORED)
    assert scored.tolist() == [8, 9, 18, 19]
    assert set(by_frame[scored]) == {0}


def test_a_label_that_no_model_knows_is_an_error_and_not_a_wrong_answer() -> None:
    with pytest.raises(DatasetError, match=r"names 'jump' \(frame 3\); the models know bow, clap, wave"):
        truth_by_frame(truth((3, 9, "jump")), CLASSES, 9)


def test_weighted_f1_of_a_case_counted_by_hand() -> None:
    """bow: 3 of 4 found, 1 foreign, F1 = 6/8; clap: 1 of 2, 2 foreign, F1 = 2/5; wave: 0 of 2, no F1 to have."""
    matrix = np.array([[3, 1, 0, 0], [1, 1, 0, 0], [0, 1, 0, 1]])
    assert weighted_f1(matrix) == pytest.approx((4 * 6 / 8 + 2 * 2 / 5) / 8)
    assert accuracy(matrix) == pytest.approx(4 / 8)


def test_where_no_frame_is_scored_there_is_no_score() -> None:
    nothing = np.zeros((3, 4), np.int64)
    assert math.isnan(accuracy(nothing))
    assert math.isnan(weighted_f1(nothing))


@st.composite
def streams(draw: st.DrawFn) -> tuple[int, int, int, dict[int, int], Truth, int]:
    size = draw(st.integers(1, 12))
    stride = draw(st.integers(1, size))
    frames = draw(st.integers(0, 80))
    windows = max(0, (frames - size) // stride + 1)
    answers = {t: draw(st.integers(0, 2)) for t in range(windows) if draw(st.booleans())}
    contexts, at = [], 0
    while at < frames and draw(st.booleans()):
        start = at + draw(st.integers(0, 9))
        at = start + draw(st.integers(1, 30))
        contexts.append(Context(start, at, draw(st.sampled_from(CLASSES))))
    return size, stride, frames, answers, Truth(tuple(contexts)), draw(st.integers(0, 9))


@given(streams())
def test_the_scores_are_those_of_a_loop_over_single_frames(
    stream: tuple[int, int, int, dict[int, int], Truth, int],
) -> None:
    size, stride, frames, answers, known, skip = stream
    pairs = []
    for n in range(frames):
        owner = next((t for t in range(frames) if t * stride + size - stride <= n < t * stride + size), None)
        if owner is None or owner * stride + size > frames:
            continue
        context = known.context_at(n)
        if context is not None and n >= context.start + skip:
            pairs.append((context.label, CLASSES[answers[owner]] if owner in answers else "nothing"))
    t = np.array(sorted(answers), np.int64)
    said = np.array([answers[each] for each in sorted(answers)], np.int64)
    by_frame = answers_by_frame(t, said, size, stride, frames)
    matrix = confusion(truth_by_frame(known, CLASSES, frames, skip), by_frame, 3)
    if not pairs:
        assert matrix.sum() == 0
        return
    assert accuracy(matrix) == pytest.approx(sum(a == b for a, b in pairs) / len(pairs))
    f1 = 0.0
    for name in CLASSES:
        right = sum(a == b == name for a, b in pairs)
        wrong = sum((a == name) != (b == name) for a, b in pairs)
        support = sum(a == name for a, _ in pairs)
        f1 += support * (2 * right / (2 * right + wrong) if right else 0.0)
    assert weighted_f1(matrix) == pytest.approx(f1 / len(pairs))


def test_streams_that_agree_leave_no_interval_and_streams_that_differ_do() -> None:
    good, bad = np.array([[9, 1, 0], [1, 9, 0]]), np.array([[5, 5, 0], [5, 5, 0]])
    assert bootstrap_interval([good] * 5, accuracy) == pytest.approx((0.9, 0.9))
    low, high = bootstrap_interval([good, bad] * 3, accuracy)
    assert 0.5 < low < 0.7 < high < 0.9


def test_the_interval_counts_frames_and_not_streams() -> None:
    """A stream of a thousand frames beside one of ten: pooled, the short one can hardly move the score."""
    long, short = np.array([[500, 0, 0], [0, 500, 0]]), np.array([[0, 5, 0], [5, 0, 0]])
    low, _ = bootstrap_interval([long] * 9 + [short], accuracy)
    assert low > 0.98


def test_paired_intervals_draw_the_same_streams_of_both_methods() -> None:
    """One method is better by the same in every stream: however hard the streams drawn, by that much. Apart, each
    method's own interval is wide."""
    hard = [np.array([[n, 100 - n, 0], [0, 0, 0]]) for n in (10, 50, 80)]
    easier = [matrix + np.array([[5, -5, 0], [0, 0, 0]]) for matrix in hard]
    score = pooled_score(accuracy)
    assert paired_interval(easier, hard, score) == pytest.approx((0.05, 0.05))
    assert paired_interval(hard, easier, score) == pytest.approx((-0.05, -0.05))
    low, high = interval_over(hard, score)
    assert high - low > 0.3
    with pytest.raises(ValueError, match="zip"):
        paired_interval(hard, easier[:2], score)


def test_the_fast_interval_is_that_of_streams_drawn_one_by_one() -> None:
    rng = np.random.default_rng(1)
    matrices = [rng.integers(0, 50, (3, 4)) for _ in range(5)]
    assert bootstrap_interval(matrices, weighted_f1) == interval_over(matrices, pooled_score(weighted_f1))


def test_an_interval_leaves_out_draws_without_a_score_and_refuses_no_streams() -> None:
    none, some = np.zeros((2, 3), np.int64), np.array([[1, 1, 0], [0, 2, 0]])
    assert bootstrap_interval([none, some], accuracy) == (0.75, 0.75)
    assert all(math.isnan(each) for each in bootstrap_interval([none, none], accuracy))
    with pytest.raises(ValueError, match="no streams"):
        interval_over([], len)
