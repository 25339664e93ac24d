"""Which workers a pool starts, drains and replaces, on a virtual clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from clownfish.crew import Crew, Drain, Start


def test_as_many_are_started_as_are_wanted_each_with_a_name_of_its_own() -> None:
    crew = Crew("w-")
    assert crew.want(2, 0.0) == [Start("w-0"), Start("w-1")]
    assert crew.want(2, 1.0) == []
    assert (crew.count("starting"), crew.count("ready")) == (2, 0)


def test_the_newest_goes_first_and_before_all_who_does_not_work_yet() -> None:
    crew = Crew("w-")
    crew.want(3, 0.0)
    crew.ready("w-1", 1.0)
    crew.ready("w-2", 1.0)
    assert crew.want(1, 2.0) == [Drain("w-0"), Drain("w-2")]
    assert crew.ended("w-0", 3.0) == []
    assert crew.ended("w-2", 3.0) == []
    assert (crew.count("ready"), crew.count("draining"), crew.lost) == (1, 0, 0)


def test_one_that_was_lost_is_replaced_after_a_back_off() -> None:
    crew = Crew("w-", backoff_s=0.5)
    crew.want(1, 0.0)
    crew.ready("w-0", 1.0)
    assert crew.ended("w-0", 20.0) == []
    assert crew.next_timer() == 20.5
    assert crew.timer(20.4) == []
    assert crew.timer(20.5) == [Start("w-1")]
    assert crew.lost == 1
    assert crew.next_timer() is None


def test_the_back_off_grows_with_each_that_never_worked_for_long_and_begins_anew_after_one_that_did() -> None:
    crew, now, waits = Crew("w-", backoff_s=0.5, max_backoff_s=3.0), 0.0, []
    crew.want(1, now)
    for i in range(5):
        crew.ended(f"w-{i}", now)
        due = crew.next_timer()
        assert due is not None
        waits.append(due - now)
        now = due
        assert crew.timer(now) == [Start(f"w-{i + 1}")]
    assert waits == [0.5, 1.0, 2.0, 3.0, 3.0]
    crew.ready("w-5", now)
    crew.ended("w-5", now + 11)
    assert crew.next_timer() == now + 11.5


def test_what_is_said_of_one_that_is_not_known_any_more_changes_nothing() -> None:
    crew = Crew("w-")
    crew.want(1, 0.0)
    crew.ready("w-9", 1.0)
    assert crew.ended("w-9", 1.0) == []
    assert (crew.count("starting"), crew.lost) == (1, 0)


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="back-off"):
        Crew("w-", backoff_s=0)
    with pytest.raises(ValueError, match="-1"):
        Crew("w-").want(-1, 0.0)


class CrewMachine(RuleBasedStateMachine):
    """Any order of wishes, readiness and ends."""

    def __init__(self) -> None:
        super().__init__()
        self.crew = Crew("w-")
        self.now = 0.0
        self.told: dict[str, str] = {}
        """Name → "started" or "drained"; who has ended is gone."""
        self.names: set[str] = set()

    def follow(self, instructions: list[Start | Drain]) -> None:
        for each in instructions:
            if isinstance(each, Start):
                assert each.name not in self.names, "a name is used once"
                self.names.add(each.name)
                self.told[each.name] = "started"
            else:
                assert self.told[each.name] == "started", "only one that runs is drained, and once"
                self.told[each.name] = "drained"

    @rule(wanted=st.integers(0, 5), passed=st.floats(0, 5))
    def want(self, wanted: int, passed: float) -> None:
        self.now += passed
        self.follow(self.crew.want(wanted, self.now))

    @precondition(lambda self: self.told)
    @rule(data=st.data(), passed=st.floats(0, 15))
    def end(self, data: st.DataObject, passed: float) -> None:
        self.now += passed
        name = data.draw(st.sampled_from(sorted(self.told)))
        del self.told[name]
        self.follow(self.crew.ended(name, self.now))

    @precondition(lambda self: self.told)
    @rule(data=st.data())
    def ready(self, data: st.DataObject) -> None:
        self.crew.ready(data.draw(st.sampled_from(sorted(self.told))), self.now)

    @rule()
    def timer(self) -> None:
        due = self.crew.next_timer()
        if due is not None:
            self.now = max(self.now, due)
            self.follow(self.crew.timer(self.now))
            assert self.crew.next_timer() is None, "when the back-off is over, nobody is missing"

    @invariant()
    def counts_agree(self) -> None:
        staying = sum(state == "started" for state in self.told.values())
        assert staying <= self.crew.target
        assert staying == self.crew.count("starting") + self.crew.count("ready")
        assert len(self.told) - staying == self.crew.count("draining")
        assert (self.crew.next_timer() is not None) == (staying < self.crew.target)


TestCrewMachine = CrewMachine.TestCase


@given(st.integers(0, 50), st.integers(0, 50))
def test_from_any_number_to_any_other_takes_as_many_steps_as_they_differ(first: int, second: int) -> None:
    crew = Crew("w-")
    crew.want(first, 0.0)
    assert len(crew.want(second, 1.0)) == abs(first - second)
