"""FUSE and REINFORCE (§IV): one test for each equation, and the invariants of DESIGN §5.6 as properties."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clownfish.fusion import Fusion
from clownfish.messages import FusedResult

A, B, C = np.eye(3)


def soft(best: int, confidence: float = 0.8) -> np.ndarray:
    p = np.full(3, (1 - confidence) / 2)
    p[best] = confidence
    return p


# -- the equations ---------------------------------------------------------------------------------------------------


def test_eq_first_window_is_the_local_answer_with_beta_zero() -> None:
    result = Fusion().fuse(0, soft(1), None)
    assert np.array_equal(result.p, soft(1))
    assert (result.alpha, result.beta, result.revision, result.source) == (0.0, 0.0, 0, "local")


def test_eq_1_exponential_smoothing_with_alpha_one_half_where_beta_is_below_theta() -> None:
    fusion = Fusion(theta=0.5)
    fusion.fuse(0, soft(0), None)
    result = fusion.fuse(1, soft(1), 0.9)
    assert result.alpha == 0.5
    np.testing.assert_array_equal(result.p, 0.5 * soft(0) + 0.5 * soft(1))


def test_eq_3_alpha_is_rho_where_beta_is_at_least_theta() -> None:
    fusion = Fusion(theta=0.5)
    fusion.reinforce(0, A)
    first = fusion.fuse(0, A, None)
    result = fusion.fuse(1, soft(1), 0.9)
    assert first.beta == 1.0
    assert result.alpha == 0.9
    np.testing.assert_array_equal(result.p, 0.9 * first.p + (1 - 0.9) * soft(1))


def test_alg_1_beta_decays_by_alpha_in_both_branches() -> None:
    fusion = Fusion(theta=0.5)
    fusion.reinforce(0, A)
    betas = [fusion.fuse(0, A, None).beta]
    for t, rho in enumerate((0.8, 0.5, 0.9), start=1):
        betas.append(fusion.fuse(t, soft(1), rho).beta)
    # the third decays by the fallback 0.5, since 0.4 < theta
    np.testing.assert_allclose(betas, [1.0, 0.8, 0.4, 0.2])


def test_eq_5_an_anchor_is_one_third_local_and_two_thirds_remote() -> None:
    fusion = Fusion()
    fusion.fuse(0, soft(1), None)
    (revised,) = fusion.reinforce(0, soft(0, 0.9))
    np.testing.assert_allclose(revised.p, soft(1) / 3 + soft(0, 0.9) * 2 / 3)
    assert revised.beta == revised.p.max()
    assert (revised.source, revised.revision, revised.lag) == ("remote", 1, 0)


def test_eq_4_option_sets_beta_of_an_anchor_to_one() -> None:
    fusion = Fusion(anchor_beta="one")
    fusion.fuse(0, soft(1), None)
    (revised,) = fusion.reinforce(0, soft(0, 0.6))
    assert revised.beta == 1.0


def test_eq_2_option_remote_weight_one_gives_the_bare_remote_answer() -> None:
    fusion = Fusion(remote_weight=1)
    fusion.fuse(0, soft(1), None)
    (revised,) = fusion.reinforce(0, soft(0, 0.6))
    np.testing.assert_allclose(revised.p, soft(0, 0.6))


# -- REINFORCE -------------------------------------------------------------------------------------------------------


def test_a_late_result_revises_its_window_and_those_after_it_oldest_first() -> None:
    fusion = Fusion()
    for t in range(5):
        fusion.fuse(t, soft(1), 0.9 if t else None)
    revised = fusion.reinforce(2, A)
    assert [(r.t, r.revision, r.lag) for r in revised] == [(2, 1, 2), (3, 1, 2), (4, 1, 2)]
    assert [r.source for r in revised] == ["remote", "fused", "fused"]
    assert [r.label for r in revised] == ["0", "0", "0"]


def test_replay_stops_before_the_next_anchor() -> None:
    fusion = Fusion()
    for t in range(6):
        fusion.fuse(t, soft(1), 0.9 if t else None)
    fusion.reinforce(3, soft(2))
    assert [r.t for r in fusion.reinforce(1, A)] == [1, 2]


def test_a_result_that_comes_before_its_local_one_is_kept_for_it() -> None:
    fusion = Fusion()
    fusion.fuse(0, soft(1), None)
    assert fusion.reinforce(1, A) == []
    result = fusion.fuse(1, soft(1), 0.2)
    assert (result.source, result.revision, result.lag) == ("remote", 0, 0)


def test_a_result_for_a_window_that_local_inference_skipped_anchors_those_after_it() -> None:
    fusion = Fusion()
    fusion.fuse(0, soft(1), None)
    fusion.fuse(3, soft(1), 0.9)
    revised = fusion.reinforce(2, A)
    assert [r.t for r in revised] == [3], "the skipped window itself is never answered for"
    np.testing.assert_allclose(revised[0].p, 0.9 * A + (1 - 0.9) * soft(1))


def test_a_result_older_than_the_horizon_is_counted_as_late() -> None:
    fusion = Fusion(horizon=4)
    for t in range(6):
        fusion.fuse(t, soft(1), 0.9 if t else None)
    assert fusion.reinforce(1, A) == []
    assert fusion.late == 1
    assert [r.t for r in fusion.reinforce(2, A)] == [2, 3, 4, 5]


def test_a_second_result_for_a_window_changes_nothing() -> None:
    fusion = Fusion()
    fusion.fuse(0, soft(1), None)
    fusion.reinforce(0, A)
    before = fusion.state()
    assert fusion.reinforce(0, C) == []
    assert (fusion.state(), fusion.duplicate) == (before, 1)


def test_early_results_are_bounded_by_the_horizon() -> None:
    fusion = Fusion(horizon=4)
    for t in range(100):
        fusion.reinforce(t + 10, A)
    assert fusion.late == 96


def test_nothing_is_accepted_after_the_end() -> None:
    fusion = Fusion()
    fusion.fuse(0, soft(1), None)
    assert [(r.t, r.revision, r.final) for r in fusion.finish()] == [(0, 1, True)]
    assert fusion.reinforce(0, A) == []
    assert fusion.late == 1


def test_an_undefined_rho_falls_back_to_one_half() -> None:
    fusion = Fusion()
    fusion.reinforce(0, A)
    fusion.fuse(0, A, None)
    assert fusion.fuse(1, B, None).alpha == 0.5


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
    ],
)
def test_what_is_no_answer_is_refused_in_words_and_changes_nothing(call, says) -> None:
    fusion = Fusion()
    fusion.fuse(0, soft(1), None)
    before = fusion.state()
    with pytest.raises(ValueError, match=says):
        call(fusion)
    assert fusion.state() == before


# -- properties --------------------------------------------------------------------------------------------------------


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[tuple[int, np.ndarray, float | None]], dict[int, np.ndarray]]:
    """Local results of some windows of 0…19, and remote results for some windows, inferred or not."""

    def distribution() -> np.ndarray:
        p = np.array(draw(st.lists(st.floats(0.01, 1), min_size=3, max_size=3)))
        return p / p.sum()

    inferred = sorted(draw(st.sets(st.integers(0, 19), min_size=1)))
    sent = draw(st.sets(st.integers(0, max(inferred))))
    rho = [None, *(draw(st.floats(0, 1)) for _ in inferred[1:])]
    return [(t, distribution(), r) for t, r in zip(inferred, rho, strict=True)], {t: distribution() for t in sent}


def play(local, remote, order, horizon=64) -> tuple[Fusion, list[FusedResult]]:
    """Feed local results in order, with remote results mixed in: `order` lists what comes next."""
    fusion, emitted, left = Fusion(horizon=horizon), [], iter(local)
    for event in order:
        if event == "local":
            t, p, rho = next(left)
            emitted.append(fusion.fuse(t, p, rho))
            emitted += fusion.closed()
        else:
            emitted += fusion.reinforce(event, remote[event])
    return fusion, emitted


@given(streams(), st.randoms(use_true_random=False))
def test_any_order_of_arrivals_gives_one_state_to_the_bit(stream, random) -> None:
    local, remote = stream
    events = ["local"] * len(local) + list(remote)
    random.shuffle(events)
    shuffled, _ = play(local, remote, events)
    first_remote, _ = play(local, remote, [*remote, *["local"] * len(local)])
    last_remote, _ = play(local, remote, ["local"] * len(local) + sorted(remote, reverse=True))
    assert shuffled.state() == first_remote.state() == last_remote.state()


@given(streams(), st.integers(0, 10))
def test_a_late_result_leaves_the_state_that_an_on_time_one_leaves(stream, lag) -> None:
    local, remote = stream

    def order(lag: int):
        for t, _, _ in local:
            yield "local"
            yield from (s for s in sorted(remote) if s + lag <= t and s not in done)
            done.update(s for s in remote if s + lag <= t)
        yield from (s for s in sorted(remote) if s not in done)

    done: set[int] = set()
    on_time, _ = play(local, remote, order(0))
    done = set()
    late, _ = play(local, remote, order(lag))
    assert late.state() == on_time.state()


@given(streams(), st.randoms(use_true_random=False), st.integers(1, 8))
def test_what_is_emitted_keeps_the_result_contract(stream, random, horizon) -> None:
    local, remote = stream
    events = ["local"] * len(local) + list(remote)
    random.shuffle(events)
    fusion, emitted = play(local, remote, events, horizon)
    emitted += fusion.finish()
    assert [r.t for r in emitted if r.revision == 0] == [t for t, _, _ in local], "one live answer each, in order"
    for t, results in itertools.groupby(sorted(emitted, key=lambda r: r.t), key=lambda r: r.t):
        of_window = [r for r in emitted if r.t == t]
        assert [r.revision for r in of_window] == list(range(len(of_window))), "no revision twice, none backwards"
        assert [r.final for r in of_window] == [False] * (len(of_window) - 1) + [True]
        assert len(list(results)) == len(of_window)
    for r in emitted:
        assert abs(r.p.sum() - 1) < 1e-9
        assert 0 <= r.beta <= 1
        assert 0 <= r.alpha <= 1
        assert r.p.min() >= 0
        assert r.source == "remote" or (r.source == "fused") == (r.beta >= fusion.theta)
    assert fusion.applied + fusion.late + fusion.duplicate == len(remote)


@given(streams())
def test_with_every_window_sent_lag_zero_and_weight_one_the_fused_answers_are_the_remotes(stream) -> None:
    local, _ = stream
    fusion = Fusion(remote_weight=1)
    answers = {}
    for t, p, rho in local:
        answers[t] = fusion.fuse(t, p, rho)
        for revised in fusion.reinforce(t, np.roll(p, 1)):
            answers[revised.t] = revised
    for t, p, _ in local:
        np.testing.assert_allclose(answers[t].p, np.roll(p, 1))
