"""What the cloud changed, when, and at what price: revisions, corrections, lags, throughput."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clownfish.evaluation.corrections import agreement, correction_rate, corrections, gain, rightly_rate, wrongly_rate
from clownfish.evaluation.metrics import UNANSWERED, UNSCORED, accuracy, confusion, share
from clownfish.evaluation.revisions import answers_after, answers_by_patience
from clownfish.evaluation.traffic import Lags, lag_histogram, latencies_ms, rate_mbit, saved, throughput


def numbers(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


# -- revisions

LIVE = numbers(0, 0, 0, 0)
REVISED = [(1, 0, 1), (1, 1, 1), (3, 0, 2), (3, 3, 2)]


@pytest.mark.parametrize(
    ("windows", "answers"), [(0, [0, 1, 0, 2]), (1, [1, 1, 0, 2]), (2, [1, 1, 0, 2]), (3, [2, 1, 0, 2])]
)
def test_a_consumer_has_the_newest_revision_that_came_until_then(windows: int, answers: list[int]) -> None:
    assert answers_after(LIVE, REVISED, windows).tolist() == answers
    assert LIVE.tolist() == [0] * 4, "the live answers stay"


def test_who_waits_for_ever_has_the_last_revision() -> None:
    assert answers_after(LIVE, REVISED, None).tolist() == [2, 1, 0, 2]
    found = answers_by_patience(LIVE, numbers(2, 1, 0, 2), REVISED, (0, 2))
    assert {name: each.tolist() for name, each in found.items()} == {
        "live": [0, 0, 0, 0],
        "after 0 windows": [0, 1, 0, 2],
        "after 2 windows": [1, 1, 0, 2],
        "final": [2, 1, 0, 2],
    }


def test_revisions_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="-1 windows later is before the window"):
        answers_after(LIVE, REVISED, -1)
    with pytest.raises(ValueError, match="window 2 is revised at window 1; there are 4 windows"):
        answers_after(LIVE, [(1, 2, 0)], 1)


# -- corrections


def test_corrections_of_a_case_counted_by_hand() -> None:
    truth = numbers(0, 0, 0, 0, 0, UNSCORED, 0)
    alone = numbers(0, 1, 0, 1, 1, 1, UNSCORED)
    said = numbers(0, 0, 1, 2, 1, 0, 0)
    counts = corrections(truth, alone, said)
    assert counts.tolist() == [5, 1, 1, 1]
    assert correction_rate(counts) == 3 / 5
    assert rightly_rate(counts) == wrongly_rate(counts) == 1 / 5
    assert gain(counts) == 0
    assert math.isnan(gain(numbers(0, 0, 0, 0)))


answers = st.lists(st.tuples(*[st.sampled_from([UNSCORED, UNANSWERED, 0, 1, 2])] * 3), max_size=60)


@given(answers)
def test_rightly_less_wrongly_is_what_the_cloud_brings_in_accuracy(rows: list[tuple[int, int, int]]) -> None:
    truth, alone, said = np.array(rows, np.int64).reshape(-1, 3).T
    truth = np.where(truth == UNANSWERED, UNSCORED, truth)
    alone = np.where(said == UNSCORED, UNSCORED, alone)
    said = np.where(alone == UNSCORED, UNSCORED, said)
    counts = corrections(truth, alone, said)
    first, second = (confusion(truth, each, 3) for each in (alone, said))
    assert counts[0] == first.sum() == second.sum()
    if counts[0]:
        assert gain(counts) == pytest.approx(accuracy(second) - accuracy(first))
        assert 0 <= correction_rate(counts) <= 1
        changed = (truth >= 0) & (alone != UNSCORED) & (alone != said)
        assert counts[0] * correction_rate(counts) == pytest.approx(changed.sum())


def test_agreement_is_the_share_of_windows_answered_alike() -> None:
    counts = agreement(numbers(0, 1, 2, 2), numbers(0, 2, 2, 1))
    assert counts.tolist() == [2, 4]
    assert share(counts) == 0.5
    assert math.isnan(share(agreement(numbers(), numbers())))
    with pytest.raises(ValueError, match="3 answers are compared with 2"):
        agreement(numbers(0, 1, 2), numbers(0, 1))
    with pytest.raises(ValueError, match="2 answers are compared with 3"):
        corrections(numbers(0, 1), numbers(0, 1), numbers(0, 1, 2))


# -- traffic


def test_lags_are_counted_and_late_results_apart() -> None:
    lags = lag_histogram(numbers(1, 1, 3, 0, 1), late=2)
    assert lags.counts.tolist() == [1, 3, 0, 1]
    assert (lags.applied, lags.late) == (5, 2)
    assert [lags.quantile(each) for each in (0, 0.2, 0.5, 0.8, 0.81, 1)] == [0, 0, 1, 1, 3, 3]
    both = lags + lag_histogram(numbers(5))
    assert both.counts.tolist() == [1, 3, 0, 1, 0, 1]
    assert both.late == 2
    assert math.isnan(lag_histogram(numbers()).quantile(0.5))
    with pytest.raises(ValueError, match="a lag is -1 windows"):
        lag_histogram(numbers(1, -1))


@given(st.lists(st.integers(0, 20), min_size=1), st.floats(0.01, 1))
def test_a_quantile_of_lags_is_that_of_the_sorted_list(lags: list[int], level: float) -> None:
    needed = math.ceil(level * len(lags) - 1e-9)
    assert lag_histogram(np.array(lags)).quantile(level) == sorted(lags)[needed - 1]
    assert isinstance(lag_histogram(np.array(lags)), Lags)


def test_throughput_is_frames_answered_in_each_whole_sample() -> None:
    """Windows of stride 4 every 0.5 s, one missing in the second sample; what follows that is no sample."""
    emit_s = [each for each in np.arange(0, 12, 0.5) if each != 7.0]
    emit_ns = (np.array(emit_s) * 1e9 + 123).astype(np.int64)
    assert throughput(emit_ns, 4).tolist() == [10 * 4 / 5, 9 * 4 / 5]
    assert throughput(emit_ns[::-1], 4).tolist() == [8.0, 7.2]
    assert throughput(emit_ns, 4, 2.0).tolist() == [8.0, 8.0, 8.0, 6.0, 8.0]


def test_a_standstill_is_a_sample_of_nothing() -> None:
    assert throughput(np.array([0, 11_000_000_000]), 4).tolist() == [0.8, 0.0]
    assert throughput(np.array([5]), 4).tolist() == []
    assert throughput(np.array([], np.int64), 4).tolist() == []
    for wrong in ((0.0, 4), (5.0, 0)):
        with pytest.raises(ValueError, match="both must be positive"):
            throughput(np.array([5]), wrong[1], wrong[0])


def test_latencies_are_from_capture_to_answer_on_one_clock() -> None:
    assert latencies_ms(numbers(0, 1_000_000), numbers(2_000_000, 4_500_000)).tolist() == [2.0, 3.5]
    with pytest.raises(ValueError, match=r"comes 1\.000 ms before its window: the two clocks"):
        latencies_ms(numbers(1_000_000), numbers(0))


def test_bytes_are_measured_against_every_frame_sent_once() -> None:
    assert saved(numbers(25, 100)) == 0.75
    assert math.isnan(saved(numbers(0, 0)))
    assert rate_mbit(1_000_000, 300, 30.0) == pytest.approx(0.8)
    assert math.isnan(rate_mbit(1, 0, 30.0))
