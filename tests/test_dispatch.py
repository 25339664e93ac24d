"""The router's machine: who gets which job, what becomes of it when workers fail, and that every job ends just once."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from clownfish.canary import Canary, Mode
from clownfish.dispatch import WorkerPool
from clownfish.jobs import Answered, AskReady, Assign, Drop, Evicted, Instruction
from clownfish.messages import WindowKey

CLASSES = ("run", "jump")
W1, W2, W3 = b"w1", b"w2", b"w3"
E1, E2 = b"e1", b"e2"


def key(t: int, stream: str = "door") -> WindowKey:
    return WindowKey(stream, 7, t)


def pool_of(*workers: bytes, credit: int = 1, capacity: int = 16, memory: int = 1024) -> WorkerPool[str]:
    """A pool with lease 1 s and liveness 3 s."""
    pool: WorkerPool[str] = WorkerPool(capacity, lease_s=1.0, liveness_s=3.0, memory=memory)
    for worker in workers:
        assert ready(pool, worker, credit) == []
    return pool


def ready(pool: WorkerPool[str], worker: bytes, credit: int = 1, now: float = 0.0) -> list[Instruction[str]]:
    todo = pool.ready(worker, worker.decode(), "big", CLASSES, credit, now)
    pool.validate()
    return todo


def submit(
    pool: WorkerPool[str], t: int, edge: bytes = E1, stream: str = "door", deadline: float = 100.0, now: float = 0.0
) -> list[Instruction[str]]:
    todo = pool.submit(edge, key(t, stream), CLASSES, f"{stream}{t}", deadline, now)
    pool.validate()
    return todo


def assigned(todo: list[Instruction[str]]) -> list[tuple[bytes, int]]:
    return [(each.worker, each.key.t) for each in todo if isinstance(each, Assign)]


def job_of(todo: list[Instruction[str]]) -> int:
    (assign,) = [each for each in todo if isinstance(each, Assign)]
    return assign.job


# -- the plain course -------------------------------------------------------------------------------------------------


def test_a_job_goes_to_a_ready_worker_and_its_answer_to_its_edge() -> None:
    pool = pool_of(W1)
    assert submit(pool, 0) == [Assign(W1, 1, E1, key(0), "door0", 100.0)]
    assert pool.finished(W1, 1, True, 0.5) == [Answered(E1, key(0), 1, "big", 0.5)]
    assert (pool.submitted, pool.answered, pool.waiting, pool.held) == (1, 1, 0, 0)
    pool.validate()


def test_a_job_waits_until_a_worker_is_ready() -> None:
    pool = pool_of()
    assert submit(pool, 0) == []
    assert assigned(ready(pool, W1)) == [(W1, 0)]


def test_a_worker_holds_no_more_than_its_credit() -> None:
    pool = pool_of(W1, credit=2)
    assert [assigned(submit(pool, t)) for t in range(3)] == [[(W1, 0)], [(W1, 1)], []]
    assert assigned(pool.finished(W1, 1, True, 0.1)) == [(W1, 2)]


def test_a_boundless_credit_is_cut_down() -> None:
    pool: WorkerPool[str] = WorkerPool(16, 1.0, 3.0, max_credit=3)
    ready(pool, W1, credit=10**9)
    for t in range(5):
        submit(pool, t)
    assert (pool.held, pool.waiting) == (3, 2)


def test_the_worker_that_holds_least_is_chosen() -> None:
    pool = pool_of(W1, W2, credit=3)
    assert [assigned(submit(pool, t))[0][0] for t in range(4)] == [W1, W2, W1, W2]


def test_a_window_asked_for_twice_by_one_session_is_answered_once() -> None:
    pool = pool_of(W1)
    job = job_of(submit(pool, 0))
    assert submit(pool, 0) == []
    assert (pool.repeated, pool.submitted) == (1, 1)
    assert len(pool.finished(W1, job, True, 0.1)) == 1


def test_two_sessions_may_ask_for_the_same_window() -> None:
    pool = pool_of(W1, W2)
    assert assigned(submit(pool, 0, E1)) == [(W1, 0)]
    assert assigned(submit(pool, 0, E2)) == [(W2, 0)]


# -- classes ----------------------------------------------------------------------------------------------------------


def test_only_a_worker_with_the_same_classes_in_the_same_order_serves_an_edge() -> None:
    pool = pool_of(W1)
    assert pool.submit(E1, key(0), ("jump", "run"), "", 100.0, 0.0) == []
    todo = pool.ready(W2, "two", "big", ("jump", "run"), 1, 0.0)
    assert assigned(todo) == [(W2, 0)]


def test_why_an_edge_is_refused_is_said_in_words() -> None:
    pool = pool_of()
    assert pool.why_refused(("swim",)) is None, "a worker that can may still come"
    ready(pool, W1)
    assert pool.why_refused(CLASSES) is None
    words = "no worker that is ready has the edge's classes; nearest is worker 'w1', whose model 'big'"
    assert pool.why_refused(("run", "swim")) == f"{words} lacks 'swim' and adds 'jump'"
    assert pool.why_refused(("jump", "run")) == (
        f"{words} has the classes in another order: class 0 is 'run' there and 'jump' here"
    )


# -- order ------------------------------------------------------------------------------------------------------------


def test_within_a_stream_the_earliest_deadline_goes_first() -> None:
    pool = pool_of()
    for t, deadline in enumerate((30.0, 10.0, 20.0)):
        submit(pool, t, deadline=deadline)
    assert [t for _, t in assigned(ready(pool, W1, credit=3))] == [1, 2, 0]


def test_edges_take_turns_and_an_edge_s_streams_in_its_own_whatever_their_deadlines() -> None:
    pool = pool_of()
    for t in range(3):
        submit(pool, t, E1, "hungry", deadline=10.0 + t)
    submit(pool, 0, E1, "calm", deadline=90.0)
    for t in range(2):
        submit(pool, t, E2, "hungry", deadline=95.0 + t)
    todo = ready(pool, W1, credit=6)
    order = [(each.edge, each.key.stream, each.key.t) for each in todo if isinstance(each, Assign)]
    assert order[:4] == [(E1, "hungry", 0), (E2, "hungry", 0), (E1, "calm", 0), (E2, "hungry", 1)]
    assert order[4:] == [(E1, "hungry", 1), (E1, "hungry", 2)]


def test_the_sessions_of_one_owner_share_its_turns() -> None:
    pool: WorkerPool[str] = WorkerPool(16, 1.0, 3.0, owner=lambda edge: edge[:1])
    for t in range(2):
        for edge in (b"a1", b"a2", b"b1"):
            submit(pool, t, edge)
    order = [each.edge for each in ready(pool, W1, credit=6) if isinstance(each, Assign)]
    assert order == [b"a1", b"b1", b"a2", b"b1", b"a1", b"a2"]


def test_a_hungry_stream_cannot_starve_a_calm_one() -> None:
    """One worker, many jobs of one stream always waiting, one or two of another: each has every second turn."""
    pool = pool_of(W1, capacity=32)
    served: Counter[str] = Counter()
    todo: list[Instruction[str]] = []
    hungry = calm = 0
    for step in range(40):
        while hungry < step + 8:
            todo += submit(pool, hungry, E1, "hungry")
            hungry += 1
        while calm < served["calm"] + 2:
            todo += submit(pool, calm, E1, "calm")
            calm += 1
        (assign,) = [each for each in todo if isinstance(each, Assign)]
        served[assign.key.stream] += 1
        todo = pool.finished(W1, assign.job, True, 0.0)
    assert served["hungry"] - served["calm"] <= 2, (
        "one turn at the start, when nobody else had asked, and one at the end"
    )


def test_when_full_the_longest_line_loses_its_earliest_deadline() -> None:
    pool = pool_of(capacity=3)
    submit(pool, 0, E1, "calm", deadline=5.0)
    submit(pool, 1, E1, "hungry", deadline=7.0)
    submit(pool, 2, E1, "hungry", deadline=6.0)
    assert submit(pool, 3, E1, "hungry", deadline=9.0) == [Drop(E1, key(2, "hungry"), "superseded")]
    assert pool.waiting == 3


def test_a_full_queue_drops_nothing_that_a_worker_can_take() -> None:
    pool = pool_of(capacity=1)
    submit(pool, 0)
    ready(pool, W1, credit=2)
    assert assigned(submit(pool, 1)) == [(W1, 1)]
    assert pool.drops == {}


# -- deadlines --------------------------------------------------------------------------------------------------------


def test_a_job_past_its_deadline_is_not_taken_in() -> None:
    assert submit(pool_of(W1), 0, deadline=1.0, now=1.0) == [Drop(E1, key(0), "expired")]


def test_overdue_work_is_dropped_before_it_is_assigned() -> None:
    pool = pool_of()
    submit(pool, 0, deadline=1.0)
    submit(pool, 1, deadline=9.0)
    todo = ready(pool, W1, now=2.0)
    assert todo == [Drop(E1, key(0), "expired"), Assign(W1, 2, E1, key(1), "door1", 9.0)]


def test_the_timer_drops_overdue_work() -> None:
    pool = pool_of()
    submit(pool, 0, deadline=1.0)
    assert pool.next_timer() == 1.0
    assert pool.timer(1.0) == [Drop(E1, key(0), "expired")]
    assert pool.next_timer() is None


# -- workers that fail ------------------------------------------------------------------------------------------------


def test_a_worker_that_says_nothing_is_evicted_as_silent() -> None:
    pool = pool_of(W1)
    assert pool.progress(W1, 0, 2.0) == []
    assert pool.next_timer() == 5.0
    assert pool.timer(4.9) == []
    assert pool.timer(5.0) == [Evicted(W1, "w1", "silent")]
    assert (pool.workers, pool.evictions) == (0, {"silent": 1})


def test_a_result_is_a_sign_of_life() -> None:
    pool = pool_of(W1)
    submit(pool, 0, now=2.5)
    pool.finished(W1, 1, True, 2.9)
    assert pool.next_timer() == 5.9


def test_a_worker_that_beats_but_finishes_nothing_is_hung_and_its_window_goes_to_another() -> None:
    pool = pool_of(W1, W2)
    submit(pool, 0)
    for now in (0.3, 0.6, 0.9):
        pool.progress(W1, 0, now)
        pool.progress(W2, 0, now)
    assert pool.next_timer() == 1.0
    todo = pool.timer(1.0)
    assert todo[0] == Evicted(W1, "w1", "hung")
    assert assigned(todo) == [(W2, 0)]
    pool.validate()


def test_a_worker_that_advances_keeps_its_lease() -> None:
    pool = pool_of(W1, credit=3)
    for t in range(3):
        submit(pool, t)
    pool.finished(W1, 1, True, 0.9)
    assert pool.timer(1.5) == []
    assert pool.progress(W1, 2, 1.7) == []
    pool.finished(W1, 2, True, 1.8)
    assert pool.timer(2.7) == []
    assert pool.timer(2.8)[0] == Evicted(W1, "w1", "hung")


def test_progress_in_a_job_s_place_keeps_the_lease_until_its_own_runs_out() -> None:
    """`done` rises although nothing is returned: a slow road for answers is not a hung worker, a lost answer is."""
    pool = pool_of(W1, credit=2)
    submit(pool, 0)
    submit(pool, 1)
    pool.finished(W1, 1, True, 0.5)
    pool.progress(W1, 2, 1.2)
    assert pool.timer(1.6) == []
    assert pool.timer(2.0)[0] == Evicted(W1, "w1", "hung")


def test_a_worker_idle_for_long_gets_a_whole_lease_for_its_next_job() -> None:
    pool = pool_of(W1)
    pool.progress(W1, 0, 50.0)
    submit(pool, 0, now=50.0)
    assert pool.timer(50.9) == []


def test_a_worker_that_swallows_one_job_and_does_others_is_hung() -> None:
    pool = pool_of(W1, credit=2)
    submit(pool, 0)
    now, t, jobs = 0.0, 1, {}
    while pool.workers:
        jobs = {each.job: each for each in submit(pool, t, now=now) if isinstance(each, Assign)}
        now, t = now + 0.4, t + 1
        for job in jobs:
            pool.finished(W1, job, True, now)
        pool.timer(now)
        assert now < 3.0
    assert pool.evictions == {"hung": 1}


def test_an_evicted_worker_that_speaks_again_is_asked_for_ready() -> None:
    pool = pool_of(W1)
    pool.timer(3.0)
    assert pool.progress(W1, 4, 3.1) == [AskReady(W1)]
    assert pool.finished(W1, 1, True, 3.1) == [AskReady(W1)]
    assert ready(pool, W1, now=3.2) == []
    assert pool.progress(W1, 0, 3.3) == []


def test_an_answer_after_the_lease_was_lost_is_stale_and_the_window_is_answered_once() -> None:
    pool = pool_of(W1, W2)
    job = job_of(submit(pool, 0))
    pool.gone(W1, 0.5)
    assert pool.finished(W1, job, True, 0.6) == [AskReady(W1)]
    assert pool.finished(W2, job, True, 0.7) == [Answered(E1, key(0), job, "big", pytest.approx(0.2))]
    assert pool.finished(W2, job, True, 0.8) == []
    assert (pool.stale, pool.answered) == (2, 1)
    pool.validate()


def test_a_worker_cannot_finish_what_another_holds() -> None:
    pool = pool_of(W1, W2)
    job = job_of(submit(pool, 0))
    assert pool.finished(W2, job, True, 0.1) == []
    assert (pool.stale, pool.held) == (1, 1)


def test_a_worker_that_returns_does_not_get_the_window_back_that_it_lost() -> None:
    pool = pool_of(W1)
    submit(pool, 0)
    assert pool.timer(1.0) == [Evicted(W1, "w1", "hung")]
    assert ready(pool, W1, now=1.1) == []
    assert assigned(ready(pool, W2, now=1.2)) == [(W2, 0)]


def test_a_window_that_kills_two_workers_is_quarantined_and_refused_when_sent_again() -> None:
    pool = pool_of(W1, W2, W3)
    submit(pool, 0)
    assert assigned(pool.gone(W1, 0.1)) == [(W2, 0)]
    assert pool.gone(W2, 0.2) == [Evicted(W2, "w2", "gone"), Drop(E1, key(0), "quarantined")]
    assert submit(pool, 0, E2, now=0.3) == [Drop(E2, key(0), "quarantined")]
    assert pool.workers == 1, "the third worker never saw it"


def test_a_window_that_kills_over_two_sessions_is_quarantined_as_well() -> None:
    pool = pool_of(W1, W2)
    submit(pool, 0, E1)
    pool.edge_gone(E1)
    pool.gone(W1, 0.1)
    assert assigned(submit(pool, 0, E2, now=0.2)) == [(W2, 0)]
    assert Drop(E2, key(0), "quarantined") in pool.gone(W2, 0.3)


def test_what_is_remembered_of_killers_is_bounded() -> None:
    pool = pool_of(memory=2)
    for t in range(5):
        for worker in (W1, W2):
            ready(pool, worker)
            if worker == W1:
                submit(pool, t)
            pool.gone(worker, 0.0)
        pool.validate()
    assert pool.drops == {"quarantined": 5}
    assert submit(pool, 4) == [Drop(E1, key(4), "quarantined")]
    assert submit(pool, 0) == []


def test_a_worker_error_is_tried_once_elsewhere() -> None:
    pool = pool_of(W1, W2)
    job = job_of(submit(pool, 0))
    assert assigned(pool.finished(W1, job, False, 0.1)) == [(W2, 0)]
    assert pool.finished(W2, job, False, 0.2) == [Drop(E1, key(0), "failed")]
    assert pool.workers == 2


def test_a_worker_error_with_nobody_else_to_try_fails_at_once() -> None:
    pool = pool_of(W1)
    assert pool.finished(W1, job_of(submit(pool, 0)), False, 0.1) == [Drop(E1, key(0), "failed")]


def test_an_error_and_then_an_eviction_lose_the_window_without_blaming_it() -> None:
    pool = pool_of(W1, W2)
    pool.finished(W1, job_of(submit(pool, 0)), False, 0.1)
    assert Drop(E1, key(0), "lost") in pool.gone(W2, 0.2)
    assert assigned(submit(pool, 0, now=0.3)) == [(W1, 0)]


@pytest.mark.parametrize("how", ["goodbye", "ready again"])
def test_a_worker_that_drains_or_starts_over_hands_back_and_nobody_is_to_blame(how: str) -> None:
    pool = pool_of(W1)
    submit(pool, 0)
    for now in range(1, 5):
        if how == "goodbye":
            assert pool.goodbye(W1, float(now)) == []
        assert assigned(ready(pool, W1, now=float(now))) == [(W1, 0)]
    assert pool.drops == {}
    assert pool.requeued == 4


def test_goodbye_and_gone_of_an_unknown_worker_change_nothing() -> None:
    pool = pool_of(W1)
    assert pool.goodbye(W2, 0.0) == pool.gone(W2, 0.0) == []


def test_windows_that_come_back_to_a_full_queue_keep_it_bounded() -> None:
    pool = pool_of(W1, credit=3, capacity=2)
    for t in range(5):
        submit(pool, t, deadline=10.0 + t)
    todo = pool.gone(W1, 0.5)
    assert [each.key.t for each in todo if isinstance(each, Drop)] == [0, 1, 2]
    pool.validate()


# -- edges that go ----------------------------------------------------------------------------------------------------


def test_the_jobs_of_an_edge_that_has_gone_are_forgotten_and_counted() -> None:
    pool = pool_of(W1)
    job = job_of(submit(pool, 0))
    submit(pool, 1)
    submit(pool, 2, E2)
    assert pool.edge_gone(E1) == [Drop(E1, key(0), "edge_gone"), Drop(E1, key(1), "edge_gone")]
    pool.validate()
    assert assigned(pool.finished(W1, job, True, 0.1)) == [(W1, 2)], "its answer goes nowhere, its place is free"
    assert (pool.answered, pool.stale, pool.drops) == (0, 0, {"edge_gone": 2})


def test_a_forgotten_job_still_holds_its_worker_to_the_lease() -> None:
    pool = pool_of(W1)
    submit(pool, 0)
    pool.edge_gone(E1)
    assert pool.timer(1.0) == [Evicted(W1, "w1", "hung")]
    pool.validate()


def test_no_line_is_kept_for_a_stream_that_has_ended() -> None:
    pool = pool_of(W1)
    for t in range(50):
        pool.finished(W1, job_of(submit(pool, t, bytes([t]), f"stream{t}")), True, 0.0)
    assert not list(pool._room)
    assert not pool._room._queues
    assert not pool._edges
    assert not pool._live


@pytest.mark.parametrize("arguments", [(0, 1.0, 1.0), (1, 0.0, 1.0), (1, 1.0, -1.0), (1, float("nan"), 1.0)])
def test_a_pool_without_room_or_time_is_a_bug_told_at_once(arguments: tuple[int, float, float]) -> None:
    with pytest.raises(ValueError, match="needs room and time"):
        WorkerPool(*arguments)


# -- everything in any order ------------------------------------------------------------------------------------------

workers = st.sampled_from([W1, W2, W3])
edges = st.sampled_from([E1, E2])
CREDIT = {W1: 1, W2: 2, W3: 3}
OTHER = ("jump", "run")


class AnyOrder(RuleBasedStateMachine):
    """Workers die, hang, err and return in any order: every job ends exactly once, and no worker is overloaded."""

    @initialize(canary=st.sampled_from([None, "answer", "shadow"]), share=st.sampled_from([0.5, 1.0]))
    def begin(self, canary: Mode | None, share: float) -> None:
        trial = Canary("new", share, canary, memory=2) if canary is not None else None
        self.pool: WorkerPool[int] = WorkerPool(capacity=4, lease_s=2.0, liveness_s=3.0, memory=3, canary=trial)
        self.now = 0.0
        self.submitted = 0
        self.ended: Counter[str] = Counter()
        self.open: set[tuple[bytes, WindowKey]] = set()
        self.holds_jobs: dict[bytes, dict[int, Assign[int]]] = {W1: {}, W2: {}, W3: {}}
        """What each worker process believes it holds, which it may finish however late."""
        self.given: Counter[int] = Counter()
        self.done = 0

    def see(self, todo: list[Instruction[int]] | list[Drop]) -> None:
        for each in todo:
            if isinstance(each, Assign):
                assert (each.edge, each.key) in self.open
                assert each.deadline > self.now
                self.given[each.job] += 1
                self.holds_jobs[each.worker][each.job] = each
            elif isinstance(each, (Answered, Drop)):
                self.open.remove((each.edge, each.key))  # a KeyError is a job that ended twice
                self.ended["answered" if isinstance(each, Answered) else each.reason] += 1

    @rule(step=st.floats(0.0, 2.0))
    def time_passes(self, step: float) -> None:
        self.now += step
        self.see(self.pool.timer(self.now))
        due = self.pool.next_timer()
        assert due is None or due > self.now

    @rule(
        edge=edges,
        t=st.integers(0, 8),
        stream=st.sampled_from("ab"),
        left=st.floats(-0.5, 8.0),
        other=st.booleans(),
        model=st.sampled_from(["", "", "old", "new"]),
    )
    def submit(self, edge: bytes, t: int, stream: str, left: float, other: bool, model: str) -> None:
        before = self.pool.submitted
        fresh = (edge, key(t, stream)) not in self.open
        if fresh:
            self.open.add((edge, key(t, stream)))
            self.submitted += 1
        classes = OTHER if other else CLASSES
        self.see(self.pool.submit(edge, key(t, stream), classes, t, self.now + left, self.now, model))
        assert self.pool.submitted - before == fresh

    @rule(worker=workers, other=st.booleans(), model=st.sampled_from(["old", "new"]))
    def ready(self, worker: bytes, other: bool, model: str) -> None:
        self.holds_jobs[worker] = {}
        self.see(self.pool.ready(worker, "", model, OTHER if other else CLASSES, CREDIT[worker], self.now))

    @rule(worker=workers)
    def beat(self, worker: bytes) -> None:
        self.see(self.pool.progress(worker, 0, self.now))

    @rule(worker=workers, nth=st.integers(0, 5), ok=st.booleans())
    def finish(self, worker: bytes, nth: int, ok: bool) -> None:
        jobs = list(self.holds_jobs[worker])
        if jobs:
            job = jobs[nth % len(jobs)]
            if nth != 5:  # else it will say so again
                del self.holds_jobs[worker][job]
            self.see(self.pool.finished(worker, job, ok, self.now))

    @rule(worker=workers)
    def vanish(self, worker: bytes) -> None:
        self.see(self.pool.gone(worker, self.now))

    @rule(worker=workers, keeps=st.integers(0, 2))
    def leave(self, worker: bytes, keeps: int) -> None:
        """It finishes some of its jobs yet."""
        kept = tuple(self.holds_jobs[worker])[:keeps]
        self.see(self.pool.goodbye(worker, self.now, kept))

    @rule(edge=edges)
    def edge_goes(self, edge: bytes) -> None:
        self.see(self.pool.edge_gone(edge))

    @invariant()
    def holds(self) -> None:
        self.pool.validate()
        assert sum(self.ended.values()) + len(self.open) == self.submitted
        assert len(self.open) == self.pool.waiting + self.pool.held
        assert all(len(worker.jobs) <= CREDIT[worker.id] for worker in self.pool._roster)

    def teardown(self) -> None:
        for _ in range(20):
            self.now += 1.0
            self.see(self.pool.timer(self.now))
        self.holds()
        assert not self.open
        assert self.pool.next_timer() is None


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=80, stateful_step_count=50, deadline=None)
