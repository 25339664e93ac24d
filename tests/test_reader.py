"""The reader's thread: pacing on a virtual clock, real files, back-pressure, stalls and every way to end."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clownfish.cadence import Taken
from clownfish.errors import SourceError
from clownfish.messages import Pixels
from clownfish.opencv import resized
from clownfish.sources.base import VideoSource
from clownfish.sources.reader import Pace, Pacer, Reader
from clownfish.sources.video import VideoFile
from tests.videos import cut, frame, number, write_video


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good MP4 of 40 frames; never to be changed."""
    return write_video(tmp_path_factory.mktemp("videos") / "whole.mp4", 40)


# pacing


@given(fps=st.floats(0.5, 240), frames=st.integers(1, 200), start_s=st.floats(0, 1e6))
def test_a_frame_in_time_is_due_at_start_plus_n_over_fps(fps: float, frames: int, start_s: float) -> None:
    pacer = Pacer(fps)
    pacer.due(0, start_s)
    for n in range(frames):
        assert pacer.due(n, start_s) == pytest.approx(start_s + n / fps, abs=1e-6)
    assert pacer.reanchored == 0


def test_frames_a_little_late_catch_up_and_keep_the_schedule() -> None:
    pacer = Pacer(10, patience_s=1.0)
    pacer.due(0, 100.0)
    assert [round(pacer.due(n, 100.9), 6) for n in (1, 2, 9, 10)] == [100.1, 100.2, 100.9, 101.0]
    assert pacer.reanchored == 0


def test_after_a_long_pause_the_schedule_begins_anew_without_a_burst() -> None:
    pacer = Pacer(10, patience_s=1.0)
    pacer.due(0, 100.0)
    assert [round(pacer.due(n, 500.0), 6) for n in (1, 2, 3)] == [500.0, 500.1, 500.2]
    assert pacer.reanchored == 1


@given(st.lists(st.floats(0, 5), min_size=1, max_size=60))
def test_a_burst_is_never_longer_than_the_patience(pauses: list[float]) -> None:
    """However the clock jumps, no frame is due more than `patience_s` before the moment it is asked for."""
    pacer, now_s = Pacer(30, patience_s=1.0), 50.0
    for n, pause_s in enumerate(pauses):
        now_s += pause_s
        due_s = pacer.due(n, now_s)
        assert due_s >= now_s - 1.0
        now_s = max(now_s, due_s)


# the reader


class VirtualClock:
    """A clock that only `sleep` and `advance` move."""

    def __init__(self) -> None:
        self.now = 1_000_000_000

    def now_ns(self) -> int:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += round(seconds * 1e9)

    advance = sleep


class Scripted:
    """A source of `frames` frames; `before` is called before each."""

    def __init__(
        self, frames: int, fps: float = 10, live: bool = False, before: Callable[[int], object] = lambda n: None
    ) -> None:
        self.fps, self.live = fps, live
        self._frames, self._before = frames, before

    def __iter__(self) -> Iterator[Pixels]:
        for n in range(self._frames):
            self._before(n)
            yield frame(n)

    def close(self) -> None:
        pass


class Recorded:
    """A reader that ran, and all that it said."""

    def __init__(
        self,
        open_it: Callable[[], VideoSource],
        pace: Pace = "fast",
        loop: bool = False,
        clock: VirtualClock | None = None,
        size: tuple[int, int] = (64, 48),
        at_frame: Callable[[int], object] = lambda n: None,
    ) -> None:
        self.frames: list[tuple[int, int, Pixels]] = []
        self.ends: list[tuple[int, str, Exception | None]] = []
        self._at_frame = at_frame
        self.ended = threading.Event()
        self.reader = self._make(
            open_source=open_it,
            width=size[0],
            height=size[1],
            on_frame=self._frame,
            on_end=self._end,
            pace=pace,
            loop=loop,
            now_ns=clock.now_ns if clock else time.monotonic_ns,
            sleep=clock.sleep if clock else None,
        )
        self.reader.start()

    def _make(self, **options: object) -> Reader:
        return Reader(**options)  # type: ignore[arg-type]

    def _frame(self, n: int, capture_ns: int, pixels: Pixels) -> None:
        self.frames.append((n, capture_ns, pixels))
        self._at_frame(n)

    def _end(self, frames: int, reason: str, error: Exception | None) -> None:
        self.ends.append((frames, reason, error))
        self.ended.set()

    def finish(self) -> Recorded:
        assert self.reader.join(30)
        assert len(self.ends) == 1
        return self

    def seconds(self) -> list[float]:
        return [round((capture_ns - self.frames[0][1]) / 1e9, 6) for _, capture_ns, _ in self.frames]


def test_a_reader_numbers_resizes_and_ends(whole: Path) -> None:
    done = Recorded(lambda: VideoFile(whole), size=(32, 24)).finish()
    assert [n for n, _, _ in done.frames] == list(range(40))
    assert [number(pixels) for _, _, pixels in done.frames] == list(range(40))
    assert {pixels.shape for _, _, pixels in done.frames} == {(24, 32, 3)}
    assert done.ends == [(40, "end of the source", None)]
    stamps = [capture_ns for _, capture_ns, _ in done.frames]
    assert stamps == sorted(stamps)
    assert done.reader.last_frame_monotonic_ns == stamps[-1]


def test_frames_of_the_wanted_size_are_not_touched() -> None:
    pixels = frame(3)
    assert resized(pixels, 64, 48) is pixels
    assert resized(pixels, 8, 6).shape == (6, 8, 3)


@pytest.mark.parametrize("pace", ["realtime", "patient"])
def test_a_paced_file_gives_frame_n_at_start_plus_n_over_fps(pace: Pace) -> None:
    clock = VirtualClock()
    done = Recorded(lambda: Scripted(5), pace=pace, clock=clock).finish()
    assert done.seconds() == [0.0, 0.1, 0.2, 0.3, 0.4]


def test_a_fast_file_and_a_live_source_are_not_paced() -> None:
    for pace, live in (("fast", False), ("realtime", True)):
        clock = VirtualClock()
        done = Recorded(lambda live=live: Scripted(5, live=live), pace=pace, clock=clock).finish()  # type: ignore[misc, arg-type]
        assert done.seconds() == [0.0] * 5
        assert done.reader.live is live


def test_a_reader_that_was_stopped_for_long_does_not_burst() -> None:
    clock = VirtualClock()

    def slept(n: int) -> None:
        if n == 2:
            clock.advance(60)

    done = Recorded(lambda: Scripted(5, before=slept), pace="realtime", clock=clock).finish()
    assert done.seconds() == [0.0, 0.1, 60.1, 60.2, 60.3]
    assert done.reader.reanchored == 1


def test_a_reader_a_little_late_catches_up() -> None:
    clock = VirtualClock()

    def slow(n: int) -> None:
        if n == 1:
            clock.advance(0.35)

    done = Recorded(lambda: Scripted(6, before=slow), pace="realtime", clock=clock).finish()
    assert done.seconds() == [0.0, 0.35, 0.35, 0.35, 0.4, 0.5]
    assert done.reader.reanchored == 0


def test_a_loop_repeats_the_file_and_counts_on_at_the_same_pace() -> None:
    clock = VirtualClock()
    recorded: list[Recorded] = []
    ready = threading.Event()

    def at_frame(n: int) -> None:
        ready.wait(10)
        if n == 7:
            recorded[0].reader.stop()

    recorded.append(Recorded(lambda: Scripted(3), pace="realtime", loop=True, clock=clock, at_frame=at_frame))
    ready.set()
    done = recorded[0].finish()
    assert [(n, number(pixels)) for n, _, pixels in done.frames] == [(n, n % 3) for n in range(8)]
    assert done.seconds() == [round(n / 10, 6) for n in range(8)]
    assert done.ends == [(8, "stopped", None)]
    assert done.reader.loops == 2


def test_a_callback_that_blocks_holds_a_fast_file_back(whole: Path) -> None:
    room = threading.Semaphore(5)
    blocked = threading.Event()

    def wait_for_room(n: int) -> None:
        if not room.acquire(blocking=False):
            blocked.set()
            room.acquire(timeout=30)

    recorded = Recorded(lambda: VideoFile(whole), at_frame=wait_for_room)
    assert blocked.wait(10)
    assert len(recorded.frames) == 6
    assert recorded.reader.stalled_s() == 0  # it is the graph that owes, not the source
    room.release(100)
    assert recorded.finish().ends[0][0] == 40


def test_a_source_that_breaks_off_ends_with_its_error_after_its_frames(tmp_path: Path) -> None:
    path = cut(write_video(tmp_path / "x.mp4", 100), 0.6)
    done = Recorded(lambda: VideoFile(path), loop=True).finish()
    frames, reason, error = done.ends[0]
    assert frames == len(done.frames) > 20
    assert isinstance(error, SourceError)
    assert f"{frames} of 100" in reason


def test_a_source_that_cannot_be_opened_ends_with_its_error(tmp_path: Path) -> None:
    frames, _, error = Recorded(lambda: VideoFile(tmp_path / "missing.mp4")).finish().ends[0]
    assert frames == 0
    assert isinstance(error, SourceError)


def test_a_source_without_a_frame_is_an_error_even_in_a_loop() -> None:
    error = Recorded(lambda: Scripted(0), loop=True).finish().ends[0][2]
    assert isinstance(error, SourceError)


def test_a_callback_that_fails_ends_the_reader_and_is_told() -> None:
    def fail(n: int) -> None:
        raise RuntimeError("the loop is closed")

    error = Recorded(lambda: Scripted(3), at_frame=fail).finish().ends[0][2]
    assert isinstance(error, RuntimeError)


def test_stop_wakes_a_reader_that_waits_for_its_next_frame() -> None:
    first = threading.Event()
    recorded = Recorded(lambda: Scripted(3, fps=0.001), pace="realtime", at_frame=lambda n: first.set())
    assert first.wait(10)
    recorded.reader.stop()
    recorded.reader.stop()
    assert recorded.finish().ends == [(1, "stopped", None)]


def test_a_source_that_hangs_is_seen_and_stopped_without_it() -> None:
    clock, hung, free = VirtualClock(), threading.Event(), threading.Event()

    def hang(n: int) -> None:
        if n == 2:
            hung.set()
            free.wait(30)

    recorded = Recorded(lambda: Scripted(3, live=True, before=hang), clock=clock)
    assert hung.wait(10)
    clock.advance(4)
    assert recorded.reader.stalled_s() == pytest.approx(4)
    assert recorded.reader.last_frame_monotonic_ns == clock.now - 4_000_000_000
    recorded.reader.stop()
    assert not recorded.reader.join(0)
    free.set()
    assert recorded.finish().ends == [(2, "stopped", None)]
    assert recorded.reader.stalled_s() == 0


def test_a_source_that_hangs_for_ever_lets_the_process_exit() -> None:
    program = (
        "import threading; from clownfish.sources.reader import Reader\n"
        "opening = threading.Event()\n"
        "def hang(): opening.set(); threading.Event().wait()\n"
        "reader = Reader(hang, width=8, height=8, on_frame=print, on_end=print)\n"
        "reader.start(); opening.wait(); reader.stop()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[1], capture_output=True, timeout=30
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


# live sources


class Timed(Scripted):
    """A live source whose frames have times and sizes of their own."""

    def __init__(self, clock: VirtualClock, shots: list[tuple[float, float | None, tuple[int, int]]]) -> None:
        super().__init__(len(shots), live=True)
        self._clock, self._shots = clock, shots
        self.taken: Taken | None = None

    def __iter__(self) -> Iterator[Pixels]:
        for n, (at_s, pts_s, size) in enumerate(self._shots):
            self._clock.now = max(self._clock.now, round(at_s * 1e9))
            self.taken = Taken(at_s, pts_s, size)
            yield frame(n)


class Converted(Recorded):
    """What a reader makes of such a source at 30 frames a second: epochs, each the numbers of the frames shown."""

    def __init__(self, shots: list[tuple[float, float | None, tuple[int, int]]]) -> None:
        clock = VirtualClock()
        self.epochs: list[list[int]] = [[]]
        self.breaks: list[tuple[int, str]] = []
        super().__init__(lambda: Timed(clock, shots), clock=clock)

    def _make(self, **options: object) -> Reader:
        return Reader(fps=30.0, on_break=self._break, **options)  # type: ignore[arg-type]

    def _break(self, frames: int, why: str) -> None:
        self.breaks.append((frames, why))
        self.epochs.append([])

    def _frame(self, n: int, capture_ns: int, pixels: Pixels) -> None:
        assert n == len(self.epochs[-1])
        self.epochs[-1].append(number(pixels))


def shots(
    fps: float, count: int, at_s: float, pts_s: float = 0.0, size: tuple[int, int] = (64, 48)
) -> list[tuple[float, float | None, tuple[int, int]]]:
    return [(at_s + n / fps, pts_s + n / fps, size) for n in range(count)]


def test_a_camera_of_fifteen_frames_is_given_as_thirty() -> None:
    done = Converted(shots(15, 30, 10.0)).finish()
    assert isinstance(done, Converted)
    assert done.epochs[0][1:9] == [0, 1, 1, 2, 2, 3, 3, 4]
    assert done.reader.fps == 30
    assert done.reader.converted == (len(done.epochs[0]) - 30, 0)
    assert done.reader.delivered == len(done.epochs[0]) == pytest.approx(60, abs=2)


@pytest.mark.parametrize(
    ("after", "why"),
    [
        (shots(30, 20, 11.0, 1.0, (192, 108)), "size"),
        (shots(30, 20, 13.0, 3.0), "gap"),
        (shots(30, 20, 11.0, 500.0), "clock"),
        (shots(30, 20, 11.0, -5.0), "clock"),
    ],
)
def test_after_a_break_numbers_begin_anew_with_the_first_frame_after_it(
    after: list[tuple[float, float | None, tuple[int, int]]], why: str
) -> None:
    done = Converted(shots(30, 30, 10.0) + after).finish()
    assert isinstance(done, Converted)
    assert done.epochs == [list(range(30)), list(range(30, 50))]
    assert done.breaks == [(30, why)]
    assert done.ends == [(20, "end of the source", None)]


def test_a_source_that_hangs_is_over_when_its_time_is_out_and_is_let_go() -> None:
    clock, hung, free, abandoned = VirtualClock(), threading.Event(), threading.Event(), threading.Event()

    def hang(n: int) -> None:
        if n == 1:
            hung.set()
            free.wait(30)

    def abandon() -> None:
        abandoned.set()
        free.set()

    ends: list[tuple[int, str, Exception | None]] = []
    reader = Reader(
        lambda: Scripted(2, live=True, before=hang),
        width=64,
        height=48,
        on_frame=lambda n, capture_ns, pixels: None,
        on_end=lambda *end: ends.append(end),
        fps=30.0,
        abandon=abandon,
        time_outs=(10.0, 3.0),
        now_ns=clock.now_ns,
        sleep=clock.sleep,
    )
    reader.start()
    assert hung.wait(10)
    clock.advance(2.9)
    assert not reader.over()
    clock.advance(0.2)
    assert reader.over()
    reader.let_go()
    assert reader.join(10)
    assert abandoned.is_set()
    assert not reader.over()
