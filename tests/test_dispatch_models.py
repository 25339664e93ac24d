"""The pool with several models side by side, a canary beside the old one, suspects apart, and edges fairly served."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from clownfish.canary import Canary, Mode
from clownfish.dispatch import WorkerPool
from clownfish.jobs import Answered, Assign, Drop, Evicted, Instruction, Shadowed
from clownfish.messages import WindowKey

CLASSES = ("run", "jump")
OLD, NEW, OTHER = b"old", b"new", b"other"
E = b"edge"


def key(t: int, stream: str = "door") -> WindowKey:
    return WindowKey(stream, 7, t)


def pool_of(*workers: bytes, credit: int = 1, mode: Mode | None = None, share: float = 1.0) -> WorkerPool[str]:
    """Workers whose model is called as they are; `new` is the canary where there is a mode. Lease 1 s, liveness 9 s."""
    canary = Canary("new", share, mode) if mode is not None else None
    pool: WorkerPool[str] = WorkerPool(64, lease_s=1.0, liveness_s=9.0, canary=canary)
    for worker in workers:
        come(pool, worker, credit)
    return pool


def come(pool: WorkerPool[str], worker: bytes, credit: int = 1, now: float = 0.0) -> list[Instruction[str]]:
    todo = pool.ready(worker, worker.decode(), worker.decode(), CLASSES, credit, now)
    pool.validate()
    return todo


def ask(
    pool: WorkerPool[str], t: int, model: str = "", edge: bytes = E, deadline: float = 8.0, now: float = 0.0
) -> list[bytes]:
    """Submit a window; which workers it went to."""
    todo = pool.submit(edge, key(t), CLASSES, "", deadline, now, model)
    pool.validate()
    return workers(todo)


def workers(todo: list[Instruction[str]]) -> list[bytes]:
    return [each.worker for each in todo if isinstance(each, Assign)]


# -- models side by side ----------------------------------------------------------------------------------------------


def test_an_edge_that_names_a_model_is_served_by_it_alone_and_others_by_any() -> None:
    pool = pool_of(OLD, OTHER)
    assert ask(pool, 0, "other") == [OTHER]
    assert ask(pool, 1, "other") == []
    assert ask(pool, 2) == [OLD]
    assert pool.finished(OLD, 3, False, 0.1) == [], "the other may try it, once it is free"
    assert [workers(pool.finished(OTHER, job, True, 0.1)) for job in (1, 3, 2)] == [[OTHER], [OTHER], []]


def test_a_model_s_own_window_fails_where_no_other_worker_has_the_model() -> None:
    pool = pool_of(OLD, OTHER)
    ask(pool, 0, "other")
    assert pool.finished(OTHER, 1, False, 0.1) == [Drop(E, key(0), "failed")]


def test_an_edge_that_names_a_model_which_was_never_here_is_told_what_was() -> None:
    pool = pool_of()
    assert pool.why_refused(CLASSES, "large") is None, "it may still come"
    come(pool, OLD)
    assert pool.why_refused(CLASSES, "large") == (
        "no worker with model 'large' has been here; known: 'old'. Leave [uplink] model empty for any"
    )
    come(pool, OTHER)
    assert pool.why_refused(CLASSES, "other") is None
    pool.goodbye(OTHER, 0.0)
    assert pool.why_refused(CLASSES, "other") is None, "one that was here may come back"
    assert pool.why_refused(("run",), "other") == "model 'other', which the edge asks for, adds 'jump'"


def test_what_is_remembered_of_models_is_bounded() -> None:
    pool = pool_of()
    for n in range(200):
        pool.ready(OLD, "w", f"model{n}", CLASSES, 1, 0.0)
    assert len(pool._roster._known) == 64
    words = str(pool.why_refused(CLASSES, "large"))
    assert "model199" in words
    assert "model191" not in words


# -- suspects ---------------------------------------------------------------------------------------------------------


def test_a_worker_holds_one_suspect_at_a_time_so_that_only_the_killer_is_quarantined() -> None:
    """A worker dies with four windows, one of which kills whoever runs it: the other three are answered."""
    pool = pool_of(b"w0", credit=4)
    for t in range(4):
        ask(pool, t)
    dropped: list[Drop] = []
    answered: list[int] = []
    todo = pool.gone(b"w0", 0.0)
    for n in range(1, 8):
        todo += come(pool, b"w%d" % n, credit=4)
        while todo:
            each = todo.pop(0)
            if isinstance(each, Assign) and each.key.t == 2:
                todo += pool.gone(each.worker, 0.0)
            elif isinstance(each, Assign):
                todo += pool.finished(each.worker, each.job, True, 0.0)
            elif isinstance(each, Answered):
                answered.append(each.key.t)
            elif isinstance(each, Drop):
                dropped.append(each)
            pool.validate()
    assert dropped == [Drop(E, key(2), "quarantined")]
    assert sorted(answered) == [0, 1, 3]
    assert pool.evictions == {"gone": 2}


def test_a_late_answer_of_a_worker_is_told_as_expired_not_as_failed() -> None:
    pool = pool_of(OLD)
    ask(pool, 0, deadline=0.5)
    assert pool.finished(OLD, 1, False, 0.5) == [Drop(E, key(0), "expired")]


# -- draining ---------------------------------------------------------------------------------------------------------


def test_a_worker_that_drains_hands_back_what_it_has_not_begun_and_answers_the_rest() -> None:
    pool = pool_of(OLD, credit=3)
    for t in range(3):
        ask(pool, t)
    come(pool, OTHER, credit=1)
    assert workers(pool.goodbye(OLD, 0.1, keeps=(1,))) == [OTHER]
    pool.validate()
    assert (pool.workers, pool.waiting, pool.held) == (2, 1, 2)
    assert pool.finished(OLD, 1, True, 0.2) == [Answered(E, key(0), 1, "old", 0.2)]
    pool.validate()
    assert pool.workers == 1, "it has gone, and is given nothing more"


def test_a_worker_that_drains_too_slowly_loses_what_it_kept() -> None:
    pool = pool_of(OLD)
    ask(pool, 0)
    assert pool.goodbye(OLD, 0.5, keeps=(1,)) == []
    assert pool.timer(1.0) == [Evicted(OLD, "old", "hung")]
    assert workers(come(pool, OTHER, now=1.0)) == [OTHER]


# -- a canary ---------------------------------------------------------------------------------------------------------


def test_the_share_is_drawn_from_the_window_s_identity_alone() -> None:
    keys = [key(t, stream) for t in range(1000) for stream in ("door", "yard")]
    chosen = [each for each in keys if Canary("new", 0.1).chooses(each)]
    assert chosen == [each for each in keys if Canary("other", 0.1).chooses(each)]
    assert 150 < len(chosen) < 250
    assert set(chosen) < {each for each in keys if Canary("new", 0.2).chooses(each)}
    assert all(map(Canary("new", 1.0).chooses, keys))


def test_the_canary_gets_its_share_and_the_old_model_the_rest() -> None:
    pool = pool_of(OLD, NEW, credit=64, mode="answer", share=0.25)
    to = {t: ask(pool, t)[0] for t in range(40)}
    canary = pool.canary
    assert canary is not None
    assert {t for t, worker in to.items() if worker == NEW} == {t for t in range(40) if canary.chooses(key(t))}
    assert 0 < list(to.values()).count(NEW) < 25


@pytest.mark.parametrize("mode", ["answer", "shadow"])
def test_without_a_canary_s_worker_or_its_room_the_old_model_serves(mode: Mode) -> None:
    pool = pool_of(OLD, credit=2, mode=mode)
    assert ask(pool, 0) == [OLD]
    come(pool, NEW, credit=1)
    ask(pool, 1)
    assert ask(pool, 2) in ([], [OLD])
    assert pool.canary is not None
    assert pool.canary.counts["canary_no_room"] == 2


def test_a_canary_serves_nobody_beyond_its_share_but_who_names_it_or_has_no_other() -> None:
    pool = pool_of(OLD, NEW, mode="answer", share=1e-9)
    assert ask(pool, 0) == [OLD]
    assert ask(pool, 1) == [], "the canary is free, and not meant"
    assert ask(pool, 2, "new") == [NEW]
    assert ask(pool, 3, "old") == []
    pool.finished(NEW, 3, True, 0.1)
    assert workers(pool.gone(OLD, 0.2)) == [NEW], "nobody else can"
    pool.validate()


@pytest.mark.parametrize("how", ["error", "gone", "hung", "goodbye"])
def test_a_window_whose_canary_fails_is_the_old_model_s_and_nobody_is_to_blame(how: str) -> None:
    pool = pool_of(OLD, NEW, mode="answer")
    assert ask(pool, 0) == [NEW]
    if how == "error":
        todo = pool.finished(NEW, 1, False, 0.1)
    elif how == "hung":
        todo = pool.timer(1.0)
    else:
        todo = (pool.gone if how == "gone" else pool.goodbye)(NEW, 0.1)
    pool.validate()
    assert workers(todo) == [OLD]
    assert Answered(E, key(0), 1, "old", pytest.approx(0.4)) in pool.finished(OLD, 1, True, todo_at(how) + 0.4)
    assert pool.canary is not None
    assert pool.canary.counts['canary_failed{model="canary"}'] == (how != "goodbye")
    assert pool._kills == {}
    assert pool.drops == {}


def todo_at(how: str) -> float:
    return 1.0 if how == "hung" else 0.1


def test_a_canary_that_takes_half_a_window_s_time_loses_it_to_the_old_model() -> None:
    pool = pool_of(OLD, NEW, mode="answer")
    pool.lease_s = 100.0
    assert ask(pool, 0, deadline=8.0) == [NEW]
    assert pool.next_timer() == 4.0
    assert workers(pool.timer(4.0)) == [OLD]
    pool.validate()
    assert pool.finished(NEW, 1, True, 5.0) == [Shadowed(E, key(0), "new", 5.0)], "told to nobody"
    assert pool.finished(OLD, 1, True, 6.0) == [Answered(E, key(0), 1, "old", 2.0)]
    assert (pool.answered, pool.submitted) == (1, 1)
    assert pool.canary is not None
    assert pool.canary.counts["canary_late"] == 1


def test_in_shadow_both_answer_and_the_edge_hears_the_old_model() -> None:
    pool = pool_of(OLD, NEW, mode="shadow")
    assert ask(pool, 0) == [NEW, OLD]
    assert pool.finished(NEW, 2, True, 0.1) == [Shadowed(E, key(0), "new", 0.1)]
    assert pool.finished(OLD, 1, True, 0.2) == [Answered(E, key(0), 1, "old", 0.2)]
    pool.validate()
    ask(pool, 1)
    assert pool.finished(NEW, 4, False, 0.3) == []
    pool.gone(NEW, 0.4)
    assert pool.finished(OLD, 3, True, 0.5) == [Answered(E, key(1), 3, "old", 0.5)]
    assert (pool.submitted, pool.answered, pool.drops) == (2, 2, {})


def test_the_two_models_answers_are_compared_whichever_comes_first() -> None:
    canary = Canary("new", 1.0, "shadow", memory=2)
    yes, no = np.array([0.9, 0.1]), np.array([0.2, 0.8])
    for t, (old, new) in enumerate([(yes, yes), (yes, no), (no, no)]):
        both = [("old", old), ("new", new)]
        for model, p in both if t % 2 else reversed(both):
            canary.answered(E, key(t), model, p)
    for t in range(3, 9):
        canary.answered(E, key(t), "old", yes)
    assert len(canary._first) == 2
    assert canary.counts["canary_compared"] == 3
    assert canary.counts["canary_agreed"] == 2
    assert canary.counts['canary_windows{model="old"}'] == 9
    assert canary.counts['canary_windows{model="canary"}'] == 3


@pytest.mark.parametrize(("model", "share"), [("", 0.5), ("new", 0.0), ("new", 1.5), ("new", float("nan"))])
def test_a_canary_without_a_model_or_a_share_is_a_bug_told_at_once(model: str, share: float) -> None:
    with pytest.raises(ValueError, match="a canary is a model"):
        Canary(model, share)


# -- fairness ---------------------------------------------------------------------------------------------------------


def test_edges_with_many_streams_or_many_windows_get_no_more_than_others() -> None:
    """Twelve edges that ask for more than three workers can do: each is answered as often as any other, to 10 %."""
    pool: WorkerPool[None] = WorkerPool(400, 10.0, 1e9)
    streams = {b"edge%d" % n: 1 + (n % 4) * 5 for n in range(12)}
    hunger = {edge: 4 + n for n, edge in enumerate(streams)}  # windows that it keeps waiting
    served: Counter[bytes] = Counter()
    t, open_jobs = 0, Counter[bytes]()
    todo: list[Instruction[None]] = []
    for n in range(3):
        todo += pool.ready(b"w%d" % n, "w", "m", CLASSES, 4, 0.0)
    for _ in range(1500):
        for edge in streams:
            while open_jobs[edge] < hunger[edge]:
                t += 1
                open_jobs[edge] += 1
                name = f"s{t % streams[edge]}"
                todo += pool.submit(edge, key(t, name), CLASSES, None, 1e6 - t * hunger[edge], 0.0)
        assign = next(each for each in todo if isinstance(each, Assign))
        todo.remove(assign)
        served[assign.edge] += 1
        open_jobs[assign.edge] -= 1
        todo += pool.finished(assign.worker, assign.job, True, 0.0)
    assert set(served) == set(streams)
    assert max(served.values()) <= 1.1 * min(served.values())
    assert pool.drops == {}
