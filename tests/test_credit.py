"""The router's grants: totals that never fall, a share that is never exceeded, and an honest edge never refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clownfish.backlog import Backlog, Send
from clownfish.credit import CreditLedger
from clownfish.messages import WindowKey


def key(t: int) -> WindowKey:
    return WindowKey("door", 7, t)


def test_a_new_session_is_granted_its_share() -> None:
    assert CreditLedger(windows_per_edge=4, bytes_per_edge=1000).totals() == (4, 1000)


def test_totals_rise_only_when_windows_finish() -> None:
    ledger = CreditLedger(windows_per_edge=2, bytes_per_edge=1000)
    assert ledger.received(key(0), 300) == "accepted"
    assert ledger.totals() == (2, 1000)
    assert ledger.outstanding == (1, 300)
    assert ledger.finished(key(0)) == (3, 1300)
    assert ledger.outstanding == (0, 0)


def test_a_window_is_finished_only_once() -> None:
    ledger = CreditLedger()
    ledger.received(key(0), 10)
    assert ledger.finished(key(0)) is not None
    assert ledger.finished(key(0)) is None
    assert ledger.finished(key(1)) is None
    assert ledger.totals()[0] == 5


def test_missing_frames_that_come_later_cost_bytes_but_no_window() -> None:
    ledger = CreditLedger(windows_per_edge=2, bytes_per_edge=1000)
    ledger.received(key(0), 300)
    assert ledger.received(key(0), 50) == "again"
    assert ledger.outstanding == (1, 350)
    assert ledger.finished(key(0)) == (3, 1350)


def test_missing_frames_that_come_after_the_window_is_over_keep_the_totals_in_step() -> None:
    ledger = CreditLedger(windows_per_edge=2, bytes_per_edge=1000)
    ledger.received(key(0), 300)
    ledger.finished(key(0))
    assert ledger.received(key(0), 50) == "late"
    assert ledger.totals() == (3, 1350)


def test_a_window_beyond_the_grant_is_overdrawn() -> None:
    ledger = CreditLedger(windows_per_edge=2, bytes_per_edge=1000)
    assert [ledger.received(key(t), 1) for t in range(3)] == ["accepted", "accepted", "overdrawn"]
    assert ledger.overdrawn == 1
    assert ledger.outstanding == (2, 2)


def test_windows_after_a_whole_share_too_many_bytes_are_overdrawn() -> None:
    ledger = CreditLedger(windows_per_edge=9, bytes_per_edge=1000)
    assert [ledger.received(key(t), 1500) for t in range(3)] == ["accepted", "accepted", "overdrawn"]


def test_finished_windows_are_remembered_within_bounds() -> None:
    ledger = CreditLedger(memory=2)
    for t in range(5):
        ledger.received(key(t), 1)
        ledger.finished(key(t))
    assert ledger.received(key(4), 1) == "late"
    assert ledger.received(key(0), 1) == "accepted"


@pytest.mark.parametrize("shares", [(0, 1), (1, 0)])
def test_a_share_that_lets_nothing_through_is_a_bug_told_at_once(shares: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="share must let it send"):
        CreditLedger(*shares)


@given(
    share=st.tuples(st.integers(1, 4), st.integers(1, 300)),
    steps=st.lists(st.tuples(st.sampled_from(["send", "finish", "grant"]), st.integers(1, 400)), max_size=80),
)
def test_an_edge_that_keeps_to_its_credit_is_never_overdrawn_and_never_stuck(
    share: tuple[int, int], steps: list[tuple[str, int]]
) -> None:
    """Backlog and ledger joined without a network; grants may be late, and the last one is enough."""
    ledger = CreditLedger(*share)
    backlog: Backlog[None] = Backlog(capacity=100, deadline_s=1e6)
    backlog.open(0.0)
    there: list[WindowKey] = []

    def send(size_bytes: int) -> bool:
        item = backlog.next(1.0)
        if item is None:
            return False
        assert isinstance(item, Send)
        assert backlog.sent(item.key, size_bytes)
        assert ledger.received(item.key, size_bytes) == "accepted"
        there.append(item.key)
        return True

    for t, (step, number) in enumerate(steps):
        backlog.offer(key(t), None, 0.0, 1.0)
        if step == "send":
            send(number)
        elif step == "grant":
            backlog.credit(*ledger.totals(), 1e6, 1.0)
        elif there:
            done = there.pop(number % len(there))
            ledger.finished(done)
            assert backlog.answered(done, 1.0) == "accepted"
        assert ledger.outstanding[0] <= ledger.windows_per_edge
        backlog.validate()
    for done in there:
        ledger.finished(done)
        backlog.answered(done, 1.0)
    backlog.offer(key(len(steps)), None, 0.0, 1.0)
    backlog.credit(*ledger.totals(), 1e6, 1.0)
    assert send(1)
