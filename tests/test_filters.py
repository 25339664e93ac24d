"""Filter policies: the paper's rule, and what all policies have in common."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clownfish.errors import ConfigError
from clownfish.filters import FILTERS
from clownfish.filters.always import Always
from clownfish.filters.base import FilterPolicy, Verdict
from clownfish.filters.context_aware import ContextAware
from clownfish.filters.never import Never
from clownfish.filters.periodic import Periodic


def sent(policy: FilterPolicy, rhos: dict[int, float | None]) -> list[int]:
    """Windows that the policy sends when each ρ comes before the next window."""
    chosen = []
    for t, rho in rhos.items():
        verdict = policy.on_window(t)
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
