"""The uplink's machine: what waits, what may go, what is lost, and that every window is accounted for."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from clownfish.backlog import RESENDS, ROUTER_REASONS, Backlog, Drop, Lapsed, Send
from clownfish.messages import StreamKey, WindowKey


def key(t: int, stream: str = "door", epoch: int = 7) -> WindowKey:
    return WindowKey(stream, epoch, t)


def opened(capacity: int = 8, windows: int = 100, size_bytes: int = 10**9, deadline_s: float = 10.0) -> Backlog[str]:
    backlog: Backlog[str] = Backlog(capacity, deadline_s)
    assert backlog.open(0.0) == []
    backlog.credit(windows, size_bytes, 100.0, 0.0)
    return backlog


def fill(backlog: Backlog[str], *keys: WindowKey) -> None:
    for each in keys:
        assert backlog.offer(each, f"{each.stream}{each.t}", float(each.t) / 100, 0.0) == []


def send_one(backlog: Backlog[str], now: float = 0.0, size_bytes: int = 100) -> WindowKey | None:
    item = backlog.next(now)
    if item is None:
        return None
    assert backlog.sent(item.key, size_bytes)
    backlog.validate()
    return item.key


# -- offers -----------------------------------------------------------------------------------------------------------


def test_the_newest_window_goes_first() -> None:
    backlog = opened()
    fill(backlog, key(0), key(1), key(2))
    assert backlog.next(0.0) == Send(key(2), "door2", 10.02, resend=False)
    assert backlog.next(0.0) == Send(key(1), "door1", 10.01, resend=False)


def test_when_full_the_oldest_is_superseded() -> None:
    backlog = opened(capacity=2)
    fill(backlog, key(0), key(1))
    assert backlog.offer(key(2), "", 0.02, 0.02) == [Drop(key(0), "superseded")]
    assert backlog.waiting == 2


def test_a_window_older_than_all_that_wait_is_itself_superseded() -> None:
    backlog = opened(capacity=2)
    fill(backlog, key(4), key(5))
    assert backlog.offer(key(3), "", 0.03, 0.06) == [Drop(key(3), "superseded")]


def test_a_hungry_stream_makes_room_at_its_own_cost() -> None:
    backlog = opened(capacity=3)
    fill(backlog, key(0, "calm"), key(1, "hungry"), key(2, "hungry"))
    assert backlog.offer(key(3, "hungry"), "", 0.03, 0.03) == [Drop(key(1, "hungry"), "superseded")]


def test_a_window_past_its_deadline_is_not_taken_in() -> None:
    assert opened(deadline_s=1.0).offer(key(0), "", 0.0, 1.0) == [Drop(key(0), "expired")]


@pytest.mark.parametrize("state", ["waiting", "in flight", "answered", "dropped"])
def test_a_repeated_offer_is_a_duplicate_in_every_state(state: str) -> None:
    backlog = opened()
    fill(backlog, key(0))
    if state != "waiting":
        send_one(backlog)
    if state == "answered":
        backlog.answered(key(0), 1.0)
    if state == "dropped":
        backlog.dropped(key(0), "failed")
    assert backlog.offer(key(0), "", 0.0, 0.0) == [Drop(key(0), "duplicate")]
    assert backlog.drops["duplicate"] == 1
    backlog.validate()


# -- credit -----------------------------------------------------------------------------------------------------------


def test_nothing_goes_without_a_session_or_without_credit() -> None:
    backlog: Backlog[str] = Backlog(8, 10.0)
    fill(backlog, key(0))
    backlog.credit(5, 5000, 9.0, 0.0)
    assert backlog.next(0.0) is None
    backlog.open(0.0)
    assert backlog.next(0.0) is None
    backlog.credit(5, 5000, 9.0, 0.0)
    assert backlog.next(0.0) is not None


def test_no_more_windows_go_than_were_granted_in_all() -> None:
    backlog = opened(windows=2)
    fill(backlog, *map(key, range(4)))
    assert [send_one(backlog) for _ in range(3)] == [key(3), key(2), None]
    backlog.credit(3, 10**9, 100.0, 0.0)
    assert [send_one(backlog) for _ in range(2)] == [key(1), None]


def test_a_window_may_overdraw_the_bytes_once() -> None:
    backlog = opened(size_bytes=150)
    fill(backlog, *map(key, range(4)))
    assert [send_one(backlog, size_bytes=100) for _ in range(3)] == [key(3), key(2), None]
    backlog.credit(100, 200, 100.0, 0.0)
    assert backlog.next(0.0) is None
    backlog.credit(100, 201, 100.0, 0.0)
    assert backlog.next(0.0) is not None


def test_a_repeated_or_older_grant_changes_no_total() -> None:
    backlog = opened(windows=2)
    backlog.credit(2, 10**9, 100.0, 0.0)
    backlog.credit(1, 10, 100.0, 0.0)
    fill(backlog, *map(key, range(4)))
    assert [send_one(backlog) for _ in range(3)] == [key(3), key(2), None]


def test_credit_is_void_once_its_lease_ends_and_that_is_said_once() -> None:
    backlog: Backlog[str] = Backlog(8, 100.0)
    backlog.open(0.0)
    backlog.credit(5, 5000, 2.0, 0.0)
    fill(backlog, key(0))
    assert backlog.next_timer() == 2.0
    assert backlog.next(2.0) is None
    assert backlog.timer(2.0) == [Lapsed()]
    assert backlog.timer(3.0) == []
    assert backlog.next_timer() == 100.0
    backlog.credit(5, 5000, 2.0, 3.0)
    assert send_one(backlog, 3.0) == key(0)


def test_a_window_that_was_never_sent_costs_no_credit() -> None:
    backlog = opened(windows=1)
    fill(backlog, key(0), key(1))
    assert backlog.next(0.0) is not None
    assert backlog.next(0.0) is None
    assert backlog.withdraw(key(1), "codec") == Drop(key(1), "codec")
    assert send_one(backlog) == key(0)
    assert backlog.drops == {"codec": 1}


def test_a_window_that_ended_while_it_was_encoded_must_not_be_sent() -> None:
    backlog = opened(windows=1, deadline_s=1.0)
    fill(backlog, key(0))
    backlog.next(0.5)
    backlog.timer(1.0)
    assert not backlog.sent(key(0), 100)
    assert backlog.withdraw(key(0), "codec") is None


def test_what_is_in_flight_is_bounded_whatever_the_router_grants() -> None:
    backlog: Backlog[str] = Backlog(8, 10.0, max_in_flight=2)
    backlog.open(0.0)
    backlog.credit(10**9, 10**12, 100.0, 0.0)
    fill(backlog, *map(key, range(4)))
    assert [send_one(backlog) for _ in range(3)] == [key(3), key(2), None]


# -- fairness ---------------------------------------------------------------------------------------------------------


def test_streams_take_turns_each_with_its_newest() -> None:
    backlog = opened()
    fill(backlog, key(0, "a"), key(1, "a"), key(2, "a"), key(0, "b"), key(1, "b"), key(0, "c"))
    order = [send_one(backlog) for _ in range(6)]
    assert order == [key(2, "a"), key(1, "b"), key(0, "c"), key(1, "a"), key(0, "b"), key(0, "a")]


def test_a_stream_that_offers_without_end_starves_no_other() -> None:
    backlog = opened(capacity=4, windows=10**6)
    fill(backlog, *(key(t, "hungry") for t in range(4)))
    for t in range(4, 50):
        backlog.offer(key(t, "hungry"), "", t / 100, 0.0)
        if t == 10:
            backlog.offer(key(0, "calm"), "", 0.1, 0.0)
        if t >= 10 and send_one(backlog) == key(0, "calm"):
            assert t <= 12
            return
    pytest.fail("the calm stream was never served")


# -- answers ----------------------------------------------------------------------------------------------------------


def test_an_answer_is_accepted_once() -> None:
    backlog = opened()
    fill(backlog, key(0))
    send_one(backlog)
    assert [backlog.answered(key(0), 1.0), backlog.answered(key(0), 1.0)] == ["accepted", "duplicate"]
    assert backlog.answered_total == 1
    assert backlog.idle()


def test_an_answer_to_what_was_never_sent_is_unknown() -> None:
    backlog = opened()
    fill(backlog, key(0))
    assert [backlog.answered(key(0), 1.0), backlog.answered(key(9), 1.0)] == ["unknown", "unknown"]
    assert backlog.ignored == {"unknown": 2}
    assert backlog.waiting == 1


def test_finished_windows_are_remembered_within_bounds() -> None:
    backlog: Backlog[str] = Backlog(8, 10.0, memory=2)
    backlog.open(0.0)
    backlog.credit(100, 10**9, 100.0, 0.0)
    for t in range(4):
        fill(backlog, key(t))
        send_one(backlog)
        backlog.answered(key(t), 0.0)
        backlog.validate()
    assert [backlog.answered(key(t), 0.0) for t in range(4)] == ["unknown", "unknown", "duplicate", "duplicate"]


@pytest.mark.parametrize("timer_ran", [True, False])
def test_an_answer_after_the_deadline_is_expired_and_its_window_unanswered(timer_ran: bool) -> None:
    backlog = opened(deadline_s=5.0)
    fill(backlog, key(0))
    send_one(backlog)
    if timer_ran:
        assert backlog.timer(5.0) == [Drop(key(0), "unanswered")]
    assert backlog.answered(key(0), 5.0) == "expired"
    assert backlog.drops == {"unanswered": 1}
    backlog.validate()


def test_an_answer_ends_a_window_that_waits_again_after_its_session_broke() -> None:
    backlog = opened()
    fill(backlog, key(0))
    send_one(backlog)
    backlog.open(1.0)
    assert backlog.waiting == 1
    assert backlog.answered(key(0), 1.0) == "accepted"
    backlog.validate()


def test_what_the_router_drops_is_counted_under_its_reason() -> None:
    backlog = opened()
    fill(backlog, key(0))
    send_one(backlog)
    assert backlog.dropped(key(0), "quarantined") == Drop(key(0), "router_quarantined")
    assert backlog.dropped(key(0), "quarantined") is None
    assert backlog.drops == {"router_quarantined": 1}


def test_a_router_that_invents_reasons_cannot_make_the_counters_grow() -> None:
    backlog = opened(windows=10**6)
    for t in range(100):
        fill(backlog, key(t))
        send_one(backlog)
        backlog.dropped(key(t), f"because {t}")
    assert len(backlog.drops) == ROUTER_REASONS + 1
    assert backlog.drops["router_other"] == 100 - ROUTER_REASONS


def test_missing_frames_are_sent_again_on_the_same_window_credit() -> None:
    backlog = opened(windows=1, size_bytes=100)
    fill(backlog, key(0), key(1))
    assert send_one(backlog) == key(1)
    assert backlog.missing(key(1)) == Send(key(1), "door1", 10.01, resend=True)
    assert backlog.sent(key(1), 50)
    backlog.credit(2, 150, 100.0, 0.0)
    assert backlog.next(0.0) is None, "the bytes sent again count"
    backlog.credit(2, 151, 100.0, 0.0)
    assert send_one(backlog) == key(0), "and the window does not"


def test_a_router_that_never_has_the_frames_is_given_up_on() -> None:
    backlog = opened()
    fill(backlog, key(0))
    send_one(backlog)
    assert all(isinstance(backlog.missing(key(0)), Send) for _ in range(RESENDS))
    assert backlog.missing(key(0)) == Drop(key(0), "missing")
    assert backlog.missing(key(0)) is None


# -- sessions and time ------------------------------------------------------------------------------------------------


def test_a_window_in_flight_when_its_session_ends_waits_again_once() -> None:
    backlog = opened()
    fill(backlog, key(0))
    send_one(backlog)
    assert backlog.close(1.0) == []
    assert (backlog.waiting, backlog.in_flight) == (1, 0)
    backlog.open(1.0)
    backlog.credit(1, 1000, 100.0, 1.0)
    assert send_one(backlog, 1.0) == key(0), "the new session's totals start from zero"
    assert backlog.close(2.0) == [Drop(key(0), "lost")]


def test_a_window_that_was_not_on_the_wire_yet_is_not_lost_with_the_session() -> None:
    backlog = opened()
    fill(backlog, key(0))
    for now in (1.0, 2.0, 3.0):
        assert backlog.next(now) is not None
        assert backlog.open(now) == []
        backlog.credit(1, 1000, 100.0, now)
    assert send_one(backlog, 3.0) == key(0)
    assert backlog.close(4.0) == [], "this is its first loss"
    assert backlog.waiting == 1


def test_a_window_in_flight_past_its_deadline_expires_with_the_session() -> None:
    backlog = opened(deadline_s=5.0)
    fill(backlog, key(0))
    send_one(backlog)
    assert backlog.close(5.0) == [Drop(key(0), "expired")]


def test_what_comes_back_from_a_lost_session_makes_room_for_what_is_newer() -> None:
    backlog = opened(capacity=2)
    fill(backlog, key(0), key(1))
    send_one(backlog), send_one(backlog)
    fill(backlog, key(2), key(3))
    assert backlog.close(1.0) == [Drop(key(0), "superseded"), Drop(key(1), "superseded")]


def test_the_timer_drops_what_is_overdue_and_nothing_else() -> None:
    backlog = opened(deadline_s=5.0)
    backlog.offer(key(0), "", 0.0, 0.0)
    send_one(backlog)
    backlog.offer(key(1), "", 1.0, 1.0)
    backlog.offer(key(2), "", 2.0, 2.0)
    assert backlog.next_timer() == 5.0
    assert backlog.timer(6.0) == [Drop(key(1), "expired"), Drop(key(0), "unanswered")]
    assert backlog.next_timer() == 7.0
    backlog.validate()


def test_an_overdue_window_does_not_go_even_before_the_timer_ran() -> None:
    backlog = opened(deadline_s=5.0)
    fill(backlog, key(0))
    assert backlog.next(5.0) is None


def test_idle_is_told_per_stream() -> None:
    backlog = opened()
    fill(backlog, key(0, "a"), key(0, "b"))
    assert send_one(backlog) == key(0, "a")
    a, b, other_epoch = StreamKey("a", 7), StreamKey("b", 7), StreamKey("a", 8)
    assert [backlog.idle(each) for each in (a, b, other_epoch, None)] == [False, False, True, False]
    backlog.answered(key(0, "a"), 1.0)
    assert [backlog.idle(each) for each in (a, b, None)] == [True, False, False]


@pytest.mark.parametrize(
    "arguments", [(0, 1.0, 1, 1), (1, 0.0, 1, 1), (1, float("nan"), 1, 1), (1, 1.0, 0, 1), (1, 1.0, 1, 0)]
)
def test_a_backlog_without_room_or_time_is_a_bug_told_at_once(arguments: tuple[int, float, int, int]) -> None:
    with pytest.raises(ValueError, match="needs room and time"):
        Backlog(*arguments)


# -- everything in any order ------------------------------------------------------------------------------------------

keys = st.builds(key, st.integers(0, 30), st.sampled_from("ab"))


class AnyOrder(RuleBasedStateMachine):
    """Events in any order on a virtual clock: every window offered ends exactly once, and credit is never exceeded."""

    def __init__(self) -> None:
        super().__init__()
        self.backlog: Backlog[WindowKey] = Backlog(capacity=3, deadline_s=5.0, max_in_flight=4, memory=1000)
        self.now = 0.0
        self.ended: list[WindowKey] = []
        self.taken: set[WindowKey] = set()
        self.granted = 0
        self.used: set[WindowKey] = set()
        self.encoding: list[Send[WindowKey]] = []

    def see(self, drops: list[Drop] | list[Drop | Lapsed]) -> None:
        self.ended += [each.key for each in drops if isinstance(each, Drop)]

    @rule(step=st.floats(0.0, 3.0))
    def time_passes(self, step: float) -> None:
        self.now += step
        self.see(self.backlog.timer(self.now))
        due = self.backlog.next_timer()
        assert due is None or due > self.now

    @rule(each=keys, age=st.floats(0.0, 6.0))
    def offer(self, each: WindowKey, age: float) -> None:
        drops = self.backlog.offer(each, each, self.now - age, self.now)
        if drops == [Drop(each, "duplicate")]:
            assert each in self.taken
        else:
            assert each not in self.taken
            self.taken.add(each)
            self.see(drops)

    @rule()
    def open(self) -> None:
        self.see(self.backlog.open(self.now))
        self.granted, self.used = 0, set()

    @rule()
    def close(self) -> None:
        self.see(self.backlog.close(self.now))
        self.granted, self.used = 0, set()

    @rule(windows=st.integers(0, 6), lease_s=st.floats(0.0, 4.0))
    def credit(self, windows: int, lease_s: float) -> None:
        self.backlog.credit(windows, 10**6, lease_s, self.now)
        self.granted = max(self.granted, windows)

    @rule()
    def take(self) -> None:
        item = self.backlog.next(self.now)
        if item is not None:
            assert item.payload == item.key
            assert item.deadline > self.now
            self.encoding.append(item)

    @rule()
    def send(self) -> None:
        if self.encoding:
            item = self.encoding.pop(0)
            if self.backlog.sent(item.key, 10):
                self.used.add(item.key)
                assert len(self.used) <= self.granted

    @rule(each=keys)
    def answer(self, each: WindowKey) -> None:
        before = self.backlog.drops["unanswered"]
        if self.backlog.answered(each, self.now) == "accepted" or self.backlog.drops["unanswered"] > before:
            self.ended.append(each)

    @rule(each=keys, reason=st.sampled_from(["failed", "lost"]))
    def router_drops(self, each: WindowKey, reason: str) -> None:
        drop = self.backlog.dropped(each, reason)
        self.see([drop] if drop else [])

    @rule(each=keys)
    def miss(self, each: WindowKey) -> None:
        item = self.backlog.missing(each)
        if isinstance(item, Drop):
            self.see([item])
        elif item is not None:
            assert item.resend

    @invariant()
    def holds(self) -> None:
        self.backlog.validate()
        assert len(self.ended) == len(set(self.ended)), "a window ended twice"
        assert len(self.taken) == len(self.ended) + self.backlog.waiting + self.backlog.in_flight

    def teardown(self) -> None:
        self.see(self.backlog.timer(self.now + 100.0))
        assert self.backlog.idle()
        assert sorted(self.ended) == sorted(self.taken)


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_the_age_of_a_queue_is_that_of_its_oldest_window_since_capture() -> None:
    backlog = opened()
    assert backlog.ages_s(5.0) == (0.0, 0.0)
    backlog.offer(key(1), "x", 1.0, 2.0)
    backlog.offer(key(2), "x", 2.0, 3.0)
    assert backlog.ages_s(5.0) == (4.0, 0.0)
    assert send_one(backlog, now=5.0) == key(2)
    assert backlog.ages_s(5.0) == (4.0, 3.0)
