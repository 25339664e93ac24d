"""LinkMeter over a modelled link: the rate it reads, and that no standing queue forms, whatever the rate does."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clownfish.linkmeter import LEAST_RATE, RTT_WINDOW_S, Arrival, LinkMeter
from clownfish.messages import WindowKey

WINDOW_S = 4 / 30


@dataclass
class Fluid:
    """A first-in-first-out link whose rate (bytes/s) changes at given times, and a worker at its end."""

    rates: list[tuple[float, float]]
    rtt_s: float
    model_s: float
    free: float = 0.0
    worker_free: float = 0.0
    ages: list[tuple[float, float]] = field(default_factory=list)
    """Of each window: (age when the router had it, what its bound is)."""
    largest: int = 0
    arrivals: list[Arrival] = field(default_factory=list)
    """As the meter has them."""

    def leaves(self, begin: float, size: float) -> float:
        """When the last of so many bytes, which begin then, has left."""
        for n, (since, rate) in enumerate(self.rates):
            until = self.rates[n + 1][0] if n + 1 < len(self.rates) else float("inf")
            if until <= begin:
                continue
            begin = max(begin, since)
            if rate and size <= rate * (until - begin):
                return begin + size / rate
            size -= rate * (until - begin)
            begin = until
        raise AssertionError("the last rate is for ever, and above 0")

    def send(self, now: float, size: int, ahead: float) -> float:
        """When its answer is here. `ahead`: bytes that may be before it."""
        self.largest = max(self.largest, size)
        left = self.free = self.leaves(max(now, self.free), size)
        arrived = left + self.rtt_s / 2
        bound = self.rtt_s + self.leaves(now, ahead + size) - now
        self.ages.append((arrived - now, bound))
        self.worker_free = max(arrived, self.worker_free) + self.model_s
        return self.worker_free + self.rtt_s / 2


def drive(link: Fluid, sizes: list[int], meter: LinkMeter, seconds: float, ahead: float | None = None) -> int:
    """Windows are always there to be sent, the newest first, whenever there is room; returns how many were.

    `ahead`: bytes that are allowed before a window; None: the largest window's.
    """
    answers: list[tuple[float, WindowKey]] = []
    size_of = itertools.cycle(sizes)
    now, count = 0.0, 0
    meter.round_trip(link.rtt_s, 0.0)
    while now < seconds:
        if meter.room(now):
            key, size = WindowKey("cam", 0, count), next(size_of)
            meter.sent(key, size, now)
            answers.append((link.send(now, size, max(sizes) if ahead is None else ahead), key))
            count += 1
            continue
        wait = meter.next_room(now)
        now = min([at for at, _ in answers] + ([wait] if wait is not None else []))
        for at, key in [each for each in answers if each[0] <= now]:
            answers.remove((at, key))
            arrival = meter.answered(key, link.model_s, at)
            assert arrival is not None
            link.arrivals.append(arrival)
    return count


@pytest.mark.parametrize("mbit", [0.5, 5.0, 50.0])
@pytest.mark.parametrize("rtt_s", [0.003, 0.153])
def test_the_rate_is_read_from_windows_that_do_not_fill_the_link(mbit: float, rtt_s: float) -> None:
    link = Fluid([(0.0, mbit * 1e6 / 8)], rtt_s, 0.05)
    meter = LinkMeter()
    meter.round_trip(rtt_s, 0.0)
    now = 0.0
    for t in range(20):
        key = WindowKey("cam", 0, t)
        meter.sent(key, 20_000, now)
        meter.answered(key, 0.05, link.send(now, 20_000, 0))
        now += 1.0
    assert meter.rate(now) == pytest.approx(link.rates[0][1], rel=0.02)
    assert meter.model_s == pytest.approx(0.05)


def test_a_rate_that_falls_shows_within_a_few_windows_and_one_that_rises_too() -> None:
    link = Fluid([(0.0, 1e6), (10.0, 1e5), (20.0, 1e6)], 0.03, 0.02)
    meter = LinkMeter()
    meter.round_trip(0.03, 0.0)
    seen, now = {}, 0.0
    for t in range(30):
        key = WindowKey("cam", 0, t)
        meter.sent(key, 20_000, now)
        meter.answered(key, 0.02, link.send(now, 20_000, 0))
        now += 1.0
        seen[t] = meter.rate(now)
    assert seen[9] == pytest.approx(1e6, rel=0.02)
    assert 1e5 <= seen[14] <= 1.3e5
    assert seen[28] == pytest.approx(1e6, rel=0.1)


def test_an_outage_shows_before_any_answer() -> None:
    meter = LinkMeter()
    meter.round_trip(0.03, 0.0)
    meter.sent(WindowKey("cam", 0, 0), 50_000, 0.0)
    meter.answered(WindowKey("cam", 0, 0), 0.02, 0.1)
    assert meter.rate(1.0) == pytest.approx(1e6)
    meter.sent(WindowKey("cam", 0, 1), 50_000, 1.0)
    assert meter.rate(1.1) == pytest.approx(1e6)
    assert meter.rate(3.05) == pytest.approx(50_000 / 2.0)


@given(mbit=st.floats(0.2, 50), rtt_s=st.floats(0.003, 0.2), hole_s=st.floats(0.01, 60), narrower=st.floats(4, 100))
@settings(max_examples=50, deadline=None)
def test_a_hole_leaves_the_rate_as_it_was_and_a_link_that_narrows_shows_after_two_windows(
    mbit: float, rtt_s: float, hole_s: float, narrower: float
) -> None:
    meter, size, wide = LinkMeter(), 20_000, mbit * 1e6 / 8
    now, count = 0.0, 0
    meter.round_trip(rtt_s, 0.0)

    def window(takes_s: float) -> None:
        nonlocal now, count
        key, count = WindowKey("cam", 0, count), count + 1
        meter.sent(key, size, now)
        now += takes_s + rtt_s + 0.05
        meter.answered(key, 0.05, now)

    more_s = size / wide + rtt_s  # by so much a transmission may be longer and still be jitter's
    for _ in range(5):
        window(size / wide)
    window(size / wide + more_s + hole_s)
    for _ in range(3):
        assert meter.carried == pytest.approx(wide, rel=0.05)
        window(size / wide)
    slow_s = max(narrower * size / wide, size / wide + more_s + hole_s)
    window(slow_s)
    assert meter.carried == pytest.approx(wide, rel=0.05), "it may have been a hole"
    window(slow_s)
    assert meter.carried is not None
    assert meter.carried < 0.8 * wide


def test_for_how_long_nothing_was_answered() -> None:
    meter = LinkMeter()
    assert meter.waits_s(9.0) == 0
    for t, at in ((0, 10.0), (1, 11.0)):
        meter.sent(WindowKey("cam", 0, t), 1000, at)
    assert meter.waits_s(12.0) == 2
    meter.answered(WindowKey("cam", 0, 0), 0.02, 13.0)
    assert meter.waits_s(14.0) == 1, "one waits still, but there was an answer since"
    meter.session_over()
    assert meter.waits_s(15.0) == 2, "it was not answered by that"
    meter.sent(WindowKey("cam", 0, 1), 1000, 15.0)
    meter.answered(WindowKey("cam", 0, 1), 0.02, 16.0)
    assert meter.waits_s(30.0) == 0


def test_a_window_that_waits_behind_others_is_older_than_its_bound() -> None:
    """What [uplink] in_flight = "credit" does on a narrow link, and an outage does to whatever is under way."""
    meter = LinkMeter()
    meter.round_trip(0.06, 0.0)
    arrivals = []
    for t in range(4):
        meter.sent(WindowKey("cam", 0, t), 20_000, 0.0)
    for t in range(4):
        arrivals.append(meter.answered(WindowKey("cam", 0, t), 0.01, 0.2 * (t + 1) + 0.06 + 0.01))
    assert [round(each.age_s, 3) for each in arrivals if each] == [0.23, 0.43, 0.63, 0.83]
    assert [round(each.bound_s, 3) for each in arrivals if each] == [0.46] * 4
    assert meter.answered(WindowKey("cam", 0, 0), 0.01, 9.0) is None


def test_a_small_window_follows_without_waiting_for_an_answer() -> None:
    """Windows that follow a large one share most of its frames; waiting for its answer made them a round trip late."""
    meter = LinkMeter()
    meter.round_trip(0.06, 0.0)
    meter.sent(WindowKey("cam", 0, 0), 40_000, 0.0)
    meter.answered(WindowKey("cam", 0, 0), 0.05, 0.2 + 0.06 + 0.05)  # 200 kB/s
    for t, (at, size) in enumerate(((1.0, 40_000), (1.14, 8_000)), 1):
        assert meter.room(at)
        meter.sent(WindowKey("cam", 0, t), size, at)
    assert meter.room(1.27), "nothing was answered yet, and nothing stands"
    meter.sent(WindowKey("cam", 0, 3), 40_000, 1.27)
    assert not meter.room(1.28)


def test_a_busy_worker_is_no_slower_link() -> None:
    """Two windows come together; the second waits for the model, and its answer says so by coming right behind."""
    meter = LinkMeter()
    meter.round_trip(0.01, 0.0)
    for t in range(2):
        meter.sent(WindowKey("cam", 0, t), 50_000, 0.0)
    meter.answered(WindowKey("cam", 0, 0), 0.5, 0.05 + 0.01 + 0.5)
    before = meter.rate(0.6)
    meter.answered(WindowKey("cam", 0, 1), 0.5, 0.05 + 0.01 + 1.0)
    assert meter.rate(1.1) == before == pytest.approx(1e6)


def test_a_window_without_new_frames_says_nothing_of_the_rate() -> None:
    """One that waits long made the rate 0, by which the pacer divides."""
    meter = LinkMeter()
    meter.sent(WindowKey("cam", 0, 0), 50_000, 0.0)
    meter.answered(WindowKey("cam", 0, 0), 0.02, 0.1)
    before = meter.rate(1.0)
    meter.sent(WindowKey("cam", 0, 1), 0, 1.0)
    assert meter.rate(30.0) == before
    meter.sent(WindowKey("cam", 0, 2), 1, 30.0)
    assert meter.rate(1e9) == LEAST_RATE


def test_the_round_trip_is_the_least_of_half_a_minute() -> None:
    meter = LinkMeter()
    for at, rtt in ((0.0, 0.05), (1.0, 0.02), (2.0, 0.09)):
        meter.round_trip(rtt, at)
    assert (meter.rtt_s, meter.queue_s) == (0.02, pytest.approx(0.07))
    meter.round_trip(0.06, 1.5 + RTT_WINDOW_S)
    assert meter.rtt_s == 0.06


def test_a_round_trip_behind_windows_is_none() -> None:
    """On a link that is never empty each is longer by the queue; believed, that let the queue grow to three windows."""
    meter = LinkMeter()
    meter.round_trip(0.06, 1.0)
    meter.sent(WindowKey("cam", 0, 0), 1000, 1.5)
    meter.round_trip(0.5, 2.0)
    assert meter.rtt_s == 0.06, "a window went as it did"
    for at in range(3, 200):
        meter.round_trip(0.5, float(at))
    assert meter.rtt_s == 0.06, "nothing better is known, for however long"
    meter.round_trip(0.05, 200.0)
    assert meter.rtt_s == 0.05, "it can be no more than that"
    meter.answered(WindowKey("cam", 0, 0), 0.01, 201.0)
    meter.round_trip(0.5, 201.2)
    assert meter.rtt_s == 0.05, "the window was under way when it went"
    meter.round_trip(0.2, 201.3)
    assert meter.rtt_s == 0.05, "the least of half a minute"
    meter.round_trip(0.2, 232.0)
    assert meter.rtt_s == 0.2, "the path is another one"


def test_what_a_peer_says_of_its_model_cannot_make_a_rate_negative() -> None:
    meter = LinkMeter()
    for t, model_s in enumerate((1e9, -5.0, float("inf"))):
        meter.sent(WindowKey("cam", 0, t), 1000, float(t))
        meter.answered(WindowKey("cam", 0, t), model_s, t + 0.5)
    rate = meter.rate(4.0)
    assert rate is not None
    assert 0 < rate < float("inf")
    assert 0 <= meter.model_s <= 0.5


@given(
    mbit=st.floats(0.05, 200),
    rtt_s=st.floats(0, 0.3),
    model_s=st.floats(0.005, 0.3),
    sizes=st.lists(st.integers(500, 700_000), min_size=1, max_size=6),
)
@settings(max_examples=80, deadline=None)
def test_at_any_rate_a_window_is_younger_than_round_trip_its_transmission_and_one_credit(
    mbit: float, rtt_s: float, model_s: float, sizes: list[int]
) -> None:
    """One credit is the largest window's transmission."""
    link = Fluid([(0.0, mbit * 1e6 / 8)], rtt_s, model_s)
    drive(link, sizes, LinkMeter(), seconds=60 * max(sizes) / link.rates[0][1] + 20 * rtt_s)
    assert all(age <= bound + 0.002 for age, bound in link.ages)
    if model_s <= min(sizes) / link.rates[0][1]:  # else windows wait for the worker, which looks like age from here
        assert all(arrival.age_s <= arrival.bound_s + 0.002 for arrival in link.arrivals), "as the edge itself sees it"


@given(
    steps=st.lists(st.tuples(st.floats(0.2, 5), st.sampled_from([0.0, 0.1, 0.5, 1, 5, 20])), min_size=1, max_size=8),
    rtt_s=st.floats(0.001, 0.2),
    size=st.integers(5_000, 600_000),
)
@settings(max_examples=80, deadline=None)
def test_however_the_rate_changes_no_more_is_ahead_of_a_window_than_one_or_half_a_round_trip_of_before(
    steps: list[tuple[float, float]], rtt_s: float, size: int
) -> None:
    at, rates = 0.0, []
    for seconds, mbit in steps:
        rates.append((at, mbit * 1e6 / 8))
        at += seconds
    rates.append((at, 1e6))
    link = Fluid(rates, rtt_s, 0.03)
    most = max(rate for _, rate in rates)
    drive(link, [size], LinkMeter(), at + 10, ahead=size + most * (rtt_s + 0.03))
    assert all(age <= bound + 0.002 for age, bound in link.ages)


def test_the_link_is_kept_busy_where_windows_are_there_to_be_sent() -> None:
    """Room that never comes would bound the age, too."""
    for mbit, rtt_s, size in ((1.0, 0.05, 60_000), (20.0, 0.15, 60_000), (5.0, 0.003, 600_000)):
        link = Fluid([(0.0, mbit * 1e6 / 8)], rtt_s, 0.02)
        count = drive(link, [size], LinkMeter(), seconds=60)
        assert count * size / 60 >= 0.85 * link.rates[0][1], (mbit, rtt_s, size)
