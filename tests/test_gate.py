"""Gate: each window meets its ρ or is let go, each ρ meets the policy once, and nothing is lost on the way."""

from __future__ import annotations

from collections import Counter
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clownfish.errors import ConfigError
from clownfish.filters.always import Always
from clownfish.filters.base import FilterPolicy, Verdict
from clownfish.filters.budget import Budget
from clownfish.filters.context_aware import ContextAware
from clownfish.filters.drift import Drift
from clownfish.filters.never import Never
from clownfish.gate import Decision, Gate, Release, Send
from clownfish.messages import StreamKey, Vector, WindowKey


def key(t: int, stream: str = "cam", epoch: int = 1) -> WindowKey:
    return WindowKey(stream, epoch, t)


CAM = StreamKey("cam", 1)


class Recorder:
    """Waits for every ρ, sends where it is at least one half, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def on_window(self, t: int) -> Verdict:
        self.asked.append(("window", t))
        return Verdict.WAIT

    def on_rho(self, t: int, rho: float | None) -> bool:
        self.asked.append(("rho", t))
        return rho is not None and rho >= 0.5


def recorded(capacity: int = 64) -> tuple[Gate[str], Recorder]:
    policy = Recorder()
    return Gate(lambda: policy, capacity=capacity), policy


def paper(n_w: int = 6) -> Gate[str]:
    return Gate(lambda: ContextAware(n_w))


def test_a_periodic_window_leaves_at_once_and_its_rho_does_not_send_it_again() -> None:
    gate = paper()
    assert gate.window(key(0), "pixels", now=0.0) == [Send(key(0), "pixels", "periodic")]
    assert gate.rho(key(0), None, now=0.1) == []
    assert gate.waiting == 0


def test_a_transition_leaves_when_its_rho_comes() -> None:
    gate = paper()
    for t in range(3):
        gate.window(key(t), f"window {t}", now=float(t))
    assert gate.rho(key(0), None, now=3.0) == []
    assert gate.rho(key(1), 0.2, now=3.0) == [Release(key(1), "unchanged")]
    assert gate.rho(key(2), 0.9, now=3.0) == [Send(key(2), "window 2", "transition")]


@pytest.mark.parametrize(
    ("rho", "decision"), [(0.9, Send(key(1), "", "transition")), (0.1, Release(key(1), "unchanged"))]
)
def test_a_rho_may_come_before_its_window(rho: float, decision: Decision[str]) -> None:
    gate, policy = recorded()
    assert gate.rho(key(1), rho, now=0.0) == []
    assert gate.window(key(1), "", now=0.1) == [decision]
    assert policy.asked == [("window", 1), ("rho", 1)]


def test_a_window_that_local_skipped_is_let_go_when_a_later_rho_comes() -> None:
    gate, policy = recorded()
    for t in range(3):
        gate.window(key(t), "", now=0.0)
    assert gate.rho(key(2), 0.9, now=0.0) == [
        Release(key(0), "uninferred"),
        Release(key(1), "uninferred"),
        Send(key(2), "", "transition"),
    ]
    assert policy.asked[3:] == [("rho", 2)]


def test_a_window_that_comes_after_a_later_windows_rho_waits_for_nothing() -> None:
    gate, _ = recorded()
    gate.rho(key(5), 0.9, now=0.0)
    assert gate.window(key(4), "", now=0.0) == [Release(key(4), "uninferred")]
    assert gate.window(key(5), "", now=0.0) == [Send(key(5), "", "transition")]


def test_the_rho_of_a_window_lost_on_its_way_still_reaches_the_policy_in_order() -> None:
    gate, policy = recorded()
    gate.rho(key(1), 0.9, now=0.0)
    gate.rho(key(2), 0.1, now=0.0)
    gate.window(key(2), "", now=0.0)
    assert policy.asked == [("rho", 1), ("window", 2), ("rho", 2)]
    assert gate.counts["transitions_missed"] == 1


def test_a_window_whose_rho_does_not_come_is_let_go_when_its_time_is_out() -> None:
    gate, policy = recorded()
    gate.window(key(0), "", now=10.0)
    gate.window(key(1), "", now=10.5)
    assert gate.next_timer() == 11.0
    assert gate.timer(10.9) == []
    assert gate.timer(11.0) == [Release(key(0), "timeout")]
    assert gate.next_timer() == 11.5
    assert gate.rho(key(0), 0.9, now=11.1) == []
    assert policy.asked[-1] == ("rho", 0)


def test_a_window_that_is_not_live_waits_however_long_local_takes() -> None:
    gate, _ = recorded()
    gate.window(key(0), "", now=0.0, live=False)
    assert gate.next_timer() is None
    assert gate.timer(1e9) == []
    assert gate.rho(key(0), 0.9, now=1e9) == [Send(key(0), "", "transition")]


def test_when_too_many_windows_wait_the_oldest_is_let_go() -> None:
    gate, _ = recorded(capacity=2)
    gate.window(key(0, "a"), "", now=0.0)
    gate.window(key(0, "b"), "", now=0.0)
    assert gate.window(key(1, "b"), "", now=0.0) == [Release(key(0, "a"), "capacity")]
    assert gate.waiting == 2


def test_early_rhos_are_bounded_and_the_oldest_still_reaches_the_policy() -> None:
    gate, policy = recorded(capacity=2)
    for t in range(4):
        gate.rho(key(t), 0.1, now=0.0)
    assert policy.asked == [("rho", 0), ("rho", 1)]


def test_the_end_of_a_stream_lets_its_windows_go_and_nothing_of_it_comes_back() -> None:
    gate, _ = recorded()
    gate.window(key(0), "", now=0.0)
    gate.window(key(0, "other"), "", now=0.0)
    assert gate.end(CAM, now=0.1) == [Release(key(0), "ended")]
    assert gate.window(key(1), "", now=0.2) == [Release(key(1), "stale")]
    assert gate.rho(key(0), 0.9, now=0.2) == []
    assert gate.counts["rhos_stale"] == 1
    assert gate.timer(1.0) == [Release(key(0, "other"), "timeout")]


def test_a_new_epoch_ends_the_old_one_and_begins_with_a_policy_of_its_own() -> None:
    gate = paper()
    gate.window(key(0), "", now=0.0)
    gate.window(key(1), "", now=0.0)
    assert gate.window(key(0, epoch=2), "new", now=0.0) == [
        Release(key(1), "replaced"),
        Send(key(0, epoch=2), "new", "periodic"),
    ]
    assert gate.window(key(2), "", now=0.0) == [Release(key(2), "stale")]


def test_a_new_epoch_may_show_first_in_its_rho() -> None:
    gate, _ = recorded()
    gate.window(key(0), "", now=0.0)
    assert gate.rho(key(0, epoch=2), 0.9, now=0.0) == [Release(key(0), "replaced")]
    assert gate.window(key(0, epoch=2), "", now=0.0) == [Send(key(0, epoch=2), "", "transition")]


def test_a_window_or_rho_that_comes_twice_is_stale() -> None:
    gate, policy = recorded()
    gate.window(key(3), "", now=0.0)
    assert gate.window(key(3), "", now=0.0) == [Release(key(3), "stale")]
    gate.rho(key(3), 0.9, now=0.0)
    assert gate.rho(key(3), 0.9, now=0.0) == []
    assert policy.asked == [("window", 3), ("rho", 3)]


def test_the_number_of_streams_is_bounded() -> None:
    gate: Gate[str] = Gate(Recorder, streams=1)
    gate.window(key(0, "a"), "", now=0.0)
    assert gate.window(key(0, "b"), "", now=0.0) == [Release(key(0, "a"), "evicted")]


def test_a_policy_that_needs_no_rho_keeps_no_window() -> None:
    for make, decision in ((Always, Send(key(0), "", "periodic")), (Never, Release(key(0), "skipped"))):
        gate: Gate[str] = Gate(make)
        assert gate.window(key(0), "", now=0.0) == [decision]
        assert gate.waiting == 0


@pytest.mark.parametrize("bounds", [{"timeout_s": 0}, {"capacity": 0}, {"streams": 0}])
def test_impossible_bounds_are_refused(bounds: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        Gate(Never, **bounds)


@given(merge=st.lists(st.booleans(), min_size=24, max_size=24))
def test_however_windows_and_rhos_interleave_the_policy_sees_all_of_both_in_order(merge: list[bool]) -> None:
    gate, policy = recorded()
    windows, rhos = iter(range(24)), iter(range(24))
    decided: list[Decision[str]] = []
    for window_next in merge + [True] * 24 + [False] * 24:
        t = next(windows if window_next else rhos, None)
        if t is not None:
            step = partial(gate.window, key(t), "") if window_next else partial(gate.rho, key(t), t % 3 / 2)
            decided += step(now=0.0)
    assert [t for what, t in policy.asked if what == "window"] == list(range(24))
    assert [t for what, t in policy.asked if what == "rho"] == list(range(24))
    assert all(policy.asked.index(("window", t)) < policy.asked.index(("rho", t)) for t in range(24))
    assert {d.key.t for d in decided if isinstance(d, Send)} == {t for t in range(24) if t % 3}


POLICIES = st.sampled_from([ContextAware, Drift, Budget, Recorder, Always, Never])
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["window", "window", "rho", "rho", "tick", "end"]),
        st.sampled_from("ab"),
        st.integers(1, 2),
        st.integers(0, 12),
        st.one_of(st.none(), st.floats(0, 1)),
    ),
    max_size=120,
)


@given(make=POLICIES, events=EVENTS, capacity=st.integers(1, 4), streams=st.integers(1, 2))
def test_windows_in_are_windows_sent_let_go_or_waiting(
    make: type[FilterPolicy],
    events: list[tuple[str, str, int, int, float | None]],
    capacity: int,
    streams: int,
) -> None:
    """Any order of events, old epochs and repeats among them, on a virtual clock."""
    gate: Gate[int] = Gate(make, timeout_s=1.0, capacity=capacity, streams=streams)
    put: Counter[WindowKey] = Counter()
    decided: Counter[WindowKey] = Counter()
    sends: list[Send[int]] = []
    reasons: Counter[str] = Counter()
    now = 0.0
    for number, (what, stream, epoch, t, rho) in enumerate(events):
        now += 0.2
        if what == "window":
            put[key(t, stream, epoch)] += 1
            decisions = gate.window(key(t, stream, epoch), number, now, live=bool(number % 3))
        elif what == "rho":
            p_local = None if rho is None else np.array([rho, 1 - rho])
            decisions = gate.rho(key(t, stream, epoch), rho, now, p_local)
        elif what == "end":
            decisions = gate.end(StreamKey(stream, epoch), now)
        else:
            decisions = gate.timer(now)
            due = gate.next_timer()
            assert due is None or now < due <= now + 1.0
        for decision in decisions:
            decided[decision.key] += 1
            verb = "sent" if isinstance(decision, Send) else "released"
            reasons[f'{verb}{{why="{decision.why}"}}'] += 1
            if isinstance(decision, Send):
                sends.append(decision)
        assert gate.waiting <= capacity
        assert gate.waiting == put.total() - decided.total()
    assert not decided - put, "nothing is decided that did not come"
    assert max(Counter(send.payload for send in sends).values(), default=1) == 1, "nothing is sent twice"
    assert all(events[send.payload][1:4] == (*send.key[:2], send.key.t) for send in sends), "payloads keep their keys"
    assert {name: count for name, count in gate.counts.items() if "{" in name} == reasons
    assert gate.counts["windows"] == put.total()


class Listener(Recorder):
    """Looks at the local answer, too: sends where it is sure."""

    def on_local(self, t: int, rho: float | None, p_local: Vector) -> bool:
        self.asked.append(("local", t))
        return float(p_local.max()) > 0.8


SURE, UNSURE = np.array([0.9, 0.1]), np.array([0.5, 0.5])


def test_a_policy_that_looks_at_the_local_answer_is_asked_with_it() -> None:
    policy = Listener()
    gate: Gate[str] = Gate(lambda: policy)
    for t in range(2):
        gate.window(key(t), "", now=0.0)
    assert gate.rho(key(0), 0.9, now=0.1, p_local=UNSURE) == [Release(key(0), "unchanged")]
    assert gate.rho(key(1), 0.1, now=0.1, p_local=SURE) == [Send(key(1), "", "transition")]
    assert policy.asked[2:] == [("local", 0), ("local", 1)]


def test_an_answer_that_comes_before_its_window_is_kept_with_its_rho() -> None:
    policy = Listener()
    gate: Gate[str] = Gate(lambda: policy)
    gate.rho(key(0), 0.1, now=0.0, p_local=SURE)
    gate.rho(key(1), 0.1, now=0.0, p_local=SURE)
    assert gate.window(key(1), "", now=0.1) == [Send(key(1), "", "transition")]
    assert policy.asked == [("local", 0), ("window", 1), ("local", 1)]
    assert gate.counts["transitions_missed"] == 1


def test_without_the_answer_such_a_policy_is_asked_for_rho_alone() -> None:
    policy = Listener()
    gate: Gate[str] = Gate(lambda: policy)
    gate.window(key(0), "", now=0.0)
    assert gate.rho(key(0), 0.9, now=0.1) == [Send(key(0), "", "transition")]
    assert policy.asked == [("window", 0), ("rho", 0)]


def test_drift_survives_skipped_windows_a_restart_and_the_streams_end() -> None:
    """`local` skips windows 4 to 6, where the context changes, then comes back; then the camera starts anew."""
    gate: Gate[str] = Gate(lambda: Drift(0.8, patience=1, follow=1))
    sends = []
    for t in range(12):
        sends += gate.window(key(t), "", now=float(t))
        if t not in (4, 5, 6):
            sends += gate.rho(key(t), 0.9, now=float(t), p_local=SURE if t < 4 else SURE[::-1])
    assert [d.key.t for d in sends if isinstance(d, Send)] == [0, 8, 9]
    assert gate.window(key(0, epoch=2), "", now=20.0) == [Send(key(0, epoch=2), "", "periodic")]
    gate.rho(key(0, epoch=2), None, now=20.0, p_local=SURE)
    gate.window(key(1, epoch=2), "", now=20.0)
    assert gate.end(StreamKey("cam", 2), now=20.0) == [Release(key(1, epoch=2), "ended")]
    assert gate.waiting == 0
