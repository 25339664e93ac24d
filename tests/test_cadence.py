"""Frame rates are converted by timestamps, and breaks are found: on scripted times, no video."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clownfish.cadence import HOLE_S, SLACK, Cadence, Step, Taken

SIZE = (640, 480)


def steps(cadence: Cadence, times: Iterable[tuple[float, float | None]]) -> list[Step]:
    return [cadence.step(Taken(at_s, pts_s, SIZE)) for at_s, pts_s in times]


def shown(done: Iterable[Step]) -> list[int]:
    """For each frame of the stream, the number of the source's that it shows, from the first on."""
    frames: list[int] = []
    previous = 0
    for number, step in enumerate(done):
        frames += [previous] * step.repeats
        if step.given:
            frames.append(number)
            previous = number
    return frames


def regular(fps: float, seconds: float, start_s: float = 1000.0, origin_s: float = 7.0) -> list[tuple[float, float]]:
    return [(start_s + n / fps, origin_s + n / fps) for n in range(round(fps * seconds))]


# conversion


@pytest.mark.parametrize("rate", [7.0, 15.0, 24000 / 1001, 25.0, 29.97, 30.0, 50.0, 60.0, 120.0])
@pytest.mark.parametrize("fps", [15.0, 25.0, 30.0])
def test_a_source_of_any_rate_becomes_a_stream_of_the_models(rate: float, fps: float) -> None:
    cadence = Cadence(fps)
    done = steps(cadence, regular(rate, 60))
    assert all(step.broken is None for step in done)
    frames = shown(done)
    assert len(frames) == pytest.approx(60 * fps, abs=1 + fps / rate)
    assert len(frames) == len(done) + cadence.repeated - cadence.skipped
    for k, number in enumerate(frames):
        ahead_s = number / rate - k / fps
        assert -max(1 / rate, 1 / fps) - 1e-6 <= ahead_s <= SLACK / fps + 1e-6


def test_fifteen_frames_are_each_shown_twice_and_every_other_of_sixty() -> None:
    assert shown(steps(Cadence(30), regular(15, 1)))[1:9] == [0, 1, 1, 2, 2, 3, 3, 4]
    frames = shown(steps(Cadence(30), regular(60, 1)))
    assert {later - earlier for earlier, later in itertools.pairwise(frames[2:])} == {2}


@settings(max_examples=40)
@given(
    gaps=st.lists(st.floats(0.001, 0.4), min_size=2, max_size=200),
    fps=st.floats(5, 60),
    start_s=st.floats(0, 1e5),
)
def test_the_stream_never_leaves_the_sources_time(gaps: list[float], fps: float, start_s: float) -> None:
    """Whatever the intervals, frame k is given while x is within SLACK of it, numbers never go back, and none is lost
    count of."""
    cadence = Cadence(fps)
    at_s, given_frames, place = start_s, 0, 0.0
    for n, gap_s in enumerate([0.0, *gaps]):
        at_s += gap_s
        step = cadence.step(Taken(at_s, None, SIZE))
        place = 0.0 if step.broken else place + (gap_s if n else 0.0) * fps
        given_frames = 0 if step.broken else given_frames
        given_frames += step.repeats + step.given
        assert step.repeats == 0 or step.given
        assert step.repeats <= HOLE_S * fps + 3 * fps * max(gaps)
        assert abs(place - (given_frames - 1)) <= SLACK + 1e-3 or not step.given


@settings(max_examples=10)
@given(seed=st.integers(0, 1000), rate=st.sampled_from([29.97, 30.0, 30.03]))
def test_a_camera_of_the_streams_own_rate_passes_one_to_one_whatever_its_jitter(seed: int, rate: float) -> None:
    dice = random.Random(seed)
    cadence = Cadence(30)
    done = steps(cadence, [(at_s + dice.uniform(0, 0.012), None) for at_s, _ in regular(rate, 60)])
    assert all(step.broken is None for step in done)
    assert cadence.repeated + cadence.skipped <= 4


@settings(max_examples=10)
@given(seed=st.integers(0, 1000))
def test_equal_timestamps_give_equal_frames_however_late_the_network_delivers(seed: int) -> None:
    dice = random.Random(seed)
    late_s, times = 0.0, []
    for at_s, pts_s in regular(25, 30):
        late_s = max(0.0, late_s - 0.04, dice.choice([0.0] * 20 + [dice.uniform(0, 1.5)]))
        times.append((at_s + late_s, pts_s))
    assert shown(steps(Cadence(30), times)) == shown(steps(Cadence(30), regular(25, 30)))


def test_a_rate_that_changes_in_mid_stream_is_followed_without_a_break() -> None:
    times = [(1000.0 + n / 25, n / 25) for n in range(250)]
    times += [(1010.0 + n / 15, 10.0 + n / 15) for n in range(150)]
    times += [(1020.0 + n / 50, 20.0 + n / 50) for n in range(500)]
    done = steps(Cadence(30), times)
    assert all(step.broken is None for step in done)
    assert len(shown(done)) == pytest.approx(900, abs=2)


# breaks


def broken(times: Iterable[tuple[float, float | None]], fps: float = 30.0) -> list[tuple[int, str]]:
    return [(n, step.broken) for n, step in enumerate(steps(Cadence(fps), times)) if step.broken]


def joined(shift_at_s: float, shift_pts_s: float) -> list[tuple[float, float | None]]:
    """Ten seconds of 25 frames, and ten more that both clocks put elsewhere."""
    later = regular(25, 10, 1010 + shift_at_s, 17 + shift_pts_s)
    return [*regular(25, 10), *later]


@pytest.mark.parametrize(
    ("shift_at_s", "shift_pts_s", "why"),
    [
        (0, -5, "clock"), (0, -0.3, "clock"), (0, 3600, "clock"), (0, 0.9, "clock"), (0, -1e9, "clock"),
        (2.0, 2.0, "gap"), (0.6, 0.6, "gap"), (60.0, -5, "clock"),
    ],
)  # fmt: skip
def test_a_jump_begins_a_new_epoch_with_the_first_frame_after_it(
    shift_at_s: float, shift_pts_s: float, why: str
) -> None:
    assert broken(joined(shift_at_s, shift_pts_s)) == [(250, why)]


@pytest.mark.parametrize(
    ("shift_at_s", "shift_pts_s"), [(0, 0), (2.0, 0), (0.3, 0.3), (0, 0.2), (0, -0.01), (0, -0.04)]
)
def test_what_is_no_jump_is_none(shift_at_s: float, shift_pts_s: float) -> None:
    """Nothing; a network that has become two seconds slower; a few frames lost; small corrections of the clock."""
    assert broken(joined(shift_at_s, shift_pts_s)) == []


def test_another_size_begins_a_new_epoch() -> None:
    cadence = Cadence(30)
    sizes = [(854, 480)] * 10 + [(1920, 1080)] * 10 + [(854, 480)] * 10
    done = [cadence.step(Taken(n / 30, n / 30, size)) for n, size in enumerate(sizes)]
    assert [(n, step.broken) for n, step in enumerate(done) if step.broken] == [(10, "size"), (20, "size")]
    assert shown(done) == list(range(30))


def test_the_places_begin_anew_with_the_epoch() -> None:
    done = steps(Cadence(30), [*regular(15, 1), *regular(15, 1, 1010, 17)])
    assert shown(done[15:]) == shown(done[:15])


def test_a_source_of_one_frame_a_second_is_no_chain_of_gaps() -> None:
    assert len(broken([(float(n), float(n)) for n in range(60)])) <= 1


@pytest.mark.parametrize("speed", [0.0, 0.5, 2.0, 90.0])
def test_timestamps_that_do_not_run_with_time_are_not_gone_by(speed: float) -> None:
    """Within 21 seconds the clock at arrival takes their place, and all is as with none."""
    cadence = Cadence(30)
    done = steps(cadence, [(1000 + n / 25, 7 + speed * n / 25) for n in range(25 * 60)])
    assert all(step.broken is None for step in done[25 * 21 :])
    assert len(shown(done[25 * 21 :])) == pytest.approx(39 * 30, abs=2)


@given(
    times=st.lists(
        st.tuples(st.floats(0, 2), st.one_of(st.none(), st.floats(-1e9, 1e9)), st.integers(0, 1)), max_size=80
    )
)
def test_no_times_whatever_are_an_error_or_frames_without_end(
    times: list[tuple[float, float | None, int]],
) -> None:
    cadence, now = Cadence(30), 0.0
    for gap_s, pts_s, size in times:
        now += gap_s
        step = cadence.step(Taken(now, pts_s, (size, size)))
        assert step.repeats >= 0
        assert step.given or (step.repeats == 0 and step.broken is None)
        assert step.broken is None or step.repeats == 0
        assert step.repeats <= 30 * max(HOLE_S, 3 * 2) + 1


@pytest.mark.parametrize("fps", [0.0, -1.0, float("nan"), float("inf")])
def test_no_rate_at_all_is_refused(fps: float) -> None:
    with pytest.raises(ValueError, match="finite number above 0"):
        Cadence(fps)
