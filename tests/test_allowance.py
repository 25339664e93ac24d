"""Allowance: bytes by the month, counted over restarts, and a mean rate."""

from __future__ import annotations

import math
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clownfish.allowance import BUCKET_S, BUFFER_BYTES, Allowance
from clownfish.errors import ConfigError


def utc(*when: int) -> float:
    return datetime(*when, tzinfo=timezone.utc).timestamp()  # type: ignore[arg-type,misc]


def test_without_limits_all_may_go() -> None:
    allowance = Allowance()
    allowance.spend(10**12, 0.0, utc(2026, 11, 1))
    assert allowance.rate(1.0, utc(2026, 11, 1)) == math.inf
    assert not allowance.used_up(1.0, utc(2026, 11, 1))


def test_a_month_is_spread_over_what_is_left_of_it() -> None:
    allowance = Allowance(gb_month=30.0)
    begin = utc(2026, 11, 1)
    assert allowance.rate(0.0, begin) == pytest.approx(30e9 / (30 * 86400))
    allowance.spend(15_000_000_000, 0.0, begin)
    assert allowance.rate(0.0, utc(2026, 11, 21)) == pytest.approx(15e9 / (10 * 86400))


def test_a_killed_process_leaves_its_month_to_the_next() -> None:
    buffer = bytearray(BUFFER_BYTES)
    when = utc(2026, 11, 30, 23, 59, 59)
    Allowance(gb_month=1.0, buffer=buffer).spend(999_999_999, 0.0, when)
    again = Allowance(gb_month=1.0, buffer=buffer)
    assert again.left(when) == 1
    assert not again.used_up(0.0, when)
    again.spend(1, 0.0, when)
    assert again.used_up(0.0, when)
    assert again.rate(0.0, when) == 0
    assert not again.used_up(0.0, when + 1), "December has its own"
    assert again.month_bytes == 0


def test_a_calendar_that_goes_back_gives_no_month_back() -> None:
    allowance = Allowance(gb_month=1.0)
    allowance.spend(10**9, 0.0, utc(2026, 12, 1))
    assert allowance.used_up(0.0, utc(2026, 11, 1))
    assert allowance.used_up(0.0, utc(2026, 12, 2)), "nor by coming back to its own"


def test_a_calendar_that_was_years_ahead_costs_one_month_and_not_years() -> None:
    buffer = bytearray(BUFFER_BYTES)
    Allowance(gb_month=1.0, buffer=buffer).spend(10**9, 0.0, utc(2036, 5, 1))
    assert Allowance(gb_month=1.0, buffer=buffer).used_up(0.0, utc(2026, 11, 30))
    again = Allowance(gb_month=1.0, buffer=buffer)
    assert not again.used_up(0.0, utc(2026, 12, 1))
    again.spend(10**9, 0.0, utc(2026, 12, 5))
    assert again.used_up(0.0, utc(2026, 12, 31))
    assert not again.used_up(0.0, utc(2027, 1, 1))


def test_a_box_without_a_clock_that_begins_in_1970_each_time_gets_no_month_twice() -> None:
    buffer = bytearray(BUFFER_BYTES)
    for day in range(1, 5):
        allowance = Allowance(gb_month=1.0, buffer=buffer)
        allowance.left(utc(1970, 1, 1))
        allowance.spend(3 * 10**8, 0.0, utc(2026, 12, day))
    assert allowance.used_up(0.0, utc(2026, 12, 5))


@pytest.mark.parametrize(
    "place", [0, 15, 23, 31], ids=["no magic", "a month that no calendar has", "less than nothing", "likewise shown"]
)
def test_a_buffer_that_holds_something_else_begins_anew_and_says_so(place: int) -> None:
    when = utc(2026, 11, 1)
    buffer = bytearray(BUFFER_BYTES)
    first = Allowance(gb_month=1.0, buffer=buffer)
    first.spend(5, 0.0, when)
    assert (first.origin, Allowance(buffer=buffer).origin) == ("new", "continued")
    buffer[place] ^= 0xFF
    again = Allowance(gb_month=1.0, buffer=buffer)
    assert (again.origin, again.left(when)) == ("reset", 10**9)


@given(st.binary(min_size=BUFFER_BYTES, max_size=BUFFER_BYTES), st.integers(0, BUFFER_BYTES))
def test_whatever_a_buffer_holds_there_is_a_sane_month(noise: bytes, whole: int) -> None:
    buffer = bytearray(BUFFER_BYTES)
    Allowance(buffer=buffer)
    buffer[whole:] = noise[whole:]
    allowance = Allowance(gb_month=1.0, buffer=buffer)
    allowance.spend(1, 0.0, utc(2026, 11, 1))
    assert allowance.month_bytes >= 1
    assert allowance.rate(0.0, utc(2026, 11, 1)) >= 0


def test_leap_years_and_new_years_end_when_they_do() -> None:
    allowance = Allowance(gb_month=1.0)
    assert allowance.rate(0.0, utc(2028, 2, 28)) == pytest.approx(1e9 / (2 * 86400))
    assert allowance.rate(0.0, utc(2026, 12, 31)) == pytest.approx(1e9 / 86400)


@pytest.mark.parametrize("limits", [{"mbit_s": 0.0}, {"gb_month": -1.0}, {"mbit_s": math.nan}, {"mbit_s": math.inf}])
def test_a_limit_of_nothing_is_refused(limits: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="expected more than 0"):
        Allowance(**limits)


@given(st.floats(0.1, 20), st.integers(0, 2**32 - 1))
def test_whoever_keeps_to_the_rate_to_aim_at_spends_the_mean_rate(mbit_s: float, seed: int) -> None:
    """Sending in lumps, whenever the rate to aim at has paid for one."""
    import random

    chance = random.Random(seed)
    allowance = Allowance(mbit_s)
    when, now, spent, saved = utc(2026, 11, 1), 0.0, 0, 0.0
    while now < 20 * BUCKET_S:
        step = chance.uniform(0.05, 0.5)
        now += step
        saved += step * allowance.rate(now, when)
        lump = int(chance.uniform(0.1, 1.0) * mbit_s * 1e6 / 8)
        if saved >= lump and not allowance.used_up(now, when):
            allowance.spend(lump, now, when)
            spent += lump
            saved -= lump
    assert spent * 8e-6 / now == pytest.approx(mbit_s, rel=0.06)
