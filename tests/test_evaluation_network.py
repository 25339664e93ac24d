"""Networks for replay: which result is applied when, and what a link of given latency and rate loses."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clownfish.errors import ConfigError
from clownfish.evaluation.dump import Dump
from clownfish.evaluation.network import BEFORE_ALL, NETWORKS, FixedLag, Network, Never, RecordedArrivals
from clownfish.evaluation.replay import replay
from clownfish.evaluation.trace import Trace, read_trace
from clownfish.filters.always import Always
from clownfish.filters.context_aware import ContextAware
from clownfish.filters.never import Never as SendNever
from clownfish.filters.periodic import Periodic
from clownfish.messages import FusedResult
from clownfish.settings import FusionSection, Plugin
from tests.test_evaluation_replay import made, random_rho

ROOT = Path(__file__).parent.parent
WINDOW_MS = 1000 / 30 * 2
"""Between windows of `made`: stride 2 at 30 FPS."""


def outcome(dump: Dump, network: Network | int | None, seed: int = 0) -> tuple[object, ...]:
    """The closing results, to the bit; the order is theirs."""
    given: list[FusedResult] = []
    replay(dump, random_rho(dump, seed), SendNever, network, FusionSection(horizon=1000), on_result=given.append)
    return tuple((r.t, r.p.tobytes(), r.alpha, r.beta, r.source, r.label) for r in given if r.final)


@st.composite
def arrivals(draw: st.DrawFn, windows: int = 30) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Results of one set of windows, twice: in two orders, at other times, with other duplicates."""
    sent = draw(st.lists(st.integers(0, windows - 1), unique=True))

    def one() -> list[tuple[int, int]]:
        again = draw(st.lists(st.sampled_from(sent))) if sent else []
        order = draw(st.permutations([*sent, *again]))
        after = sorted(draw(st.lists(st.integers(BEFORE_ALL, windows - 1), min_size=len(order), max_size=len(order))))
        return list(zip(after, order, strict=True))

    return one(), one()


@given(arrivals(), st.integers(0, 10**6))
@settings(max_examples=150, deadline=None)
def test_results_in_any_order_at_any_time_and_twice_end_in_one_state(
    both: tuple[list[tuple[int, int]], list[tuple[int, int]]], seed: int
) -> None:
    dump = made(30, seed)
    first, second = (outcome(dump, RecordedArrivals(each), seed) for each in both)
    assert first == second
    assert len(first) == 30


@given(st.integers(0, 10**6), st.integers(0, 12), st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_arrivals_as_a_fixed_lag_brings_them_give_the_same_answers_in_the_same_order(
    seed: int, lag: int, n_w: int
) -> None:
    dump = made(40, seed)
    rho = random_rho(dump, seed)
    fixed: list[FusedResult] = []
    result = replay(dump, rho, lambda: ContextAware(n_w), lag, on_result=fixed.append)
    recorded = RecordedArrivals((t + lag if lag else t - 1, t) for t in result.sent.tolist())
    again: list[FusedResult] = []
    replay(dump, rho, SendNever, recorded, on_result=again.append)

    def plain(results: list[FusedResult]) -> list[object]:
        return [(r.t, r.revision, r.p.tobytes(), r.alpha, r.beta, r.lag, r.source, r.final) for r in results]

    assert plain(fixed) == plain(again)


def test_with_the_windows_that_were_sent_only_they_come_as_they_came_and_others_after_the_lag() -> None:
    dump = made(20)
    live = RecordedArrivals([(3, 0), (9, 4)], sends=[0, 4, 8], lag=2)
    result = replay(dump, random_rho(dump), lambda: Periodic(2), live)
    assert result.sent.tolist() == list(range(0, 20, 2))
    came = dict(zip([0, 2, 6, 4, 10, 12, 14, 16, 18], result.lags.tolist(), strict=True))
    assert came == {0: 3, 2: 2, 4: 5, 6: 2, 10: 2, 12: 2, 14: 2, 16: 2, 18: 1}, "8 was sent live and never came"


def test_a_result_for_a_window_that_was_not_inferred_carries_the_chain_on() -> None:
    dump = made(20)
    part = dataclasses.replace(dump, **{name: getattr(dump, name)[[*range(5), *range(6, 20)]] for name in COLUMNS})
    with_gap = RecordedArrivals([(7, 5)], extra={5: dump.p_remote[5]})
    result = replay(part, random_rho(part), SendNever, with_gap)
    assert result.lags.tolist() == [2]
    assert {n_window for _, n_window, _ in result.revised} == {5, 6}, "windows 6 and 7, which follow the gap"
    assert result.unknown == 0


COLUMNS = ("t", "p_local", "feature", "p_remote")


def test_results_that_nobody_knows_are_counted_and_never_come() -> None:
    dump = made(20)
    dump.p_remote[4] = np.nan
    result = replay(dump, random_rho(dump), Always, 1)
    assert result.unknown == 1
    assert len(result.lags) == 19


def test_arrivals_that_go_back_in_time_are_refused() -> None:
    with pytest.raises(ValueError, match="go back in time"):
        RecordedArrivals([(5, 1), (4, 2)])


def test_what_replay_says_of_every_window_fits_together() -> None:
    dump = made(60)
    result = replay(dump, random_rho(dump), lambda: ContextAware(4), 2)
    np.testing.assert_array_equal(result.p_live.argmax(1), result.live)
    np.testing.assert_array_equal(result.p_final.argmax(1), result.final)
    assert len(result.lags) == len(result.sent)
    assert set(result.lags[:-1].tolist()) == {2}
    assert (result.source_final[result.sent] == 2).all(), "a window that was answered is an anchor"
    assert set(result.source_live.tolist()) <= {0, 1}, "no result is on time"
    now = result.live.copy()
    for _, n_window, answer in result.revised:
        now[n_window] = answer
    np.testing.assert_array_equal(now, result.final)
    assert len(result.revised) == result.revisions
    assert all(n_now >= n_window for n_now, n_window, _ in result.revised)


# -- every kind of network --------------------------------------------------------------------------------------------

KINDS: dict[str, dict[str, object]] = {"lag": {"windows": 3}, "never": {}, "trace": {"rtt_ms": 20, "rate_mbit": 5}}


@pytest.mark.parametrize("kind", NETWORKS.names())
def test_every_network_loses_or_brings_each_window_once_and_is_the_same_each_time(kind: str) -> None:
    dump = made(50)
    network = Plugin(kind, KINDS[kind]).build(NETWORKS)
    first, second = (replay(dump, random_rho(dump), lambda: Periodic(3), network) for _ in range(2))
    np.testing.assert_array_equal(first.p_live, second.p_live)
    assert len(first.lags) + sum(first.drops.values()) in (len(first.sent), 0)
    assert len(first.sent) == 17


# -- trace ------------------------------------------------------------------------------------------------------------


def trace_file(folder: Path, *rows: str) -> Path:
    path = folder / "trace.csv"
    path.write_text("\n".join(["# a comment", "t_s, rtt_ms, rate_mbit", *rows]) + "\n")
    return path


def test_a_fast_link_and_a_fast_cloud_answer_on_time_and_a_slow_edge_lets_them() -> None:
    dump = made(30)
    network = Trace(rtt_ms=1, rate_mbit=1000, remote_ms=1, local_ms=20)
    result = replay(dump, random_rho(dump), lambda: Periodic(3), network)
    assert set(result.lags.tolist()) == {0}


@pytest.mark.parametrize("late", [1, 2, 5])
def test_the_round_trip_and_the_workers_time_are_the_lag(late: int) -> None:
    """Sent when its last frame is there; home a little more than `late` windows after it was fused."""
    dump = made(60)
    network = Trace(rtt_ms=late * WINDOW_MS - 20, rate_mbit=1e6, remote_ms=30, local_ms=0)
    result = replay(dump, random_rho(dump), lambda: Periodic(7), network)
    assert set(result.lags[:-1].tolist()) == {late}


def test_bytes_take_their_time_on_the_link_and_frames_that_are_there_are_not_sent_again() -> None:
    """Every window is sent: the first with 4 frames, the others with 2 new ones."""
    dump = dataclasses.replace(made(20), frame_bytes=np.full(42, 1000))
    result = replay(dump, random_rho(dump), Always, Trace(rtt_ms=0, rate_mbit=5, remote_ms=0))
    assert result.wire_bytes == 42 * 1000
    assert not result.drops
    rate_mbit = 1000 * 30 * 8e-6  # what the stream's frames need
    slow = replay(dump, random_rho(dump), Always, Trace(rtt_ms=0, rate_mbit=rate_mbit / 2, remote_ms=0))
    assert slow.wire_bytes == 42 * 1000, "20 windows wait in the backlog, and leave after the stream's end"
    assert len(slow.lags) == 20
    assert slow.lags.max() > 4


def test_on_a_starved_link_the_newest_window_wins_and_the_overdue_ones_are_dropped_and_counted() -> None:
    dump = dataclasses.replace(made(200), frame_bytes=np.full(402, 10_000))
    network = Trace(rtt_ms=50, rate_mbit=0.5, deadline_ms=2000, backlog=4, credit=2)
    result = replay(dump, random_rho(dump), Always, network)
    assert result.drops["superseded"] > 50
    assert len(result.lags) + sum(result.drops.values()) == 200
    assert 0 < result.lags.max() <= 2000 / WINDOW_MS + 1, "nothing is applied after its deadline"


def test_credit_bounds_what_is_on_the_way() -> None:
    """A worker of 500 ms and one credit: a window each half second."""
    dump = made(150)  # ten seconds
    result = replay(
        dump, random_rho(dump), Always, Trace(rtt_ms=0, rate_mbit=1000, remote_ms=500, credit=1, deadline_ms=600)
    )
    assert 15 <= len(result.lags) <= 21


def test_an_outage_holds_everything_up_and_then_it_goes_on(tmp_path: Path) -> None:
    path = trace_file(tmp_path, "0, 10, 50", "2, 10, 0", "4, 10, 50")
    dump = made(120)
    result = replay(dump, random_rho(dump), lambda: Periodic(3), Trace(str(path), remote_ms=0, local_ms=0))
    assert result.lags.max() >= 28, "what was sent at the outage's begin waited two seconds of 15 windows"
    assert np.median(result.lags) <= 1
    dead = trace_file(tmp_path, "0, 10, 50", "2, 10, 0")
    gone = replay(dump, random_rho(dump), lambda: Periodic(3), Trace(str(dead), remote_ms=0, local_ms=0))
    assert len(gone.lags) == 10
    assert sum(gone.drops.values()) == 30


def test_lost_answers_are_drawn_from_the_seed_and_counted_when_they_are_overdue() -> None:
    dump = made(200)
    link = {"rtt_ms": 10.0, "rate_mbit": 50.0, "remote_ms": 1.0, "loss": 0.3}
    some, again, other = (
        replay(dump, random_rho(dump), lambda: Periodic(10), Trace(**link, seed=seed)) for seed in (1, 1, 2)
    )
    assert some.drops["unanswered"] == again.drops["unanswered"] > 0
    assert len(some.lags) + some.drops["unanswered"] == 20
    assert not np.array_equal(some.p_final, other.p_final)


def test_what_cannot_be_in_time_costs_no_worker_and_is_dropped() -> None:
    dump = made(40)
    result = replay(dump, random_rho(dump), Always, Trace(rtt_ms=9000, rate_mbit=50))
    assert len(result.lags) == 0
    assert sum(result.drops.values()) == 40


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "network").glob("*.csv")), ids=lambda path: path.name)
def test_the_traces_that_ship_are_read_and_replayed(path: Path) -> None:
    dump = made(300)
    assert len(replay(dump, random_rho(dump), Always, Trace(str(path))).lags) > 0


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ((), "has no rows"),
        (("0, 10",), "trace.csv:3: '0, 10'"),
        (("0, 10, fast",), "expected t_s,rtt_ms,rate_mbit as numbers"),
        (("0, -1, 5",), "rtt_ms -1 and rate_mbit 5; expected 0 or more"),
        (("0, 1, nan",), "rate_mbit nan"),
        (("0, 1, 5", "0, 2, 5"), "trace.csv:4: t_s is 0; expected seconds that grow"),
    ],
)
def test_a_trace_that_is_none_is_refused_with_its_line(tmp_path: Path, rows: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_trace(trace_file(tmp_path, *rows))
    assert said in str(caught.value)


def test_a_file_of_other_columns_or_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    with pytest.raises(ConfigError, match="cannot be read"):
        read_trace(path)
    path.write_text("start,end,label\n0,1,wave\n")
    with pytest.raises(ConfigError, match="the first line is 'start,end,label'; expected t_s,rtt_ms,rate_mbit"):
        read_trace(path)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"rtt_ms": 1},
        {"path": "a.csv", "rtt_ms": 1, "rate_mbit": 1},
        {"rtt_ms": 1, "rate_mbit": 1, "loss": 2},
        {"rtt_ms": 1, "rate_mbit": 1, "credit": 0},
        {"rtt_ms": -1, "rate_mbit": 1},
    ],
)
def test_options_that_make_no_link_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        Plugin("trace", options).build(NETWORKS)


def test_an_int_and_none_are_networks_too() -> None:
    dump = made(30)
    rho = random_rho(dump)
    for short, long in ((2, FixedLag(2)), (None, Never())):
        results = [replay(dump, rho, Always, network) for network in (short, long)]
        np.testing.assert_array_equal(results[0].p_live, results[1].p_live)
