"""Fusion methods: the result contract (DESIGN §6), one test for all of them."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clownfish.errors import ConfigError
from clownfish.fusions import FUSIONS, build_fusion
from clownfish.fusions.base import FusionMethod
from clownfish.messages import FusedResult
from clownfish.settings import FusionSection, Plugin

CLASSES = ("sit", "stand", "wave")
A, B, C = np.eye(3)

METHODS = {name: Plugin(name) for name in FUSIONS.names()}
"""Each method as a configuration names it."""

every_method = pytest.mark.parametrize("name", METHODS)
prompt = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def machine(name: str, horizon: int = 64, **changed: object) -> FusionMethod:
    section = FusionSection(method=METHODS[name], horizon=horizon, **changed)  # type: ignore[arg-type]
    return build_fusion(section, stream="cam", epoch=7, classes=CLASSES)


def soft(best: int, confidence: float = 0.8) -> np.ndarray:
    p = np.full(3, (1 - confidence) / 2)
    p[best] = confidence
    return p


Local = list[tuple[int, np.ndarray, float | None]]
Remote = dict[int, np.ndarray]


@st.composite
def streams(draw: st.DrawFn) -> tuple[Local, Remote]:
    """Local results of some windows of 0…19, and remote results for some windows, inferred or not."""

    def distribution() -> np.ndarray:
        p = np.array(draw(st.lists(st.floats(0, 1), min_size=3, max_size=3))) + 1e-9
        return p / p.sum()

    inferred = sorted(draw(st.sets(st.integers(0, 19), min_size=1)))
    sent = draw(st.sets(st.integers(0, max(inferred))))
    rho = [None, *(draw(st.one_of(st.none(), st.floats(0, 1))) for _ in inferred[1:])]
    return [(t, distribution(), r) for t, r in zip(inferred, rho, strict=True)], {t: distribution() for t in sent}


def play(it: FusionMethod, local: Local, remote: Remote, order) -> list[FusedResult]:
    """Feed local results in order, with remote results mixed in: `order` lists what comes next."""
    emitted, left = [], iter(local)
    for event in order:
        if event == "local":
            emitted.append(it.fuse(*next(left)))
            emitted += it.closed()
        else:
            emitted += it.reinforce(event, remote[event])
    return emitted


def behind(local: Local, remote: Remote, lag: int) -> list[object]:
    """Events in which each remote result comes when its window is `lag` behind the newest, the last ones at the end."""
    order: list[object] = []
    left = sorted(remote)
    for t, _, _ in local:
        order.append("local")
        while left and left[0] + lag <= t:
            order.append(left.pop(0))
    return order + left


@every_method
@given(stream=streams(), random=st.randoms(use_true_random=False))
@prompt
def test_any_order_of_arrivals_gives_one_state_to_the_bit(name: str, stream, random) -> None:
    local, remote = stream
    events = ["local"] * len(local) + list(remote)
    random.shuffle(events)
    states, finals = [], []
    for order in (events, [*remote, *["local"] * len(local)], ["local"] * len(local) + sorted(remote, reverse=True)):
        it = machine(name)
        play(it, local, remote, order)
        states.append(it.state())
        finals.append([(r.t, r.p.tobytes(), r.alpha, r.beta, r.source) for r in it.finish()])
    assert states[0] == states[1] == states[2]
    assert finals[0] == finals[1] == finals[2]


@every_method
@given(stream=streams(), lag=st.integers(0, 10))
@prompt
def test_a_late_result_leaves_the_state_that_an_on_time_one_leaves(name: str, stream, lag) -> None:
    local, remote = stream
    on_time, late = machine(name), machine(name)
    play(on_time, local, remote, behind(local, remote, 0))
    play(late, local, remote, behind(local, remote, lag))
    assert late.state() == on_time.state()


@every_method
@given(stream=streams(), random=st.randoms(use_true_random=False), horizon=st.integers(1, 8))
@prompt
def test_what_is_emitted_keeps_the_result_contract(name: str, stream, random, horizon) -> None:
    local, remote = stream
    events = ["local"] * len(local) + list(remote)
    random.shuffle(events)
    it = machine(name, horizon)
    emitted = [*play(it, local, remote, events), *it.finish()]
    assert [r.t for r in emitted if r.revision == 0] == [t for t, _, _ in local], "one live answer each, in order"
    for t in {r.t for r in emitted}:
        of_window = [r for r in emitted if r.t == t]
        assert [r.revision for r in of_window] == list(range(len(of_window))), "no revision twice, none backwards"
        assert [r.final for r in of_window] == [False] * (len(of_window) - 1) + [True], "final once, and last"
        for before, after in itertools.pairwise(of_window[:-1]):
            assert not np.array_equal(before.p, after.p), "a revision is of a vector that changed"
    for r in emitted:
        assert (r.stream, r.epoch) == ("cam", 7)
        assert abs(r.p.sum() - 1) < 1e-9
        assert r.p.min() >= 0
        assert r.label == CLASSES[int(r.p.argmax())]
        assert r.confidence == r.p.max()
        assert 0 <= r.beta <= 1
        assert 0 <= r.alpha <= 1
        assert r.source == "remote" or (r.source == "fused") == (r.beta >= 0.5)
    assert it.applied + it.late + it.duplicate == len(remote)


@every_method
@given(stream=streams(), random=st.randoms(use_true_random=False))
@prompt
def test_what_no_remote_result_changed_is_not_revised(name: str, stream, random) -> None:
    """REINFORCE says no window twice, and none before the result's own."""
    local, remote = stream
    it = machine(name)
    play(it, local, {}, ["local"] * len(local))
    for t in random.sample(sorted(remote), len(remote)):
        revised = [r.t for r in it.reinforce(t, remote[t])]
        assert revised == sorted(set(revised))
        assert all(t_revised >= t for t_revised in revised)


@every_method
def test_windows_are_closed_when_they_leave_the_horizon_and_the_rest_at_the_end(name: str) -> None:
    it = machine(name, horizon=4)
    for t in range(10):
        it.fuse(t, soft(t % 3), 0.9 if t else None)
        assert [r.t for r in it.closed()] == ([t - 4] if t >= 4 else [])
    assert [(r.t, r.final) for r in it.finish()] == [(t, True) for t in range(6, 10)]
    assert it.finish() == it.closed() == []


@every_method
def test_a_result_older_than_the_horizon_is_late_and_changes_nothing(name: str) -> None:
    it = machine(name, horizon=4)
    for t in range(8):
        it.fuse(t, soft(1), 0.9 if t else None)
    before = it.state()
    assert it.reinforce(3, A) == []
    assert (it.state(), it.late, it.applied) == (before, 1, 0)
    assert it.reinforce(4, A) != []


@every_method
def test_a_second_result_for_a_window_changes_nothing(name: str) -> None:
    it = machine(name)
    it.fuse(0, soft(1), None)
    it.reinforce(0, A)
    before = it.state()
    assert it.reinforce(0, C) == []
    assert (it.state(), it.duplicate) == (before, 1)


@every_method
def test_a_result_for_a_skipped_window_is_never_answered_for_and_carries_the_chain_on(name: str) -> None:
    with_it, without = machine(name), machine(name)
    for it in (with_it, without):
        it.fuse(0, soft(1), None)
        it.fuse(3, soft(1), 0.9)
    assert [r.t for r in with_it.reinforce(2, A)] == [3]
    assert [r.t for r in with_it.finish()] == [r.t for r in without.finish()] == [0, 3]


@every_method
def test_memory_is_bounded_whatever_comes(name: str) -> None:
    it = machine(name, horizon=16)
    rng = np.random.default_rng(0)

    def run(first: int, last: int) -> int:
        for t in range(first, last):
            it.reinforce(t + int(rng.integers(1, 1000)), rng.dirichlet(np.ones(3)))
            it.fuse(t, rng.dirichlet(np.ones(3)), float(rng.uniform()) if t else None)
            it.reinforce(max(0, t - int(rng.integers(0, 40))), rng.dirichlet(np.ones(3)))
            it.closed()
        return tracemalloc.get_traced_memory()[0]

    run(0, 200)
    tracemalloc.start()
    try:
        early, late = run(200, 400), run(400, 1200)
    finally:
        tracemalloc.stop()
    assert late - early < 20_000
    assert len(it.state()) <= 16 + 1000


@every_method
@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda f: f.fuse(0, A, None), "in order"),
        (lambda f: f.fuse(-1, A, None), "in order|negative"),
        (lambda f: f.fuse(2, np.array([0.5, 0.5]), 0.5), "shape"),
        (lambda f: f.fuse(2, np.array([0.5, 0.6, 0.5]), 0.5), "no distribution"),
        (lambda f: f.fuse(2, np.array([np.nan, 0.5, 0.5]), 0.5), "no distribution"),
        (lambda f: f.fuse(2, np.array([1.5, -0.5, 0.0]), 0.5), "no distribution"),
        (lambda f: f.fuse(2, A, 1.5), "rho"),
        (lambda f: f.fuse(2, A, float("nan")), "rho"),
        (lambda f: f.reinforce(0, np.array([0.5, 0.5])), "shape"),
        (lambda f: f.reinforce(5, np.array([0.5, 0.5])), "shape"),
    ],
)
def test_what_is_no_answer_is_refused_in_words_and_changes_nothing(name: str, call, says) -> None:
    it = machine(name)
    it.fuse(0, soft(1), None)
    before = it.state()
    with pytest.raises(ValueError, match=says):
        call(it)
    assert it.state() == before


@every_method
def test_certain_answers_are_taken_as_they_come(name: str) -> None:
    """Vectors with zeros, edge and cloud flatly contradicting each other, and ρ of 0 and 1: no NaN, no refusal."""
    it = machine(name)
    answers = [A, A, B, C, A, B]
    for t, p in enumerate(answers):
        it.fuse(t, p, None if t == 0 else float(t % 2))
    revised = [r for t in (0, 3, 5) for r in it.reinforce(t, np.roll(answers[t], 1))]
    for r in [*revised, *it.finish()]:
        assert np.isfinite(r.p).all()
        assert abs(r.p.sum() - 1) < 1e-9


@every_method
def test_where_edge_and_cloud_agree_for_long_so_does_the_answer(name: str) -> None:
    it = machine(name)
    for t in range(20):
        answer = it.fuse(t, soft(2), 0.9 if t else None)
        if t % 6 == 0:
            it.reinforce(t, soft(2, 0.9))
    assert answer.label == "wave"
    assert {r.label for r in it.finish()} == {"wave"}


def test_the_default_is_the_papers() -> None:
    it = build_fusion(FusionSection(theta=0.3, remote_weight=0.9, horizon=7, anchor_beta="one"), stream="s", epoch=3)
    assert type(it).__name__ == "Fusion"
    assert (it.theta, it.remote_weight, it.horizon, it.anchor_beta, it.stream, it.epoch) == (0.3, 0.9, 7, "one", "s", 3)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("method", "says"),
    [
        (Plugin("magic"), "unknown fusion method 'magic'; known: .*exponential"),
        (Plugin("exponential", {"theta": 0.4}), "multiple values"),
        (Plugin("exponential", {"fallback_alpha": 1.0}), "fallback_alpha 1.0"),
        (Plugin("exponential", {"speed": 1}), "speed.*its options: .*fallback_alpha"),
    ],
)
def test_a_method_that_is_none_is_refused_in_words(method: Plugin, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        build_fusion(FusionSection(method=method))
