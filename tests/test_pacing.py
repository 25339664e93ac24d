"""Pacer: the rung that is worth most on the link as it is; down at once, up when it has looked better for a while."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clownfish.allowance import Allowance
from clownfish.errors import ConfigError
from clownfish.filters import FILTERS
from clownfish.filters.adaptive import Adaptive
from clownfish.gate import Gate
from clownfish.ladder import Ladder, Rung, Way, ladder_from, tree_of
from clownfish.messages import Pace, WindowKey
from clownfish.pacing import MOST, PATIENCE_S, Pacer

UTC = 1.8e9
LAGS_S = (0.0, 0.5, 1.0, 4.0)


def rung(kbit_s: float, window_kb: float, gain: float, n_w: int, quality: int = 75) -> Rung:
    """Live answers lose all that they gain where they are 4 s late."""
    live = tuple(gain * (1 - lag / 4) for lag in LAGS_S)
    return Rung(Pace(1e-6, 0, 0, n_w), Way("jpeg", (("quality", quality),)), kbit_s * 125, window_kb * 1000, live, gain)


LADDER = Ladder(LAGS_S, (rung(50, 20, 0.05, 60, 30), rung(400, 20, 0.12, 6, 30), rung(1600, 60, 0.16, 6)))
SLOW, MIDDLE, BEST = LADDER.rungs


class Drive:
    """A pacer whose windows cross a link of `mbit`, as often as the rung in force says, times `factor`."""

    def __init__(self, pacer: Pacer, rtt_s: float = 0.02, factor: float = 1.0) -> None:
        self.pacer, self.rtt_s, self.factor = pacer, rtt_s, factor
        self.now, self._t, self._next, self._free = 0.0, 0, 0.0, 0.0
        self._waits = False
        self.seen: list[tuple[float, Rung]] = []
        pacer.opened(0.0)

    def go(self, seconds: float, mbit: float) -> Rung:
        """Windows are offered whatever the link does; the newest waits while it is busy."""
        end = self.now + seconds
        while self.now < end:
            self.pacer.meter.round_trip(self.rtt_s, self.now)
            here = self.pacer.rung
            while self.now >= self._next:
                self.pacer.offered(self.now)
                self._waits = True
                self._next += here.window_bytes / here.bytes_per_s / self.factor
            if self._waits and self.now >= self._free:
                self._waits = False
                size = int(here.window_bytes)
                key, self._t = WindowKey("cam", 0, self._t), self._t + 1
                self.pacer.sent(key, size, self.now, UTC + self.now)
                self._free = self.now + size * 8e-6 / mbit
                self.pacer.meter.answered(key, 0.03, self._free + self.rtt_s + 0.03)
            self.seen.append((self.now, self.pacer.choose(self.now, UTC + self.now)))
            self.now += 0.05
        return self.pacer.rung


def test_nobody_there_means_the_first_rung() -> None:
    pacer = Pacer(LADDER)
    assert pacer.choose(0.0, UTC) is SLOW
    drive = Drive(pacer)
    assert drive.go(20, 20) is BEST
    pacer.closed(drive.now)
    assert pacer.choose(drive.now + PATIENCE_S, UTC) is BEST, "a session that ends is often followed by another"
    pacer.closed(drive.now + 5.0)  # one that never began changes nothing
    assert pacer.choose(drive.now + PATIENCE_S + 0.1, UTC) is SLOW


def test_what_fits_the_link_and_is_worth_most_is_sent() -> None:
    assert Drive(Pacer(LADDER)).go(30, 20.0) is BEST
    assert Drive(Pacer(LADDER)).go(30, 1.0) is MIDDLE
    assert Drive(Pacer(LADDER)).go(60, 0.2) is SLOW


def test_down_at_once_and_up_after_a_while() -> None:
    drive = Drive(Pacer(LADDER, rise_s=3.0))
    drive.go(20, 20)
    fell = drive.now
    assert drive.go(4.0, 0.8) is not BEST
    down = next(at for at, rung in drive.seen if at >= fell and rung is not BEST)
    rose = drive.now
    assert drive.go(30, 20) is BEST
    up = next(at for at, rung in drive.seen if at >= rose and rung is BEST)
    assert down - fell < 2.5
    assert up - rose >= 3.0


def test_a_hole_changes_nothing_until_it_is_longer_than_patience() -> None:
    """What was not asked in a hole is missing after it; less asked had cost live accuracy on a link with outages."""
    drive = Drive(Pacer(LADDER))
    drive.go(20, 20)
    pacer, begin = drive.pacer, drive.now
    stuck = WindowKey("cam", 0, 10**6)
    pacer.sent(stuck, 60_000, begin, UTC)
    assert all(pacer.choose(begin + n / 10, UTC) is BEST for n in range(int(10 * PATIENCE_S)))
    pacer.meter.answered(stuck, 0.03, begin + PATIENCE_S)
    drive.now = drive._next = drive._free = begin + PATIENCE_S
    assert drive.go(5, 20) is BEST
    assert all(rung is BEST for at, rung in drive.seen if at > begin)
    pacer.sent(WindowKey("cam", 0, 10**6 + 1), 60_000, drive.now, UTC)
    assert pacer.choose(drive.now + PATIENCE_S + 0.1, UTC) is SLOW


@given(st.floats(0.05, 40), st.floats(0.001, 0.3), st.floats(0.5, 2))
@settings(max_examples=30, deadline=None)
def test_on_a_link_that_stays_as_it_is_the_setting_does_so_too(mbit: float, rtt_s: float, factor: float) -> None:
    drive = Drive(Pacer(LADDER), rtt_s, factor)
    drive.go(120, mbit)
    settled = drive.pacer.changes
    drive.go(60, mbit)
    assert drive.pacer.changes - settled <= 1


def test_streams_that_send_more_than_the_ladders_are_reckoned_with() -> None:
    assert Drive(Pacer(LADDER), factor=1.0).go(90, 2.5) is BEST
    assert Drive(Pacer(LADDER), factor=3.0).go(90, 2.5) is not BEST


def test_many_streams_share_the_link() -> None:
    pacer = Pacer(LADDER, streams=8)
    drive = Drive(pacer, factor=8.0)
    assert drive.go(60, 12.0) is not BEST
    assert Drive(Pacer(LADDER, streams=8), factor=8.0).go(60, 40.0) is BEST


def test_a_byte_must_bring_its_price() -> None:
    assert Drive(Pacer(LADDER, price=0.05)).go(30, 20.0) is MIDDLE
    assert Drive(Pacer(LADDER, price=1.0)).go(30, 20.0) is SLOW


def test_the_allowance_bounds_what_is_sent() -> None:
    drive = Drive(Pacer(LADDER, Allowance(mbit_s=0.5)))
    drive.go(300, 20.0)
    share = [rung for at, rung in drive.seen if at > 60]
    assert BEST not in share
    assert share.count(MIDDLE) > share.count(SLOW)


def test_a_month_that_is_used_up_leaves_nothing_to_send() -> None:
    pacer = Pacer(LADDER, Allowance(gb_month=0.001))
    drive = Drive(pacer)
    drive.go(30, 20.0)
    pacer.sent(WindowKey("cam", 0, 10**6), 10**6, drive.now, UTC)
    assert not pacer.may_send(drive.now, UTC)
    assert pacer.choose(drive.now, UTC) is SLOW


def test_the_correction_for_streams_unlike_the_ladders_is_bounded() -> None:
    pacer = Pacer(LADDER)
    pacer.opened(0.0)
    for n in range(10_000):
        pacer.offered(n / 100)
    pacer.meter.round_trip(0.01, 100)
    worth = pacer.worth(SLOW, SLOW.bytes_per_s * MOST / 0.8, float("inf"))
    assert worth > -1, "no more than MOST times what the ladder says"


def test_a_ladder_is_read_as_it_was_written() -> None:
    scaled = replace(BEST, way=Way("jpeg", (("quality", 30),), 0.5))
    ladder = Ladder(LAGS_S, (SLOW, scaled, BEST))
    assert ladder_from(json.loads(json.dumps(tree_of(ladder))), "here") == ladder


@pytest.mark.parametrize(
    "spoil",
    [
        lambda tree: tree.pop("lags_s"),
        lambda tree: tree["rung"].clear(),
        lambda tree: tree["rung"][0].pop("live"),
        lambda tree: tree["rung"][0]["live"].pop(),
        lambda tree: tree["rung"][0].update(bytes_per_s=0),
        lambda tree: tree["rung"][0].update(scale=2),
        lambda tree: tree["rung"][0]["pace"].update(speed=3),
        lambda tree: tree.update(lags_s=[1, 1, 2, 3]),
        lambda tree: tree.update(rung=7),
    ],
)
def test_what_is_no_ladder_is_refused(spoil: object) -> None:
    tree = json.loads(json.dumps(tree_of(LADDER)))
    assert callable(spoil)
    spoil(tree)
    with pytest.raises(ConfigError):
        ladder_from(tree, "here.json")


def test_gains_are_read_between_the_lags() -> None:
    assert LADDER.live_gain(BEST, 0.25) == pytest.approx(0.16 * (1 - 0.25 / 4))
    assert LADDER.live_gain(BEST, -1) == pytest.approx(0.16)
    assert LADDER.live_gain(BEST, 99) == pytest.approx(0.0)


def test_sizes_of_a_scaled_frame_are_even() -> None:
    assert Way("jpeg", scale=0.5).size(172, 128) == (86, 64)
    assert Way("jpeg", scale=0.3).size(171, 127) == (52, 38)
    assert Way("jpeg").size(171, 127) == (171, 127)


def test_the_gate_tells_every_stream_its_pace_also_one_to_come() -> None:
    made: list[Adaptive] = []

    def make() -> Adaptive:
        made.append(FILTERS.get("adaptive")())  # type: ignore[arg-type]
        return made[-1]

    gate: Gate[None] = Gate(make)
    gate.window(WindowKey("a", 1, 0), None, 0.0)
    gate.pace(Pace(0.5, 2, 0, 10))
    gate.window(WindowKey("b", 1, 0), None, 0.0)
    assert [(each.threshold, each.patience, each.follow, each.n_w) for each in made] == [(0.5, 2, 0, 10)] * 2
