"""Verdicts on hand-made numbers, paired intervals, the sweep, and the policy that asks at a chosen moment."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clownfish.errors import ConfigError, DatasetError
from clownfish.evaluation.metrics import accuracy, bootstrap_interval
from clownfish.evaluation.network import FixedLag
from clownfish.evaluation.paper import fig7, judge, methods
from clownfish.evaluation.paper.claims import At, above, at_all, at_one, on_average, points, undecided
from clownfish.evaluation.paper.context import Context
from clownfish.evaluation.paper.moments import AfterChange
from clownfish.evaluation.paper.sweep import Bench, Score, Setting, ahead, shared, sweep
from clownfish.filters import FILTERS
from clownfish.filters.base import Verdict
from clownfish.gate import Gate, Send
from clownfish.messages import WindowKey
from clownfish.settings import Plugin
from tests.paper_context import small_context


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    return small_context(tmp_path_factory.mktemp("claims"))


def matrix(right: int, wrong: int) -> np.ndarray:
    return np.array([[right, wrong, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])


def test_the_worst_setting_decides_a_claim_about_all() -> None:
    good, bad = At("n_w = 1", Score(0.01, 0.0, 0.02)), At("n_w = 10", Score(-0.05, -0.06, -0.04))
    kept = at_all("c", [good], -0.02)
    assert (kept.holds, kept.sure, kept.answer) == (True, True, "yes")
    failed = at_all("c", [good, bad], -0.02)
    assert (failed.holds, failed.sure, failed.answer) == (False, True, "no")
    assert "−5.0 points (−6.0 … −4.0), at n_w = 10; within the bound at 1 of 2" in failed.found


@pytest.mark.parametrize(
    ("score", "answer"),
    [
        (Score(0.03, 0.01, 0.05), "yes"),
        (Score(0.03, -0.01, 0.05), "yes, but the interval crosses the bound"),
        (Score(-0.03, -0.05, -0.01), "no"),
        (Score(-0.03, -0.05, 0.01), "no, but the interval crosses the bound"),
        (Score(0.0, 0.0, 0.0), "yes"),
    ],
)
def test_an_interval_over_the_bound_leaves_a_doubt(score: Score, answer: str) -> None:
    assert at_one("c", score, "here", 0.0).answer == answer
    assert on_average("c", score, [At("x", score)], 0.0).answer == answer


def test_what_was_not_measured_decides_nothing() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        at_all("c", [], 0.0)
    with pytest.raises(ValueError, match="no measurement"):
        above(0.0, Score(float("nan"), 0, 0))
    assert undecided("c", "no such model").answer == "open"


def test_points_have_no_negative_zero() -> None:
    assert points(Score(-0.0001, -0.004, 0.013)) == "0.0 points (−0.4 … +1.3)"


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(1, 50)), min_size=1, max_size=6))
def test_a_difference_is_that_of_the_shares_and_its_interval_is_paired(streams: list[tuple[int, int, int]]) -> None:
    ours = [matrix(a, 100 + n - a) for a, _, n in streams]
    theirs = [matrix(b, 100 + n - b) for _, b, n in streams]
    gain = ahead([ours], [theirs])
    assert gain.value == pytest.approx(shared(ours).value - shared(theirs).value)
    assert gain.low <= gain.value + 1e-12
    assert gain.value <= gain.high + 1e-12
    same = ahead([ours], [ours])
    assert (same.value, same.low, same.high) == (0, 0, 0)
    mean = ahead([ours, theirs], [theirs, theirs])
    assert mean.value == pytest.approx(gain.value / 2)


def test_shares_and_intervals_are_those_of_the_metrics() -> None:
    matrices = [matrix(50, 10), matrix(20, 40), matrix(33, 3)]
    found = shared(matrices)
    assert found.value == accuracy(np.sum(matrices, axis=0))
    assert (found.low, found.high) == pytest.approx(bootstrap_interval(matrices, accuracy))
    with pytest.raises(DatasetError, match="no frame of these streams is scored"):
        shared([matrix(0, 0)])


def test_many_processes_find_what_one_finds(context: Context) -> None:
    rho = {method: context.rho(method) for method in (methods.COSINE, methods.OPT_SIM)}
    bench = Bench(context.streams, rho, context.models.fusion)
    settings = [Setting.of(method, n_w, lag) for method in rho for n_w in (1, 3) for lag in (0, 2)]
    alone, together = sweep(bench, settings), sweep(bench, settings, processes=2)
    assert list(alone) == list(together) == settings
    for setting in settings:
        for one, other in zip(alone[setting], together[setting], strict=True):
            for field in dataclasses.fields(one):
                np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))
    with pytest.raises(ConfigError, match="known:"):
        sweep(bench, [Setting(methods.COSINE, policy="nearest")])


def test_a_setting_may_have_another_fusion_method_and_other_options(context: Context) -> None:
    bench = Bench(context.streams, {methods.COSINE: context.rho(methods.COSINE)}, context.models.fusion)
    plain = Setting.of(methods.COSINE, 3, 1)
    theta = context.models.fusion.theta
    same = dataclasses.replace(plain, fusion=(("method", Plugin("exponential")), ("theta", theta)))
    remote_alone = dataclasses.replace(Setting.of(methods.COSINE, 1, 0), fusion=(("remote_weight", 1.0),))
    late = dataclasses.replace(plain, lag=None, network=FixedLag(1))
    found = sweep(bench, [plain, same, remote_alone, late])
    for one, other in zip(found[plain], found[late], strict=True):
        np.testing.assert_array_equal(one.live, other.live)
    for one, other in zip(found[plain], found[same], strict=True):
        np.testing.assert_array_equal(one.live, other.live)
    for stream, outcome in zip(context.streams, found[remote_alone], strict=True):
        np.testing.assert_array_equal(outcome.live, stream.dump.p_remote.argmax(1))
    with pytest.raises(ConfigError, match="known:"):
        sweep(bench, [dataclasses.replace(plain, fusion=(("method", Plugin("nearest")),))])


def test_claims_are_decided_and_a_failed_one_has_its_reason(context: Context) -> None:
    found = judge.verdicts(context)
    assert len(found) == len(judge.CLAIMS)
    for verdict in found:
        assert verdict.found
        assert bool(verdict.reason) == (verdict.holds is False), verdict.claim
    assert len({verdict.claim for verdict in found}) == len(found)


def test_a_pair_without_early_discard_leaves_that_claim_open(context: Context) -> None:
    bare = dataclasses.replace(context, models=dataclasses.replace(context.models, discard=None))
    bare.streams = context.streams
    assert judge.above_discard(bare).answer == "open"


# -- the moment -------------------------------------------------------------------------------------------------------


def sent(policy: AfterChange, rho: list[float]) -> list[int]:
    gate: Gate[None] = Gate(lambda: policy)
    found = []
    for t, value in enumerate(rho):
        key = WindowKey("s", 0, t)
        decisions = gate.window(key, None, float(t)) + gate.rho(key, value if t else None, float(t))
        found += [t for each in decisions if isinstance(each, Send)]
    return found


@pytest.mark.parametrize("delay", [0, 1, 3])
def test_a_window_is_sent_so_long_after_the_fall_and_the_period_starts_again(delay: int) -> None:
    rho = [1.0] * 30
    rho[10] = 0.0
    assert sent(AfterChange(8, delay), rho) == [0, 8, 10 + delay, 18 + delay, 26 + delay][: 5 if delay < 4 else 4]


def test_a_period_that_falls_on_the_moment_sends_once() -> None:
    rho = [1.0] * 12
    rho[4] = 0.0
    assert sent(AfterChange(5, 1), rho) == [0, 5, 10]


def test_a_second_fall_before_the_moment_moves_it() -> None:
    rho = [1.0] * 12
    rho[3] = rho[4] = 0.0
    assert sent(AfterChange(50, 2), rho) == [0, 6]


def test_the_policy_refuses_a_moment_before_the_change() -> None:
    path = f"{AfterChange.__module__}:AfterChange"
    with pytest.raises(ConfigError, match="delay is -1; expected at least 0"):
        Plugin(path, {"delay": -1}).build(FILTERS)
    assert AfterChange().on_window(0) is Verdict.SEND


def test_figure_7_gives_a_method_its_gap_to_the_cloud(context: Context) -> None:
    gaps = judge.gaps(context)
    assert {(n_w, lag) for n_w, lag, _ in gaps} == {(n_w, lag) for n_w in fig7.INTERVALS for lag in fig7.LAGS}


def test_a_sweep_that_is_killed_leaves_no_process_behind(tmp_path: Path) -> None:
    """Regression: workers waited for ever for a parent that was gone."""
    parent = subprocess.Popen(
        [sys.executable, "-m", "tests.sweep_apart", str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "begun\n"
        children = wait_for_children(psutil.Process(parent.pid), 2)
    finally:
        parent.kill()
        parent.communicate()
    _, alive = psutil.wait_procs(children, timeout=30)
    for each in alive:
        each.kill()
    assert alive == []


def wait_for_children(process: psutil.Process, count: int) -> list[psutil.Process]:
    """The workers, once there are as many, each past its imports."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        workers = [each for each in process.children() if any("spawn_main" in word for word in each.cmdline())]
        if len(workers) >= count and all(len(each.threads()) > 1 for each in workers):
            return workers
        time.sleep(0.1)
    raise AssertionError(f"no {count} workers within a minute")
