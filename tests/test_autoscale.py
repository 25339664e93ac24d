"""How many workers a router needs: on a virtual clock, with a queue that is worked off by as many as there are."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clownfish.autoscale import Autoscaler, Load

QUIET = Load(0, 0, 0, 0)


def scaler(**changes: float) -> Autoscaler:
    rules = {"least": 1, "most": 8, "up_delay_s": 0.2, "up_after_s": 2, "down_after_s": 20, "cooldown_s": 5}
    return Autoscaler(**{**rules, **changes})  # type: ignore[arg-type]


@dataclass
class Queue:
    """Windows come at a rate and wait for workers that take `service_s` each; they are dropped after `deadline_s`."""

    service_s: float = 0.1
    deadline_s: float = 4.0
    waiting: float = 0.0
    answered: float = 0.0
    missed: float = 0.0

    def second(self, arriving: float, workers: int) -> Load:
        could = workers / self.service_s
        served = min(self.waiting + arriving, could)
        self.answered += served
        self.waiting += arriving - served
        over = max(0.0, self.waiting - self.deadline_s * max(could, 1.0))
        self.missed += over
        self.waiting -= over
        return Load(
            round(self.waiting), round(min(workers, served * self.service_s)), int(self.answered), int(self.missed)
        )


def drive(it: Autoscaler, seconds: int, arriving: float, queue: Queue, begin: int = 0) -> list[int]:
    """The targets, second by second; each worker that is asked for works in the next second."""
    return [it.see(queue.second(arriving, it.target), it.target, float(begin + i)) for i in range(seconds)]


def test_a_queue_that_stays_long_asks_for_more_workers() -> None:
    it = scaler()
    targets = drive(it, 40, 25.0, Queue())
    assert targets[0] == 1
    assert targets[-1] in (3, 4), "25 windows a second of 100 ms each keep two and a half busy, and the queue is long"


def test_a_short_burst_asks_for_nothing() -> None:
    it, queue = scaler(), Queue()
    assert drive(it, 1, 15.0, queue) == [1]
    assert set(drive(it, 10, 1.0, queue, begin=1)) == {1}


def test_missed_deadlines_alone_ask_for_more() -> None:
    """Nothing waits when the router looks, and yet windows come too late."""
    it = scaler()
    targets = [it.see(Load(0, 1, 10 * i, i), it.target, float(i)) for i in range(8)]
    assert targets[-1] == 2


def test_a_queue_of_which_nothing_is_answered_counts_as_long() -> None:
    it = scaler()
    assert [it.see(Load(1, 0, 0, 0), 1, float(i)) for i in range(7)] == [1, 1, 1, 1, 1, 2, 2]
    assert scaler().delay_s == 0.0


def test_idle_workers_go_one_by_one_down_to_the_least() -> None:
    it, queue = scaler(least=2), Queue()
    drive(it, 60, 60.0, queue)
    assert it.target >= 6
    targets = drive(it, 300, 0.5, queue, begin=60)
    steps = {before - after for before, after in pairwise(targets)}
    assert steps == {0, 1}
    assert targets[-1] == 2


def test_with_a_least_of_none_the_last_worker_goes_only_when_nothing_at_all_came() -> None:
    it = scaler(least=0)
    assert set(drive(it, 100, 1.0, Queue())) == {1}
    assert drive(it, 50, 0.0, Queue(), begin=200)[-1] == 0
    assert drive(it, 10, 5.0, Queue(), begin=250)[-1] == 1, "and the first window brings it back"


def test_no_more_are_asked_for_while_those_asked_for_still_load_their_model() -> None:
    it = scaler(patience_s=60)
    load = [Load(50, 2, 10 * i, 0) for i in range(100)]
    targets = [it.see(each, 1, float(i)) for i, each in enumerate(load)]
    assert targets[50] == 2
    assert targets[70] == 3, "but not for ever: the host that should start one may have no room"


def test_silence_changes_nothing_and_is_not_idleness() -> None:
    it, queue = scaler(), Queue()
    drive(it, 30, 35.0, queue)
    before = it.target
    assert before > 1
    assert it.see(queue.second(0, before), before, 500.0) == before


def test_a_router_that_counts_from_nothing_again_is_looked_at_afresh() -> None:
    it = scaler()
    for i in range(30):
        it.see(Load(0, 2, 1000 + i, 7), 1, float(i))
    assert it.see(Load(0, 0, 0, 0), 1, 30.0) == 1
    assert it.delay_s == 0.0


@pytest.mark.parametrize(
    "changes", [{"least": 3, "most": 2}, {"least": 0, "most": 0}, {"down_load": 1.0}, {"cooldown_s": -1}]
)
def test_bounds_that_contradict_each_other_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"bounds|down_load"):
        scaler(**changes)


@settings(deadline=None, max_examples=30)
@given(
    arriving=st.just(0.0) | st.floats(0.2, 200),
    service_s=st.floats(0.01, 0.5),
    least=st.integers(0, 3),
    spread=st.integers(0, 8),
)
def test_under_a_load_that_stays_the_same_it_comes_to_rest(
    arriving: float, service_s: float, least: int, spread: int
) -> None:
    """It goes up to what the load needs, and does not swing. (With fewer than one window in `down_after_s` it may go
    down to none, and come back with each.)"""
    it, queue = scaler(least=least, most=max(1, least + spread)), Queue(service_s)
    drive(it, 200, arriving, queue)
    ups = it.ups
    targets = drive(it, 500, arriving, queue, begin=200)
    assert it.ups == ups, "once it had enough, it never took one away that it missed"
    assert len(set(targets[400:])) == 1


loads = st.lists(
    st.tuples(
        st.floats(0.01, 30), st.integers(0, 100), st.integers(0, 20), st.integers(-5, 50), st.integers(-2, 3),
        st.integers(0, 10),
    ),
    max_size=120,
)  # fmt: skip


@given(loads, st.integers(0, 3), st.integers(0, 6))
def test_whatever_is_said_the_bounds_hold_and_changes_keep_their_distance(
    steps: list[tuple[float, int, int, int, int, int]], least: int, spread: int
) -> None:
    it = scaler(least=least, most=max(1, least + spread))
    now, answered, missed, changed = 0.0, 100, 10, None
    for passed, waiting, held, more, missing, ready in steps:
        now, answered, missed = now + passed, max(0, answered + more), max(0, missed + missing)
        before = it.target
        after = it.see(Load(waiting, held, answered, missed), ready, now)
        assert it.least <= after <= it.most
        if after != before:
            assert changed is None or now - changed >= 5, "the cool-down"
            assert after < before or after - before <= max(1, before // 2)
            if after < before:
                assert after == before - 1
                assert changed is None or now - changed >= 20, "nobody goes before it was idle long enough"
            changed = now
