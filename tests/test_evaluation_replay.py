"""Replay over recorded answers: the machines that run live, on a clock that counts windows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clownfish.evaluation.dump import Dump
from clownfish.evaluation.replay import fix_ma, replay, rhos, wire_bytes
from clownfish.filters.always import Always
from clownfish.filters.base import FilterPolicy
from clownfish.filters.context_aware import ContextAware
from clownfish.filters.never import Never
from clownfish.filters.periodic import Periodic
from clownfish.fusion import Fusion
from clownfish.settings import FusionSection
from clownfish.similarity.base import Inferred
from clownfish.similarity.constant import Constant
from clownfish.similarity.cosine import Cosine
from tests.test_evaluation_dump import HEADER


def made(windows: int = 40, seed: int = 0, classes: int = 3) -> Dump:
    """Random answers; `size` 4, `stride` 2."""
    rng = np.random.default_rng(seed)
    return Dump(
        header=dataclasses.replace(HEADER, classes=tuple(f"class {n}" for n in range(classes))),
        t=np.arange(windows),
        p_local=rng.dirichlet(np.ones(classes), windows).astype(np.float32),
        feature=rng.normal(size=(windows, 5)).astype(np.float32),
        p_remote=rng.dirichlet(np.full(classes, 0.3), windows).astype(np.float32),
        frame_bytes=rng.integers(100, 200, 2 * windows + 2),
    )


def random_rho(dump: Dump, seed: int = 0) -> np.ndarray:
    rho = np.random.default_rng(seed).uniform(0, 1, dump.windows)
    rho[0] = np.nan
    return rho


def test_rho_is_what_the_similarity_says_of_each_pair_in_order() -> None:
    class InOrder:
        def rho(self, previous: Inferred, current: Inferred) -> float:
            assert current.t == previous.t + 1
            assert (current.feature == dump.feature[current.t]).all()
            assert (previous.p == dump.p_local[previous.t]).all()
            return 1 / current.t

    dump = made(5)
    rho = rhos(dump, InOrder())
    assert np.isnan(rho[0])
    np.testing.assert_array_equal(rho[1:], [1, 1 / 2, 1 / 3, 1 / 4])


def test_with_every_window_sent_on_time_and_the_remote_alone_counting_the_live_answers_are_the_remotes() -> None:
    dump = made()
    result = replay(dump, random_rho(dump), Always, network=0, fusion=FusionSection(remote_weight=1))
    np.testing.assert_array_equal(result.live, dump.p_remote.argmax(1))
    np.testing.assert_array_equal(result.final, result.live)
    assert result.revisions == 0
    assert result.wire_bytes == dump.frame_bytes.sum()


@pytest.mark.parametrize(("policy", "lag"), [(Never, 1), (Always, None)])
def test_with_nothing_sent_or_nothing_answered_fusion_is_the_edge_smoothed(
    policy: type[FilterPolicy], lag: int | None
) -> None:
    """FixMA with α = 0.5 and Alg. 1's other branch are one and the same."""
    dump = made(200)
    result = replay(dump, random_rho(dump), policy, lag)
    np.testing.assert_array_equal(result.live, fix_ma(dump.p_local).argmax(1))
    np.testing.assert_array_equal(result.final, result.live)


def test_fix_ma_is_fusion_without_remote_to_the_bit() -> None:
    dump = made(50)
    machine = Fusion()
    fused = [machine.fuse(t, p, 0.9 if t else None).p for t, p in enumerate(dump.p_local)]
    np.testing.assert_array_equal(np.stack(fused), fix_ma(dump.p_local))


def test_fix_ma_follows_its_formula() -> None:
    p = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    np.testing.assert_allclose(fix_ma(p, 0.9), [[1, 0], [0.9, 0.1], [0.81, 0.19]])
    np.testing.assert_array_equal(fix_ma(p, 0.0), p)


@pytest.mark.parametrize("lag", [1, 2, 5])
def test_a_result_changes_the_live_answers_after_its_lag_and_not_before(lag: int) -> None:
    """One window is sent, the first; its answer contradicts the edge and, trusted for ever, is then kept."""
    windows = 12
    dump = dataclasses.replace(
        made(windows, classes=2),
        p_local=np.tile(np.array([[0.9, 0.1]], np.float32), (windows, 1)),
        p_remote=np.tile(np.array([[0.0, 1.0]], np.float32), (windows, 1)),
    )
    rho = np.array([np.nan] + [1.0] * (windows - 1))
    result = replay(dump, rho, lambda: Periodic(100), lag)
    assert result.sent.tolist() == [0]
    assert result.live.tolist() == [0] * (lag + 1) + [1] * (windows - lag - 1)
    assert result.final.tolist() == [1] * windows
    assert result.revisions == lag + 1


def test_a_result_on_time_is_in_the_live_answer_already() -> None:
    dump = made(12)
    result = replay(dump, random_rho(dump), lambda: Periodic(4), network=0)
    anchors = dump.p_local / 3 + 2 * dump.p_remote / 3
    np.testing.assert_array_equal(result.live[result.sent], anchors[result.sent].argmax(1))


@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(0, 30), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_final_answers_are_the_same_whatever_the_lag(seed: int, n_w: int, lag: int, theta: float) -> None:
    """Also of results that come after the stream's end; a longer lag than the horizon would lose them."""
    dump = made(40, seed)
    rho = random_rho(dump, seed)
    on_time, late = (
        replay(dump, rho, lambda: ContextAware(n_w), each, FusionSection(theta=theta)) for each in (0, lag)
    )
    np.testing.assert_array_equal(on_time.final, late.final)
    np.testing.assert_array_equal(on_time.sent, late.sent)
    assert on_time.late == late.late == 0


def test_a_result_older_than_the_horizon_is_late_and_changes_nothing() -> None:
    dump = made(40)
    rho = random_rho(dump)
    never = replay(dump, rho, Always, None)
    late = replay(dump, rho, Always, 9, FusionSection(horizon=4))
    assert late.late == 40 - 4  # the last ones come at the stream's end, while they are still kept
    np.testing.assert_array_equal(late.live, never.live)


def test_the_windows_sent_are_those_of_the_policy_periods_and_rises() -> None:
    dump = made(20)
    rho = np.array([np.nan, *[0.9] * 8, 0.2, 0.8, *[0.9] * 9])
    result = replay(dump, rho, lambda: ContextAware(6), network=1)
    assert result.sent.tolist() == [0, 6, 10, 16]


@given(st.sets(st.integers(0, 39)))
def test_bytes_count_each_frame_of_the_sent_windows_once(sent: set[int]) -> None:
    dump = made(40)
    frames = {2 * t + n for t in sent for n in range(4)}
    expected = sum(int(dump.frame_bytes[n]) for n in frames)
    assert wire_bytes(dump, np.array(sorted(sent), np.int64)) == expected


def test_a_gap_in_the_windows_is_replayed_as_one() -> None:
    dump = made(40)
    keep = np.delete(np.arange(40), [5, 6, 7, 30])
    part = Dump(
        dump.header, dump.t[keep], dump.p_local[keep], dump.feature[keep], dump.p_remote[keep], dump.frame_bytes
    )
    result = replay(part, rhos(part, Cosine()), lambda: Periodic(6), network=2)
    assert set(result.sent.tolist()) <= set(keep.tolist())
    assert len(result.live) == len(result.final) == 36
    assert result.final.min() >= 0


def test_replay_is_the_same_each_time() -> None:
    dump = made(60)
    rho = rhos(dump, Constant(0.9))
    first, second = (replay(dump, rho, lambda: ContextAware(6), 3) for _ in range(2))
    np.testing.assert_array_equal(first.live, second.live)
    assert first.revisions == second.revisions > 0


def test_a_negative_lag_is_refused() -> None:
    dump = made(3)
    with pytest.raises(ValueError, match="lag is -1 windows"):
        replay(dump, random_rho(dump), Always, -1)
