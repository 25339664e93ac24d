"""Early discard over a dump: what is sent, what is said and when."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clownfish.errors import ConfigError
from clownfish.evaluation.compare import DISCARD_METHODS, METHODS, Settings, compare, pooled
from clownfish.evaluation.dump import Dump
from clownfish.evaluation.early_discard import Discarding, early_discard, recall
from clownfish.evaluation.metrics import share
from clownfish.evaluation.report import comparison_numbers, comparison_tables, discard_line
from clownfish.pair import EarlyDiscard
from clownfish.settings import Plugin
from clownfish.sources.truth import Context, Truth
from tests.test_evaluation_replay import made


def saying(local: str, remote: str, send: str) -> Dump:
    """A dump whose models say these classes; `send`: x where the window is sent."""
    dump = made(len(local))
    one_hot = np.eye(3, dtype=np.float32)
    return dataclasses.replace(
        dump,
        p_local=one_hot[[int(each) for each in local]],
        p_remote=one_hot[[int(each) for each in remote]],
        p_discard=np.array([0.8 if each == "x" else 0.2 for each in send], np.float32),
    )


def said(answers: np.ndarray) -> str:
    return "".join(str(each) for each in answers)


#           0123456789
LOCAL = "0000000000"
REMOTE = "1112221111"
SEND = "-x--x-x---"


def test_windows_that_are_not_sent_keep_the_last_remote_answer() -> None:
    result = early_discard(saying(LOCAL, REMOTE, SEND), 0.5, lag=1)
    assert result.sent.tolist() == [1, 4, 6]
    assert said(result.live) == "0001112211"
    assert said(result.final) == "0111221111"


def test_with_a_background_class_they_show_it_at_once() -> None:
    """Window 1 is sent and its answer takes until window 3; window 2 says background, and is newer than it."""
    result = early_discard(saying(LOCAL, REMOTE, SEND), 0.5, lag=1, background=0)
    assert said(result.live) == "0000000000"
    dense = early_discard(saying(LOCAL, REMOTE, "-xxxxxx---"), 0.5, lag=1, background=0)
    assert said(dense.live) == "0001122000"
    assert said(dense.final) == "0112221000"


def test_an_answer_counts_when_replay_would_count_it() -> None:
    """From the window after t + lag; at lag 0 for the window itself."""
    dump = saying("0000000", "1111111", "-x-----")
    assert [said(early_discard(dump, 0.5, lag).live) for lag in (0, 1, 2, None)] == [
        "0111111", "0001111", "0000111", "0000000",
    ]  # fmt: skip


def test_until_an_answer_is_there_the_local_models_own_is_given() -> None:
    result = early_discard(saying("2010201", "1111111", "-----x-"), 0.5, lag=0)
    assert said(result.live) == "20102" + "11"


@given(st.integers(0, 10**6), st.floats(0.05, 0.95), st.integers(0, 9), st.sampled_from([None, 0, 2]))
def test_the_final_answers_are_the_live_ones_of_a_cloud_without_lag(
    seed: int, threshold: float, lag: int, background: int | None
) -> None:
    dump = made(40, seed)
    dump = dataclasses.replace(dump, p_discard=np.random.default_rng(seed).uniform(0, 1, 40).astype(np.float32))
    late, on_time = (early_discard(dump, threshold, each, background) for each in (lag, 0))
    np.testing.assert_array_equal(late.final, on_time.live)
    np.testing.assert_array_equal(late.sent, dump.t[dump.p_discard >= threshold])
    np.testing.assert_array_equal(late.final[late.sent], dump.p_remote.argmax(1)[late.sent])
    known = set(dump.p_remote.argmax(1)) | set(dump.p_local.argmax(1)) | {background}
    assert set(late.live) <= known


def test_everything_sent_on_time_is_cloud_only() -> None:
    dump = dataclasses.replace(made(40), p_discard=np.ones(40, np.float32))
    result = early_discard(dump, 0.5, 0)
    np.testing.assert_array_equal(result.live, dump.p_remote.argmax(1))
    assert result.wire_bytes == dump.frame_bytes.sum()


@pytest.mark.parametrize(("threshold", "lag"), [(0.0, 1), (1.0, 1), (0.5, -1)])
def test_bounds_are_kept(threshold: float, lag: int) -> None:
    with pytest.raises(ValueError, match="expected a threshold between 0 and 1"):
        early_discard(saying(LOCAL, REMOTE, SEND), threshold, lag)


def test_a_dump_without_early_discard_is_refused() -> None:
    with pytest.raises(ValueError, match="dump of s has no answers of an early-discard model"):
        early_discard(made(5), 0.5, 1)


def test_recall_counts_the_windows_whose_middle_frame_is_worth_it() -> None:
    """Windows of 4 frames, 2 apart: the middle frame of window t is 2·t + 2."""
    dump = saying("00000", "11111", "x-x--")
    dump = dataclasses.replace(dump, label=np.array([0, 0, 1, 0, 1, 0, 1, 0, 0, 0, -1, 1], np.int16))
    assert recall(dump, 0.5, np.array([1])).tolist() == [2, 3]
    assert np.isnan(share(recall(dump, 0.5, np.array([], np.int64))))


CLASSES = ("class 0", "class 1", "class 2")


def test_a_pair_says_what_is_worth_sending() -> None:
    assert EarlyDiscard("m", background="class 0").sends(CLASSES) == ("class 1", "class 2")
    assert EarlyDiscard("m", ("class 1",)).sends(CLASSES) == ("class 1",)
    assert EarlyDiscard("m").sends(CLASSES) == ()
    with pytest.raises(ConfigError, match=r"\[discard\] names class 'walk'; the models know class 0, class 1, class 2"):
        Discarding(EarlyDiscard("m", background="walk"), 0.5).background(CLASSES)


def test_compare_has_rows_for_early_discard_where_the_settings_have_it() -> None:
    truth = Truth((Context(0, 10, "class 0"), Context(10, 22, "class 1")))
    dump = saying(LOCAL, "1" * 10, SEND)
    dump = dataclasses.replace(dump, label=np.repeat([0, 1], [10, 12]).astype(np.int16))
    plain = Settings(similarity=Plugin("cosine"))
    with_it = dataclasses.replace(plain, discard=Discarding(EarlyDiscard("m", background="class 0"), 0.5))
    assert [row.method for row in compare(dump, truth, plain)] == list(METHODS)
    rows = compare(dump, truth, with_it)
    assert [row.method for row in rows] == [*METHODS, *DISCARD_METHODS]
    live, final = rows[-2:]
    assert live.sent == final.sent == 3
    assert live.recall is not None
    assert live.recall.tolist() == [2, 6]  # middle frames 10 to 20 show class 1: windows 4 to 9; 4 and 6 are sent
    assert live.wire_bytes == dump.frame_bytes[[2, 3, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15]].sum()
    both = pooled([rows, rows])[-1]
    assert both.recall is not None
    assert both.recall.tolist() == [4, 12]
    streams = [(dump.header, rows)] * 2
    assert discard_line(streams) == ("early discard sends 33.3 % of the 12 windows worth sending, 30.0 % of all")
    assert discard_line([(dump.header, compare(dump, truth, plain))]) is None
    numbers = comparison_numbers(streams, with_it)
    assert numbers["all"]["discard final"]["recall"] == pytest.approx(1 / 3)
    assert numbers["settings"]["discard"]["model"]["background"] == "class 0"
    assert "recall" not in numbers["all"]["fused live"]


def test_the_tables_fit_a_terminal_of_80_columns() -> None:
    from rich.console import Console

    truth = Truth((Context(0, 82, "class 1"),))
    settings = Settings(similarity=Plugin("cosine"), discard=Discarding(EarlyDiscard("m"), 0.5))
    dump = dataclasses.replace(made(40), p_discard=np.ones(40, np.float32))
    header = dataclasses.replace(dump.header, stream="puppets-test-0")
    console = Console(width=80, record=True, quiet=True)
    for table in comparison_tables([(header, compare(dump, truth, settings))] * 2):
        assert console.measure(table).maximum <= 80
