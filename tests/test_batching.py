"""The worker's machine: batches bounded in size and time, no job past its deadline, each over exactly once."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from clownfish.batching import Batcher, Held


def batcher(size: int = 4, wait_s: float = 0.1, credit: int = 8, run_s: float = 0.0) -> Batcher[str, str]:
    """One that has run a batch, in `run_s`."""
    it: Batcher[str, str] = Batcher(size, wait_s, credit)
    add(it, 0, now=-9.0)
    assert taken(it, -9.0) == [0], "how long a run takes is not known yet: the first batch does not wait"
    it.finished(-9.0 + run_s)
    return it


def add(it: Batcher[str, str], *jobs: int, now: float = 0.0, deadline: float = 100.0) -> None:
    """Jobs come and are prepared at once."""
    for job in jobs:
        it.add(job, "raw", deadline, now)
        held = it.next_raw()
        assert held is not None
        it.prepared(held, "ready")


def taken(it: Batcher[str, str], now: float) -> list[int]:
    got = it.take(now)
    assert not got.expired
    return [held.job for held in got.batch]


# -- size and time ----------------------------------------------------------------------------------------------------


def test_a_full_batch_is_taken_at_once() -> None:
    it = batcher(size=2)
    add(it, 1, 2, 3)
    assert taken(it, 0.0) == [1, 2]


def test_a_batch_that_is_not_full_waits_for_its_first_job_s_time() -> None:
    it = batcher()
    add(it, 1)
    add(it, 2, now=0.05)
    assert taken(it, 0.09) == []
    assert it.next_timer() == 0.1
    assert taken(it, 0.1) == [1, 2]


@pytest.mark.parametrize(("size", "wait_s"), [(1, 0.1), (4, 0.0)])
def test_a_lone_job_does_not_wait_where_batches_are_of_one_or_may_not_wait(size: int, wait_s: float) -> None:
    it = batcher(size, wait_s)
    add(it, 1)
    assert taken(it, 0.0) == [1]


def test_no_batch_waits_for_more_jobs_than_the_worker_may_hold() -> None:
    it = batcher(size=8, credit=2)
    add(it, 1, 2)
    assert taken(it, 0.0) == [1, 2]


def test_while_the_model_works_jobs_gather_and_share_the_next_batch() -> None:
    it = batcher(wait_s=0.0)
    add(it, 1)
    assert taken(it, 0.0) == [1]
    for job in (2, 3, 4):
        add(it, job, now=job / 10)
        assert taken(it, job / 10) == []
    assert it.next_timer() == 100.0, "a deadline: there is no batch to take"
    assert [held.job for held in it.finished(0.5)] == [1]
    assert taken(it, 0.5) == [2, 3, 4]


def test_time_waited_while_the_model_worked_counts() -> None:
    it = batcher(wait_s=0.1)
    add(it, 1)
    assert taken(it, 0.1) == [1]
    add(it, 2, now=0.2)
    it.finished(5.0)
    assert taken(it, 5.0) == [2]


# -- deadlines --------------------------------------------------------------------------------------------------------


def test_a_batch_leaves_its_jobs_twice_the_time_that_the_last_run_took() -> None:
    it = batcher(wait_s=10.0, run_s=0.25)
    add(it, 5, now=1.0, deadline=2.0)
    add(it, 6, now=1.0)
    assert it.next_timer() == 1.5
    assert taken(it, 1.4) == []
    assert taken(it, 1.5) == [5, 6]


@pytest.mark.parametrize("prepared", [True, False])
def test_an_expired_job_never_reaches_the_model(prepared: bool) -> None:
    it = batcher(wait_s=0.0)
    if prepared:
        add(it, 1, deadline=1.0)
    else:
        it.add(1, "raw", 1.0, 0.0)
    add(it, *([2] if prepared else []), deadline=9.0)
    got = it.take(1.0)
    assert (got.expired, [held.job for held in got.batch]) == ([1], [2] if prepared else [])
    assert it.next_raw() is None


def test_a_job_that_expires_while_the_model_works_is_told_then() -> None:
    it = batcher(size=1)
    add(it, 1, 2, deadline=1.0)
    assert taken(it, 0.0) == [1]
    assert it.next_timer() == 1.0
    assert it.take(1.0).expired == [2]


# -- what goes wrong --------------------------------------------------------------------------------------------------


def test_a_job_that_cannot_be_prepared_fails_alone() -> None:
    it = batcher(size=3, wait_s=0.0)
    for job in (1, 2, 3):
        it.add(job, "raw", 9.0, 0.0)
    for job in (1, 2, 3):
        held = it.next_raw()
        assert held is not None
        assert held.job == job
        if job == 2:
            assert it.unreadable(held)
        else:
            it.prepared(held, "ready")
    assert taken(it, 0.0) == [1, 3]


def test_what_is_forgotten_is_answered_to_nobody_and_a_job_of_the_same_number_is_another() -> None:
    it = batcher(size=1)
    add(it, 1, 2)
    assert taken(it, 0.0) == [1]
    it.add(3, "raw", 9.0, 0.0)
    preparing = it.next_raw()
    assert preparing is not None
    assert it.in_work == [1]
    it.clear()
    assert it.in_work == []
    assert it.busy, "the model cannot be called back"
    add_again = [1, 3]
    it.prepared(preparing, "ready")
    add(it, *add_again)
    assert it.finished(1.0) == []
    assert taken(it, 1.0) == [1]
    it.finished(1.0)
    assert taken(it, 1.0) == [3]


def test_an_unreadable_job_that_is_forgotten_is_told_to_nobody() -> None:
    it = batcher()
    it.add(1, "raw", 9.0, 0.0)
    held = it.next_raw()
    assert held is not None
    it.clear()
    assert not it.unreadable(held)


@pytest.mark.parametrize("arguments", [(0, 0.0, 1), (1, 0.0, 0), (1, -1.0, 1), (1, float("nan"), 1)])
def test_a_batch_without_room_or_time_is_a_bug_told_at_once(arguments: tuple[int, float, int]) -> None:
    with pytest.raises(ValueError, match="a batch needs room"):
        Batcher(*arguments)


# -- everything in any order ------------------------------------------------------------------------------------------


class AnyOrder(RuleBasedStateMachine):
    """Jobs come, are prepared or not, expire and are forgotten in any order, with a shell that keeps its timers."""

    @initialize(size=st.integers(1, 4), wait_s=st.sampled_from([0.0, 0.5, 2.0]), credit=st.integers(1, 6))
    def begin(self, size: int, wait_s: float, credit: int) -> None:
        self.it: Batcher[float, str] = Batcher(size, wait_s, credit)
        self.size, self.wait_s, self.credit = size, wait_s, credit
        self.now, self.number, self.run_s = 0.0, 0, 0.0
        self.preparing: Held[float, str] | None = None
        self.running: list[int] = []
        self.open: dict[int, float] = {}
        """Jobs that somebody waits for, and when each was prepared; inf: not yet."""
        self.free = 0.0
        """When the model became free."""

    def step(self) -> None:
        got = self.it.take(self.now)
        for job in got.expired:
            del self.open[job]  # a KeyError is a job that is over twice
        if got.batch:
            assert not self.running
            assert len(got.batch) <= min(self.size, self.credit)
            assert all(held.deadline > self.now for held in got.batch)
            self.running = [held.job for held in got.batch]
            self.began = self.now
            # whoever waits longest went first, and not later than the bound, the model's own time left out
            first = got.batch[0]
            assert self.now <= max(self.free, self.open[first.job], first.came + self.wait_s)

    @rule(step=st.floats(0.0, 1.0))
    def time_passes(self, step: float) -> None:
        until = self.now + step
        while (due := self.it.next_timer()) is not None and due <= until:
            self.now = max(self.now, due)
            self.step()
            again = self.it.next_timer()
            assert again is None or again > self.now, "a timer that decides nothing would be called for ever"
        self.now = until

    @rule(left=st.floats(0.01, 5.0))
    def comes(self, left: float) -> None:
        if len(self.open) < self.credit:
            self.number += 1
            self.open[self.number] = float("inf")
            self.it.add(self.number, self.now, self.now + left, self.now)

    @rule()
    def begin_to_prepare(self) -> None:
        if self.preparing is None:
            self.preparing = self.it.next_raw()

    @rule(well=st.booleans())
    def end_preparing(self, well: bool) -> None:
        held, self.preparing = self.preparing, None
        if held is None:
            return
        if well:
            self.it.prepared(held, "ready")
            if held.job in self.open:
                self.open[held.job] = self.now
        elif self.it.unreadable(held):
            del self.open[held.job]
        self.step()

    @rule()
    def model_returns(self) -> None:
        if self.running:
            wanted = [held.job for held in self.it.finished(self.now)]
            assert wanted == [job for job in self.running if job in self.open]
            for job in wanted:
                del self.open[job]
            self.running, self.free = [], self.now
            self.step()

    @rule()
    def router_goes(self) -> None:
        self.it.clear()
        self.open.clear()

    @invariant()
    def holds(self) -> None:
        assert self.it.busy == bool(self.running)
        assert self.it.in_work == [job for job in self.running if job in self.open]

    def teardown(self) -> None:
        for _ in range(40):
            self.begin_to_prepare()
            self.end_preparing(True)
            self.model_returns()
            self.time_passes(1.0)
        assert not self.open


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
