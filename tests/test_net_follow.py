"""Phases told as they begin, on a real clock with short phases."""

from __future__ import annotations

import threading
import time

from clownfish.lab.net.follow import follow
from clownfish.lab.net.shape import Phase, Shape, Timeline


def timeline(*durations: float, repeat: bool = False) -> Timeline:
    phases = (Phase(up=Shape(rate_mbit=i + 1), down=Shape(), for_s=for_s) for i, for_s in enumerate(durations))
    return Timeline(tuple(phases), repeat)


def told(made: Timeline, t_s: float = 0.0, until_s: float | None = None) -> list[tuple[float, float | None]]:
    """(when, the phase's rate up) of each that was entered."""
    begin = time.monotonic()
    entered: list[tuple[float, float | None]] = []

    def enter(phase: Phase) -> None:
        entered.append((time.monotonic() - begin, phase.up.rate_mbit))

    if until_s is None:
        follow(made, enter, threading.Event(), t_s)
    else:
        follow(made, enter, threading.Event(), t_s, until_s)
    return entered


def test_each_phase_is_told_when_it_begins_and_after_the_last_nothing_is() -> None:
    entered = told(timeline(0.1, 0.2, 9))
    assert [rate for _, rate in entered] == [2, 3]
    assert entered[0][0] >= 0.1
    assert entered[1][0] >= 0.3


def test_it_begins_where_it_is_told_to() -> None:
    assert [rate for _, rate in told(timeline(5, 0.1, 9), t_s=5.05)] == [3]


def test_phases_that_repeat_are_told_until_the_end() -> None:
    assert [rate for _, rate in told(timeline(0.1, 0.1, repeat=True), until_s=0.45)] == [2, 1, 2, 1]


def test_what_never_changes_lasts_until_the_end() -> None:
    begin = time.monotonic()
    assert told(timeline(9), until_s=0.2) == []
    assert time.monotonic() - begin >= 0.2
    assert told(timeline(9)) == []


def test_who_stops_it_need_not_wait() -> None:
    stop = threading.Event()
    entered: list[Phase] = []
    thread = threading.Thread(target=follow, args=(timeline(60, 60), entered.append, stop))
    thread.start()
    stop.set()
    thread.join(5)
    assert not thread.is_alive()
    assert entered == []
