"""What the worker pool's order is made of, each against the plain version that looks at everything."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from clownfish.alarms import Alarms
from clownfish.turns import Most, Turns


@dataclass(eq=False)
class Waiting:
    number: int
    deadline: float
    owner: bytes
    line: tuple[bytes, str]


def job(number: int, owner: bytes = b"a", stream: str = "door", deadline: float = 9.0) -> Waiting:
    return Waiting(number, deadline, owner, (owner, stream))


def order(turns: Turns[Waiting]) -> list[int]:
    """All of them, served one by one."""
    numbers = []
    while turns:
        first = turns.first()
        numbers.append(first.number)
        turns.served(first)
    return numbers


def test_owners_then_lines_take_turns_and_the_earliest_deadline_of_a_line_goes_first() -> None:
    turns: Turns[Waiting] = Turns(count())
    for each in (job(1, deadline=3), job(2, deadline=1), job(3, stream="yard"), job(4, b"b"), job(5, b"b")):
        turns.put(each)
    assert order(turns) == [2, 4, 3, 5, 1]


def test_a_job_that_is_removed_uses_up_no_turn() -> None:
    turns: Turns[Waiting] = Turns(count())
    jobs = [job(1), job(2), job(3, b"b")]
    for each in jobs:
        turns.put(each)
    turns.remove(jobs[0])
    assert order(turns) == [2, 3]


def test_who_comes_back_joins_at_the_end() -> None:
    turns: Turns[Waiting] = Turns(count())
    first = job(1)
    turns.put(first)
    turns.put(job(2, b"b"))
    turns.served(first)
    turns.put(job(3))
    assert order(turns) == [2, 3]


def test_queues_that_share_ticks_tell_whose_turn_is_longest_ago() -> None:
    ticks = count()
    one: Turns[Waiting] = Turns(ticks)
    other: Turns[Waiting] = Turns(ticks)
    jobs = [job(1), job(2), job(3)]
    for each in jobs[:2]:
        one.put(each)
    other.put(jobs[2])
    assert one.turn < other.turn
    one.served(jobs[0])
    assert other.turn < one.turn


class Plain:
    """The same order, from one list of jobs and a note of when whom was served."""

    def __init__(self) -> None:
        self.jobs: list[Waiting] = []
        self.since: dict[object, int] = {}
        self.tick = count()

    def put(self, job: Waiting) -> None:
        for key in (job.owner, job.line):
            if not any(key in (each.owner, each.line) for each in self.jobs):
                self.since[key] = next(self.tick)
        self.jobs.append(job)

    def first(self) -> Waiting:
        return min(self.jobs, key=lambda j: (self.since[j.owner], self.since[j.line], j.deadline, j.number))

    def remove(self, job: Waiting) -> None:
        self.jobs.remove(job)

    def served(self, job: Waiting) -> None:
        self.since[job.owner] = next(self.tick)
        self.since[job.line] = next(self.tick)
        self.jobs.remove(job)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("prs"), st.integers(0, 3), st.integers(0, 2), st.integers(0, 5)), max_size=40)
)
def test_the_order_is_that_of_the_plain_version(steps: list[tuple[str, int, int, int]]) -> None:
    turns, plain = Turns[Waiting](count()), Plain()
    for number, (what, owner, stream, deadline) in enumerate(steps):
        if what == "p" or not plain.jobs:
            new = job(number, bytes([owner]), str(stream), float(deadline))
            turns.put(new)
            plain.put(new)
        elif what == "s":
            assert turns.first() is plain.first()
            turns.served(turns.first())
            plain.served(plain.first())
        else:
            gone = plain.jobs[owner % len(plain.jobs)]
            turns.remove(gone)
            plain.remove(gone)
        assert {each.number for each in turns} == {each.number for each in plain.jobs}
        assert bool(turns) == bool(plain.jobs)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=60))
def test_the_highest_count_is_that_of_the_plain_version(steps: list[tuple[int, bool]]) -> None:
    most, plain, reached = Most[int](), Counter[int](), {}
    for tick, (key, up) in enumerate(steps):
        by = 1 if up or not plain[key] else -1
        most.add(key, by)
        plain[key] += by
        reached[key] = tick
        if any(plain.values()):
            top = max(plain.values())
            assert most.top() == max((k for k, n in plain.items() if n == top), key=lambda k: reached[k])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("sdx"), st.integers(0, 6), st.integers(0, 30)), max_size=300))
def test_the_alarm_that_comes_first_is_that_of_the_plain_version(steps: list[tuple[str, int, int]]) -> None:
    alarms, plain = Alarms[int](), dict[int, float]()
    for what, key, at in steps:
        if what == "s":
            alarms.set(key, float(at))
            plain[key] = float(at)
        elif what == "d":
            alarms.drop(key)
            plain.pop(key, None)
        else:
            due = sorted((when, k) for k, when in plain.items() if when <= at)
            assert sorted((plain[k], k) for k in alarms.due(float(at))) == due
            plain = {k: when for k, when in plain.items() if when > at}
        assert alarms.next() == min(plain.values(), default=None)
        assert len(alarms) == len(plain)


def test_alarms_that_are_set_again_and_again_take_no_more_room() -> None:
    alarms: Alarms[int] = Alarms()
    for at in range(10_000):
        alarms.set(at % 3, float(at))
    assert len(alarms._heap) < 200
    assert alarms.due(1e9) == [1, 2, 0]
