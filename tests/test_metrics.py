"""Counters that survive kill -9, and histograms that merge."""

from __future__ import annotations

import mmap
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clownfish.errors import ConfigError, WireError
from clownfish.metrics import BUFFER_BYTES, NAME_BYTES, SLOTS, Counters, Histogram, read_counters

# -- counters --------------------------------------------------------------------------------------------------------


def test_a_counter_grows_from_zero() -> None:
    counters = Counters()
    assert counters.get("windows") == 0
    counters.add("windows")
    counters.add("windows", 5)
    counters.add('drops{reason="full"}', 0)
    assert counters.get("windows") == 6
    assert counters.as_dict() == {"windows": 6, 'drops{reason="full"}': 0}


def test_a_restarted_process_goes_on_from_the_old_values() -> None:
    buffer = bytearray(BUFFER_BYTES)
    before = Counters(buffer)
    before.add("windows", 3)
    after = Counters(buffer)
    after.add("windows")
    after.add("later ρ", 2)
    assert (before.origin, after.origin) == ("new", "continued")
    assert read_counters(buffer) == after.as_dict() == {"windows": 4, "later ρ": 2}


def test_a_killed_process_loses_no_count(tmp_path: Path) -> None:
    """A real process counts into a real file and is killed without warning."""
    file = tmp_path / "counters"
    program = (
        "import mmap, sys, time\n"
        "from clownfish.metrics import BUFFER_BYTES, Counters\n"
        "with open(sys.argv[1], 'w+b') as file:\n"
        "    file.truncate(BUFFER_BYTES)\n"
        "    counters = Counters(mmap.mmap(file.fileno(), BUFFER_BYTES))\n"
        "n = 0\n"
        "while True:\n"
        "    n += 1\n"
        "    counters.add(f'name {n % 200}')\n"
        "    counters.add('all')\n"
        "    if n % 1000 == 0: print(n, flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(file)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout as lines:
        said = int(lines.readline())
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), BUFFER_BYTES) as buffer:
        counted = read_counters(bytes(buffer))
    assert counted is not None
    total = counted.pop("all")
    assert total >= said
    assert sum(counted.values()) - total in (0, 1)


def test_a_read_only_buffer_can_be_read_but_not_counted_in() -> None:
    counters = Counters(buffer := bytearray(BUFFER_BYTES))
    counters.add("windows")
    assert read_counters(bytes(buffer)) == {"windows": 1}
    with pytest.raises(ValueError, match="read-only"):
        Counters(bytes(buffer))


def test_a_buffer_that_is_too_small_is_refused() -> None:
    with pytest.raises(ValueError, match=str(BUFFER_BYTES)):
        Counters(bytearray(BUFFER_BYTES - 1))


def test_a_name_becomes_visible_only_when_it_is_whole() -> None:
    """What a process leaves that dies between writing the name and counting the slot."""
    buffer = bytearray(BUFFER_BYTES)
    counters = Counters(buffer)
    counters.add("windows", 2)
    counters.add("half", 9)
    np.frombuffer(buffer, np.int64)[4] = 1
    assert read_counters(buffer) == {"windows": 2}
    restarted = Counters(buffer)
    restarted.add("other")
    assert restarted.as_dict() == {"windows": 2, "other": 1}


def broken(place: int, content: bytes) -> bytearray:
    buffer = bytearray(BUFFER_BYTES)
    counters = Counters(buffer)
    counters.add("windows", 2)
    counters.add("frames", 2)
    buffer[place : place + len(content)] = content
    return buffer


NAMES, VALUES = 64, 64 + SLOTS * NAME_BYTES


@pytest.mark.parametrize(
    ("place", "content"),
    [
        (0, b"JUNK"),
        (8, b"\x02"),
        (32, b"\xff\xff"),
        (32, b"\xff" * 8),
        (NAMES, b"\xff\xfe"),
        (NAMES, b"\0" * 8),
        (NAMES, b"frames\0\0"),
        (NAMES, b"\0indows"),
        (VALUES, b"\xff" * 8),
    ],
    ids=["magic", "version", "count", "negative count", "utf-8", "no name", "name twice", "hole", "negative value"],
)
def test_a_corrupt_buffer_is_emptied_and_that_is_said(place: int, content: bytes) -> None:
    buffer = broken(place, content)
    assert read_counters(buffer) is None
    counters = Counters(buffer)
    assert counters.origin == "reset"
    assert counters.as_dict() == {}
    counters.add("windows")
    assert Counters(buffer).as_dict() == {"windows": 1}


@given(noise=st.binary(min_size=0, max_size=400), place=st.integers(0, BUFFER_BYTES - 400))
def test_whatever_a_buffer_holds_counters_are_sane(noise: bytes, place: int) -> None:
    buffer = broken(place, noise)
    counters = Counters(buffer)
    counters.add("x", 2)
    assert counters.get("x") >= 2
    assert read_counters(buffer) == counters.as_dict()
    assert all(count >= 0 for count in counters.as_dict().values())


def test_a_machines_counts_are_mirrored_by_what_they_have_grown() -> None:
    buffer = bytearray(BUFFER_BYTES)
    counters = Counters(buffer)
    counters.mirror({"windows": 3, 'sent{why="periodic"}': 0}, prefix="gate_")
    counters.mirror({"windows": 5, 'sent{why="periodic"}': 1}, prefix="gate_")
    counters.mirror({"windows": 5, 'sent{why="periodic"}': 1}, prefix="gate_")
    assert counters.as_dict() == {"gate_windows": 5, 'gate_sent{why="periodic"}': 1}
    restarted = Counters(buffer)
    restarted.mirror({"windows": 2}, prefix="gate_")  # the new process's machine counts from 0
    assert restarted.get("gate_windows") == 7


def test_what_counts_a_stream_that_is_gone_is_forgotten_and_its_room_is_used_again() -> None:
    buffer = bytearray(BUFFER_BYTES)
    counters = Counters(buffer)
    counters.add("windows", 3)
    for number in range(2 * SLOTS):  # more names than slots, one after the other
        counters.add(f'frames{{stream="cam-{number}"}}', number)
        counters.add(f'answers{{stream="cam-{number}",local="agrees"}}')
        counters.set(f'stalled{{stream="cam-{number}"}}', 1)
        assert Counters(buffer).as_dict() == counters.as_dict() == read_counters(buffer)
        assert counters.get(f'frames{{stream="cam-{number}"}}') == number
        counters.keep_only("stream", {"cam-x"})
    assert counters.as_dict() == {"windows": 3}
    assert counters.gauges() == {}


def test_only_what_has_that_label_is_forgotten() -> None:
    counters = Counters()
    kept = ['a{stream="cam"}', 'a{upstream="gone"}', 'a{x="1",stream="cam"}', "gone"]
    for name in (*kept, 'a{stream="cam2"}', 'a{x="1",stream="gone"}', 'a{stream="c",x="1"}'):
        counters.add(name)
        counters.set(name, 1)
    counters.keep_only("stream", {"cam", "dog"})
    assert list(counters.as_dict()) == list(counters.gauges()) == kept


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=60))
def test_after_any_adding_and_forgetting_another_process_reads_the_same(steps: list[tuple[bool, int]]) -> None:
    buffer, model = bytearray(BUFFER_BYTES), dict[str, int]()
    counters = Counters(buffer)
    for add, number in steps:
        name = f'n{{s="{number}"}}'
        if add:
            counters.add(name)
            model[name] = model.get(name, 0) + 1
        else:
            counters.keep_only("s", {str(other) for other in range(10) if other != number})
            model.pop(name, None)
        assert read_counters(bytes(buffer)) == counters.as_dict() == model
    counters = Counters(buffer)
    assert (counters.origin, counters.as_dict()) == ("continued", model)
    counters.add("one more")
    assert read_counters(bytes(buffer)) == {**model, "one more": 1}


def test_when_all_slots_are_used_the_error_says_so() -> None:
    counters = Counters()
    for slot in range(SLOTS):
        counters.add(f"counter {slot}")
        counters.set(f"gauge {slot}", slot)
    with pytest.raises(ConfigError, match="no room for counter 'one more': all 1024 are used"):
        counters.add("one more")
    with pytest.raises(ConfigError, match="no room for gauge 'one more': all 1024 are used"):
        counters.set("one more", 1.0)
    counters.add("counter 7")
    counters.set("gauge 7", 1.0)


@pytest.mark.parametrize("name", ["", "x" * (NAME_BYTES + 1), "ρ" * 61, "a\0b"])
def test_a_name_that_does_not_fit_is_refused(name: str) -> None:
    counters = Counters()
    with pytest.raises(ValueError, match="counter name"):
        counters.add(name)
    assert counters.as_dict() == {}


def test_the_longest_name_fits() -> None:
    counters = Counters(buffer := bytearray(BUFFER_BYTES))
    counters.add("x" * NAME_BYTES)
    assert read_counters(buffer) == {"x" * NAME_BYTES: 1}


def test_a_counter_never_goes_back() -> None:
    with pytest.raises(ValueError, match="only grows"):
        Counters().add("windows", -1)


def test_a_gauge_says_what_it_was_set_to_last() -> None:
    counters = Counters()
    counters.set("backlog", 3)
    counters.set("backlog", 2)
    assert counters.gauges() == {"backlog": 2.0}
    assert counters.as_dict() == {}


# -- histograms ------------------------------------------------------------------------------------------------------

DURATIONS = st.lists(st.floats(1.0, 1e12), min_size=1, max_size=200)


@given(durations=DURATIONS, q=st.floats(0, 100))
def test_a_percentile_is_within_one_percent_of_the_true_one(durations: list[float], q: float) -> None:
    histogram = Histogram()
    for duration in durations:
        histogram.add(duration)
    truth = sorted(durations)[max(1, int(np.ceil(len(durations) * q / 100))) - 1]
    assert histogram.percentile(q) == pytest.approx(truth, rel=0.0101)
    assert histogram.count == len(durations)


@given(one=DURATIONS, two=DURATIONS)
def test_merged_histograms_are_the_histogram_of_all(one: list[float], two: list[float]) -> None:
    first, second, both = Histogram(), Histogram(), Histogram()
    for duration in one:
        first.add(duration)
        both.add(duration)
    for duration in two:
        second.add(duration)
        both.add(duration)
    second.merge(first.as_dict())
    first.merge(Histogram(second.as_dict()))
    assert second.as_dict() == both.as_dict()
    assert first.count == len(one) * 2 + len(two)


def test_an_empty_histogram_has_no_percentile() -> None:
    assert Histogram().percentile(50) is None
    assert Histogram().as_dict() == {}


def test_durations_beyond_all_measure_fall_into_the_outermost_buckets() -> None:
    histogram = Histogram()
    for duration in (-5, 0, 0.5, 1, 2**63, float("inf")):
        histogram.add(duration)
    assert sorted(histogram.as_dict().values()) == [2, 4]
    assert set(histogram.as_dict()) == {0, Histogram.BUCKETS - 1}


@pytest.mark.parametrize("buckets", [{-1: 1}, {10**6: 1}, {3: -1}])
def test_buckets_that_no_histogram_has_are_refused_and_add_nothing(buckets: dict[int, int]) -> None:
    histogram = Histogram({5: 1})
    with pytest.raises(WireError, match="expected"):
        histogram.merge({5: 1} | buckets)
    assert histogram.as_dict() == {5: 1}


@pytest.mark.parametrize("q", [-1, 100.1, float("nan")])
def test_a_percentile_is_from_0_to_100(q: float) -> None:
    with pytest.raises(ValueError, match="expected 0 to 100"):
        Histogram({5: 1}).percentile(q)
