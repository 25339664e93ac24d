"""Filter policies: the paper's rule, and what all policies have in common."""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clownfish.errors import ConfigError
from clownfish.filters import FILTERS
from clownfish.filters.always import Always
from clownfish.filters.base import FilterPolicy, SeesLocal, Verdict
from clownfish.filters.budget import Budget
from clownfish.filters.context_aware import ContextAware
from clownfish.filters.drift import SILENCE, Drift
from clownfish.filters.never import Never
from clownfish.filters.periodic import Periodic
from clownfish.messages import Vector


def sent(policy: FilterPolicy, rhos: dict[int, float | None], answers: dict[int, Vector] | None = None) -> list[int]:
    """Windows that the policy sends when each ρ, and p_local where `answers` has it, comes before the next window."""
    chosen = []
    for t, rho in rhos.items():
        verdict = policy.on_window(t)
        if answers is not None and isinstance(policy, SeesLocal):
            transition = policy.on_local(t, rho, answers[t])
        else:
            transition = policy.on_rho(t, rho)
        if verdict is Verdict.SEND or (verdict is Verdict.WAIT and transition):
            chosen.append(t)
    return chosen


def steady(count: int, **changes: float) -> dict[int, float | None]:
    """ρ of `count` windows of one context; `t5=0.1` gives window 5 another."""
    rhos: dict[int, float | None] = dict.fromkeys(range(count), 0.9)
    rhos[0] = None
    return rhos | {int(name[1:]): rho for name, rho in changes.items()}


def test_n_w_is_a_period_windows_0_6_12_are_sent() -> None:
    assert sent(ContextAware(n_w=6), steady(14)) == [0, 6, 12]
    assert sent(Periodic(n_w=6), steady(14)) == [0, 6, 12]


def test_one_window_in_six_is_a_third_fewer_frames_than_each_frame_once() -> None:
    """DESIGN §5.1: 1 − 16 / (4 · 6)."""
    windows = 6000
    frames_sent = 16 * len(sent(ContextAware(n_w=6), steady(windows)))
    assert 1 - frames_sent / (4 * windows) == pytest.approx(0.333, abs=0.001)


def test_a_rise_of_one_half_is_a_transition_and_restarts_the_period() -> None:
    assert sent(ContextAware(n_w=6), steady(16, t3=0.2)) == [0, 4, 10]


def test_a_fall_is_no_transition() -> None:
    assert sent(ContextAware(n_w=100), steady(5, t3=0.0, t4=0.0)) == [0]


@pytest.mark.parametrize(("low", "rises"), [(0.25, True), (0.26, False)])
def test_the_rise_must_reach_its_bound(low: float, rises: bool) -> None:
    assert sent(ContextAware(n_w=100), steady(5, t2=low, t3=0.75)) == ([0, 3] if rises else [0])


def test_window_1_is_never_a_transition_because_rho_0_is_undefined() -> None:
    policy = ContextAware(n_w=100)
    assert sent(policy, {0: None, 1: 1.0, 2: 1.0}) == [0]


def test_an_undefined_rho_starts_the_chain_anew() -> None:
    """`local` was restarted: what it says next is not compared with what it said before."""
    assert sent(ContextAware(n_w=100), {0: None, 1: 0.1, 2: None, 3: 0.9, 4: 0.9}) == [0]


def test_with_gaps_the_previous_window_is_the_one_inferred_before() -> None:
    policy = ContextAware(n_w=100)
    for t in range(6):
        policy.on_window(t)
    assert [policy.on_rho(t, rho) for t, rho in ((0, None), (2, 0.1), (5, 0.8))] == [False, False, True]


def test_a_late_transition_does_not_shorten_the_period_of_a_later_window() -> None:
    policy = ContextAware(n_w=4)
    verdicts = [policy.on_window(t) for t in range(5)]
    assert [t for t, verdict in enumerate(verdicts) if verdict is Verdict.SEND] == [0, 4]
    policy.on_rho(1, 0.1)
    assert policy.on_rho(2, 0.9)
    assert [policy.on_window(t) for t in (6, 7, 8)] == [Verdict.WAIT, Verdict.WAIT, Verdict.SEND]


def test_after_a_gap_the_first_window_that_is_due_is_sent() -> None:
    assert sent(Periodic(n_w=6), dict.fromkeys((0, 4, 9, 10, 15), 0.9)) == [0, 9, 15]


def test_always_sends_all_and_never_none() -> None:
    assert sent(Always(), steady(5, t2=0.1)) == [0, 1, 2, 3, 4]
    assert sent(Never(), steady(5, t2=0.1)) == []


@pytest.mark.parametrize(
    ("policy", "options"),
    [
        (ContextAware, {"n_w": 0}),
        (ContextAware, {"n_w": 2.5}),
        (ContextAware, {"rise": 0.0}),
        (ContextAware, {"rise": 1.5}),
        (Periodic, {"n_w": -1}),
        (Drift, {"threshold": 0.0}),
        (Drift, {"threshold": 1.1}),
        (Drift, {"patience": -1}),
        (Drift, {"follow": 1.5}),
        (Drift, {"n_w": 0}),
        (Budget, {"share": 0.0}),
        (Budget, {"share": 1.5}),
        (Budget, {"span": 0}),
        (Budget, {"span": 4, "reserve": 3}),
    ],
)
def test_impossible_options_are_refused(policy: type, options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        policy(**options)


RHO_CHAINS = st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=60)


@pytest.mark.parametrize("name", FILTERS.names())
@given(rhos=RHO_CHAINS)
def test_every_policy_needs_no_options_answers_always_and_forgets_nothing_between_streams(
    name: str, rhos: list[float | None]
) -> None:
    make = FILTERS.get(name)
    chain = dict(enumerate(rhos))
    chosen = sent(make(), chain)
    assert chosen == sent(make(), chain)
    if rhos and name != "never":
        assert chosen[0] == 0, "a stream's first window is always sent"


@given(n_w=st.integers(1, 10), rhos=RHO_CHAINS)
def test_context_aware_never_leaves_more_than_a_period_between_two_sends(n_w: int, rhos: list[float | None]) -> None:
    chosen = [*sent(ContextAware(n_w), dict(enumerate(rhos))), len(rhos)]
    assert all(later - earlier <= n_w for earlier, later in itertools.pairwise(chosen))


WAVE, CLAP, HALF = np.array([0.9, 0.1]), np.array([0.1, 0.9]), np.array([0.5, 0.5])


def opinions(*runs: tuple[int, Vector]) -> dict[int, Vector]:
    """Local answers of windows 0, 1 …: so many of each."""
    return dict(enumerate(itertools.chain.from_iterable([answer] * count for count, answer in runs)))


def drifted(policy: Drift, answers: dict[int, Vector]) -> list[int]:
    return sent(policy, dict.fromkeys(answers, 0.9), answers)


def test_drift_sends_the_window_where_the_answer_has_left_that_of_the_last_one_sent() -> None:
    assert drifted(Drift(follow=0), opinions((5, WAVE), (9, CLAP))) == [0, 5]
    assert drifted(Drift(follow=0), opinions((5, WAVE), (4, CLAP), (4, WAVE))) == [0, 5, 9]


def test_drift_waits_until_the_answer_has_been_away_for_longer_than_its_patience() -> None:
    assert drifted(Drift(patience=2, follow=0), opinions((5, WAVE), (9, CLAP))) == [0, 7]
    assert drifted(Drift(patience=2, follow=0), opinions((5, WAVE), (2, CLAP), (9, WAVE))) == [0], (
        "it came back in time"
    )


def test_a_window_that_drift_sent_too_early_is_followed_by_one_inside_the_new_context() -> None:
    """Half of it is still the old context: the answer goes on moving, away from that anchor, too."""
    assert drifted(Drift(threshold=0.9, follow=0), opinions((5, WAVE), (2, HALF), (9, CLAP))) == [0, 5, 7]


def test_the_windows_that_follow_a_drift_are_sent_and_the_period_counts_from_the_last() -> None:
    assert drifted(Drift(follow=2, n_w=10), opinions((5, WAVE), (20, CLAP))) == [0, 5, 6, 7, 17]


def test_drift_in_a_steady_context_sends_once_a_period() -> None:
    assert drifted(Drift(n_w=10), opinions((25, WAVE))) == [0, 10, 20]


def test_where_the_window_sent_is_never_inferred_the_next_one_is_the_anchor() -> None:
    policy = Drift()
    assert policy.on_window(0) is Verdict.SEND
    assert [policy.on_local(t, None, p) for t, p in ((2, WAVE), (3, WAVE), (4, CLAP))] == [False, False, True]


def test_an_answer_older_than_the_window_sent_last_changes_nothing() -> None:
    policy = Drift(n_w=1)
    for t in range(1 + SILENCE + 1):
        policy.on_window(t)
    assert not policy.on_local(0, None, WAVE)
    assert not policy.on_local(5, 0.9, CLAP)


def test_drift_without_local_answers_still_sends_now_and_then() -> None:
    chosen = sent(Drift(n_w=10), dict.fromkeys(range(3 * (10 + SILENCE)), 0.1))
    assert chosen == [0, 10 + SILENCE, 2 * (10 + SILENCE)]


DISTRIBUTIONS = st.lists(
    st.lists(st.floats(0.01, 1), min_size=3, max_size=3).map(lambda v: np.array(v) / sum(v)), min_size=1, max_size=80
)


@given(answers=DISTRIBUTIONS, n_w=st.integers(1, 20), patience=st.integers(0, 3), follow=st.integers(0, 3))
def test_drift_never_leaves_more_than_a_period_between_two_sends(
    answers: list[Vector], n_w: int, patience: int, follow: int
) -> None:
    chosen = [*drifted(Drift(0.9, patience, follow, n_w), dict(enumerate(answers))), len(answers)]
    assert chosen[0] == 0
    assert all(later - earlier <= n_w for earlier, later in itertools.pairwise(chosen))


@given(answers=DISTRIBUTIONS, ahead=st.lists(st.integers(0, 6), min_size=80, max_size=80))
def test_what_drift_sends_does_not_depend_on_how_far_windows_run_ahead_of_answers(
    answers: list[Vector], ahead: list[int]
) -> None:
    known = dict(enumerate(answers))
    policy, formed, chosen = Drift(0.9, 0, 1, 10), 0, []
    for t, answer in known.items():
        while formed < len(answers) and formed <= t + ahead[t]:
            if policy.on_window(formed) is Verdict.SEND:
                chosen.append(formed)
            formed += 1
        if policy.on_local(t, None, answer):
            chosen.append(t)
    assert chosen == drifted(Drift(0.9, 0, 1, 10), known)


@given(
    answers=DISTRIBUTIONS,
    share=st.floats(0.05, 1.0),
    reserve=st.integers(4, 40),
    patience=st.integers(0, 2),
    follow=st.integers(0, 4),
)
def test_budget_sends_no_more_than_its_share_of_the_frames_and_the_first_window(
    answers: list[Vector], share: float, reserve: int, patience: int, follow: int
) -> None:
    chosen = drifted(Budget(share, reserve, patience, follow), dict(enumerate(answers)))
    frames = {frame for t in chosen for frame in range(4 * t, 4 * t + 16)}
    assert len(frames) <= 16 + share * 4 * len(answers)


def test_budget_asks_at_small_changes_while_it_is_rich_and_only_at_large_ones_when_it_is_poor() -> None:
    """The bucket of 16 is full after 32 windows; 12 are left after the first question, less than 4 after four more."""
    slightly, steady = np.array([0.8, 0.2]), (40, WAVE)
    policy = partial(Budget, share=0.5, reserve=16, patience=0, follow=0)
    assert drifted(policy(), opinions(steady, (4, slightly))) == [0, 40]
    poor = opinions(steady, (4, CLAP), (4, WAVE), (4, CLAP), (4, WAVE))
    assert drifted(policy(), poor) == [0, 40, 44, 48, 52]
    assert drifted(policy(), dict(enumerate([*poor.values(), *[slightly] * 4]))) == [0, 40, 44, 48, 52]
    assert drifted(policy(), dict(enumerate([*poor.values(), *[CLAP] * 4]))) == [0, 40, 44, 48, 52, 56]


def test_budget_spends_what_a_steady_stream_leaves_once_a_period() -> None:
    assert drifted(Budget(0.5, n_w=10), opinions((31, WAVE))) == [0, 10, 20, 30]
