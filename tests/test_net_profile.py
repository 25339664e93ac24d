"""Profiles as files, and their timelines."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clownfish.errors import ConfigError
from clownfish.lab.net.profile import known_profiles, read_profile
from clownfish.lab.net.shape import Phase, Shape, Timeline


def write(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text)
    return str(path)


def test_the_profiles_of_the_issue_are_there() -> None:
    wanted = {"lan", "regional", "intercontinental", "capped-7.5", "capped-5", "abca", "lte", "flaky", "dead"}
    assert wanted <= set(known_profiles())


@pytest.mark.parametrize("name", known_profiles())
def test_a_profile_that_ships_can_be_read_and_says_what_it_is(name: str) -> None:
    profile = read_profile(name)
    assert profile.name == name
    assert profile.about


@pytest.mark.parametrize(("name", "rtt_ms"), [("lan", 3), ("regional", 13), ("intercontinental", 153)])
def test_the_paper_s_latencies_are_round_trips(name: str, rtt_ms: float) -> None:
    phase = read_profile(name).timeline.phases[0]
    assert phase.rtt_ms == rtt_ms
    assert phase.up.delay_ms == phase.down.delay_ms


def test_abca_is_no_cap_then_7_5_then_5_then_no_cap() -> None:
    assert [phase.up.rate_mbit for phase in read_profile("abca").timeline.phases] == [None, 7.5, 5, None]


def test_a_phase_names_only_what_differs(tmp_path: Path) -> None:
    timeline = read_profile(
        write(tmp_path, "[up]\ndelay_ms = 7\nloss = 0.1\n[[phases]]\nfor_s = 2\nup = { loss = 1 }\n[[phases]]\n")
    ).timeline
    assert [phase.up for phase in timeline.phases] == [Shape(delay_ms=7, loss=1), Shape(delay_ms=7, loss=0.1)]
    assert timeline.phases[0].down == Shape()


def test_a_trace_shares_its_round_trip_between_both_directions(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("t_s,rtt_ms,rate_mbit\n0,40,3\n0.5,60,5\n")
    timeline = read_profile(write(tmp_path, 'trace = "t.csv"\n[down]\nrate_mbit = 9\n')).timeline
    assert [(p.for_s, p.rtt_ms, p.up.rate_mbit, p.down.rate_mbit) for p in timeline.phases] == [
        (0.5, 40, 3, 9),
        (0.5, 60, 5, 9),
    ]


def test_a_rate_of_zero_in_a_trace_is_an_outage_and_its_first_row_counts_from_the_start(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("# drawn\nt_s,rtt_ms,rate_mbit\n2, 40, 3\n5, 60, 0\n")
    timeline = read_profile(write(tmp_path, 'trace = "t.csv"\n')).timeline
    assert [(p.for_s, p.up.loss, p.down.loss) for p in timeline.phases] == [(5, 0, 0), (3, 1, 1)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[up]\nrate_mbit = 0\n", "up: rate_mbit is 0; expected more than 0"),
        ("[down]\nrate_mbit = -5\n", "down: rate_mbit is -5"),
        ("[up]\nloss = 1.5\n", "up: loss is 1.5; expected 0 to 1"),
        ("[up]\ndelay_ms = 5\njitter_ms = 6\n", "jitter_ms is 6; expected 0 to delay_ms"),
        ("[up]\nqueue_bytes = 100\n", "queue_bytes is 100; expected room for one packet"),
        ("[up]\nreorder = 0.1\n", "without a delay_ms"),
        ("[up]\nspeed = 1\n", "up.speed: unknown key; known: delay_ms, jitter_ms, loss"),
        ('[up]\nrate_mbit = "fast"\n', "up.rate_mbit: Input should be a valid number"),
        ("[sideways]\n", "sideways: unknown key; known: about, by, down"),
        ("repeat = true\n[[phases]]\n", "repeats, but a phase has no for_s"),
        ("[[phases]]\n[[phases]]\n", "a phase before the last has no for_s"),
        ("[[phases]]\nfor_s = 0\n", "for_s is 0; expected more than 0"),
        ("[[phases]]\nup = 3\n", "phases.0.up"),
        ("phases = 3\n", "phases"),
        ('trace = "x.csv"\n[[phases]]\n', "has phases and a trace"),
        ('trace = "nowhere.csv"\n', "nowhere.csv: cannot be read"),
        ("[up\n", "not valid TOML"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong_in_it(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_profile(write(tmp_path, text))
    assert says in str(caught.value)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("t_s,rtt_ms\n0,1\n1,1\n", "the first line is 't_s,rtt_ms'"),
        ("t_s,rtt_ms,rate_mbit\n0,1,2\n1,1,x\n", "could not convert"),
        ("t_s,rtt_ms,rate_mbit\n0,1,2\n1,900000,3\n2,1,1\n", "the row with t_s = 1: delay_ms is 450000"),
    ],
)
def test_a_wrong_trace_is_named_with_its_row(tmp_path: Path, rows: str, says: str) -> None:
    (tmp_path / "t.csv").write_text(rows)
    with pytest.raises(ConfigError, match=says):
        read_profile(write(tmp_path, 'trace = "t.csv"\n'))


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"unknown network profile 'wifi'; known: abca, capped-5, .*lte"):
        read_profile("wifi")


def timeline(*durations: float, repeat: bool = False, by: str = "time") -> Timeline:
    phases = tuple(Phase(up=Shape(rate_mbit=i + 1), down=Shape(), for_s=for_s) for i, for_s in enumerate(durations))
    return Timeline(phases, repeat, by)  # type: ignore[arg-type]


def test_phases_follow_each_other_and_the_last_stays() -> None:
    made = timeline(2, 3, math.inf)
    assert [made.index(t_s) for t_s in (0, 1.9, 2, 4.9, 5, 1e6)] == [0, 0, 1, 1, 2, 2]
    assert [made.next_change(t_s) for t_s in (0, 2, 5)] == [2, 5, None]


def test_phases_that_repeat_begin_again() -> None:
    made = timeline(2, 3, repeat=True)
    assert [made.index(t_s) for t_s in (4.9, 5, 7, 10)] == [1, 0, 1, 0]
    assert [made.next_change(t_s) for t_s in (4.9, 5, 7, 10)] == [5, 7, 10, 12]


def test_phases_by_video_do_not_change_with_time() -> None:
    made = timeline(2, 3, math.inf, by="video")
    assert made.next_change(0) is None
    assert [made.at_video(n) for n in range(5)] == [0, 1, 2, 2, 2]


def test_what_may_pass_is_the_rate_over_time() -> None:
    made = timeline(2, 3, math.inf)  # 1, 2 and 3 Mbit/s
    assert made.megabits("up", 1, 6) == pytest.approx(1 * 1 + 3 * 2 + 1 * 3)
    assert made.megabits("down", 0, 1) is None
    dead = Timeline((Phase(up=Shape(loss=1), down=Shape()),))
    assert dead.megabits("up", 0, 9) == 0


@given(durations=st.lists(st.floats(0.1, 10), min_size=2, max_size=5), repeat=st.booleans(), t_s=st.floats(0, 200))
def test_nothing_changes_before_the_next_change_and_something_does_then(
    durations: list[float], repeat: bool, t_s: float
) -> None:
    made = timeline(*durations, repeat=repeat)
    change_s = made.next_change(t_s)
    if change_s is None:
        assert made.index(t_s) == len(durations) - 1
        return
    assert change_s > t_s
    before, after = made.index(t_s), made.index(change_s + 1e-9)
    middle = (t_s + change_s) / 2
    assert made.index(middle) == before or middle == change_s, "there may be no number between the two"
    assert after == (before + 1) % len(durations)


@pytest.mark.parametrize("name", known_profiles())
def test_a_timeline_survives_the_way_to_the_link(name: str) -> None:
    made = read_profile(name).timeline
    assert Timeline.from_tree(made.to_tree()) == made
