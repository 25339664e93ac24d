"""The ledger of a run of chaos finds every broken rule, and the strikes are those of the seed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clownfish.lab.chaos.ledger import ANSWERED, DIED, FULL, Ledger
from clownfish.lab.chaos.run import ChaosOptions, Outcome
from clownfish.lab.chaos.strikes import roles, strikes
from clownfish.messages import WindowKey


def key(t: int) -> WindowKey:
    return WindowKey("cam", 7, t)


def ledger(*offered: tuple[int, float]) -> Ledger:
    it = Ledger("e0", deadline_s=5.0)
    for t, at in offered:
        it.offered(key(t), at)
    return it


def test_windows_that_end_once_are_no_fault() -> None:
    it = ledger((0, 0.0), (1, 0.0), (2, 0.0))
    for what in ("offered", "sent", "answered", "ignored duplicate"):
        it.noted(key(0), what)
    it.answered(key(0), right=True)
    it.noted(key(1), "dropped expired")
    it.full(key(2))
    assert it.fates() == {ANSWERED: 1, "expired": 1, FULL: 1}
    assert it.faults == []


@pytest.mark.parametrize(
    ("happens", "fault"),
    [
        (lambda it: None, "was neither answered nor dropped"),
        (lambda it: it.noted(key(0), "answered"), "was noted as answered, and no answer came home"),
        (lambda it: [it.answered(key(0), True) for _ in range(2)], "was answered 2 times"),
        (lambda it: it.answered(key(0), False), "got the answer of another window"),
        (lambda it: it.answered(key(1), True), "was answered and never offered"),
        (lambda it: [it.noted(key(0), f"dropped {why}") for why in ("lost", "expired")], "ended twice: lost, then exp"),
        (lambda it: [it.noted(key(0), "dropped lost"), it.answered(key(0), True)], "was answered, and noted as lost"),
    ],
)
def test_every_broken_rule_is_a_fault(happens: object, fault: str) -> None:
    it = ledger((0, 0.0))
    happens(it)  # type: ignore[operator]
    it.fates()
    assert any(fault in each for each in it.faults), it.faults


def test_a_window_that_the_edge_held_when_it_was_killed_died_with_it() -> None:
    it = ledger((0, 8.0), (1, 11.0), (2, 13.0))
    it.killed(10.0)
    it.ready(12.0)
    it.noted(key(2), "dropped expired")
    assert it.fates() == {DIED: 2, "expired": 1}
    assert it.faults == []


def test_a_window_that_should_have_ended_before_the_kill_or_came_long_after_it_has_no_excuse() -> None:
    it = ledger((0, 1.0), (1, 20.0))
    it.killed(10.0)
    it.ready(12.0)
    it.fates()
    assert [fault.split()[2] for fault in it.faults] == ["0", "1"]


@given(edges=st.integers(1, 60), seed=st.integers(0, 1000))
def test_every_edge_has_one_role(edges: int, seed: int) -> None:
    who = roles(edges, seed)
    assert sorted(who.mortal + who.roaming + who.steady) == list(range(edges))
    assert who.steady
    assert who == roles(edges, seed)


def test_strikes_come_again_from_their_seed_and_hit_only_those_that_may_be_struck() -> None:
    who = roles(50, 1)
    found = strikes(600, 3.0, 4, who, seed=1)
    assert found == strikes(600, 3.0, 4, who, seed=1) != strikes(600, 3.0, 4, who, seed=2)
    assert 600 / 3.0 * 0.8 < len(found) < 600 / 3.0 * 1.2
    may = {"worker": range(4), "router": (0,), "edge": who.mortal, "roam": who.roaming}
    assert {strike.kind for strike in found} == set(may)
    assert all(strike.victim in may[strike.kind] for strike in found)
    assert [strike.at_s for strike in found] == sorted(strike.at_s for strike in found)


def test_edges_ask_together_for_as_much_more_than_the_workers_can_do_as_was_said() -> None:
    options = ChaosOptions(edges=50, workers=4, overload=1.5)
    assert 50 / options.period_s == pytest.approx(1.5 * 4 / 0.1)


@pytest.mark.parametrize(
    ("answers", "asked", "unfair"),
    [
        ([100, 100, 130], [200, 200, 200], True),
        ([110, 110, 85], [200, 200, 200], True),
        ([100, 100, 108], [200, 200, 200], False),
        ([100, 100, 130], [100, 100, 135], False),
        ([23, 23, 31], [50, 50, 50], False),
    ],
    ids=["more", "less", "alike", "each_as_it_asked", "too_few_to_tell"],
)
def test_edges_that_were_left_alone_share_what_there_is(answers: list[int], asked: list[int], unfair: bool) -> None:
    outcome = Outcome(ChaosOptions(), roles(8, 1), steady=answers, asked=asked)
    assert outcome.unfair is unfair
