"""Live sources read in processes of their own: real ones, that hang, crash and are left behind."""

from __future__ import annotations

import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clownfish.errors import SourceError
from clownfish.sources.apart import Apart, Hands, Wanted
from clownfish.sources.base import TimeOuts
from tests.graph.harness import alive
from tests.videos import number, write_video

PATIENCE_S = 30.0
FRAMES = 100


def wanted(source: Path | str, seconds: float | None = None) -> Wanted:
    return Wanted(str(source), None, seconds, 128, 96, TimeOuts(10.0, 3.0))


def until(condition: Callable[[], bool], what: str) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up, what
        time.sleep(0.02)


@pytest.fixture
def hands() -> Iterator[Hands]:
    hands = Hands()
    yield hands
    hands.end(0.0)
    until(lambda: hands.alive == 0, "no process is left")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """More frames than a socket holds: who sends them waits for who reads."""
    return write_video(tmp_path_factory.mktemp("video") / "a.mp4", FRAMES)


def pid_of(apart: Apart) -> int:
    assert apart._hand is not None
    return apart._hand.process.pid


def test_a_source_apart_gives_the_same_frames_and_one_process_reads_one_after_the_other(
    hands: Hands, video: Path
) -> None:
    pids = set()
    for _ in range(3):
        apart = Apart(hands, wanted(video)).open()
        pids.add(pid_of(apart))
        assert (apart.fps, apart.live) == (30.0, False)
        assert [number(pixels) for pixels in apart] == list(range(FRAMES))
    assert len(pids) == 1
    assert hands.alive == 1


def test_one_that_has_ended_may_be_opened_again_and_one_that_is_abandoned_may_not(hands: Hands, video: Path) -> None:
    apart = Apart(hands, wanted(video))
    for _ in range(2):
        assert len(list(apart.open())) == FRAMES
        apart.close()
    apart.abandon()
    with pytest.raises(SourceError, match="closed before it was open"):
        apart.open()


def test_closing_in_mid_stream_ends_it_without_an_error(hands: Hands, video: Path) -> None:
    apart = Apart(hands, wanted(video)).open()
    frames = iter(apart)
    next(frames)
    apart.close()
    assert len(list(frames)) < FRAMES
    until(lambda: hands.alive == 0, "the process has ended, too")


def test_what_is_wrong_with_the_source_is_said_as_if_it_were_here(hands: Hands, tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(SourceError, match=r"none\.mp4"):
            Apart(hands, wanted(tmp_path / "none.mp4")).open()
    assert hands.alive == 1  # an error costs no process


def test_seconds_end_it_without_an_error(hands: Hands, video: Path) -> None:
    assert len(list(Apart(hands, wanted(video, seconds=0.5)).open())) == 15


class Silent:
    """A sender that takes a connection and never says a word; as many as wanted."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/x"


@pytest.fixture
def silent() -> Iterator[Silent]:
    sender = Silent()
    yield sender
    sender.listener.close()


def test_closing_frees_at_once_who_waits_for_an_opening(hands: Hands, silent: Silent) -> None:
    apart, failed, opening = Apart(hands, wanted(silent.url)), [], threading.Event()

    def read() -> None:
        opening.set()
        try:
            apart.open()
        except SourceError as error:
            failed.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    opening.wait(PATIENCE_S)
    until(lambda: apart._hand is not None, "it opens")
    apart.abandon()
    apart.abandon()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert len(failed) == 1
    until(lambda: hands.alive == 0, "the process has ended, too")


def test_a_process_that_hangs_is_killed_and_the_next_connection_has_another(hands: Hands, video: Path) -> None:
    """Stopped, it hears nothing and does nothing: as in a driver that hangs."""
    first = Apart(hands, wanted(video)).open()
    hung = pid_of(first)
    os.kill(hung, signal.SIGSTOP)
    first.close()
    assert len(list(Apart(hands, wanted(video)).open())) == FRAMES
    until(lambda: hands.alive == 1 and not alive(hung), "it is killed")
    assert hands.killed == 1


def test_a_reader_that_crashes_is_an_error_of_its_source_alone(hands: Hands, video: Path) -> None:
    apart = Apart(hands, wanted(video)).open()
    frames = iter(apart)
    next(frames)
    os.kill(pid_of(apart), signal.SIGSEGV)
    with pytest.raises(SourceError, match=r"died \(status -11\)"):
        for _ in frames:
            pass
    assert len(list(Apart(hands, wanted(video)).open())) == FRAMES


def test_those_that_do_not_die_are_not_joined_by_ever_more(hands: Hands, video: Path) -> None:
    """A driver may hold a process beyond SIGKILL; here, who kills is held back."""
    left = [Apart(hands, wanted(video)).open() for _ in range(2)]
    for apart in left:
        os.kill(pid_of(apart), signal.SIGSTOP)
        assert apart._hand is not None
        apart._hand.process.kill = lambda: None  # type: ignore[method-assign]
        apart.close()
    for hand in hands._left:
        hand.due_s = 0.0  # long ago
    with pytest.raises(SourceError, match="hang in its driver and cannot be ended"):
        Apart(hands, wanted(video)).open()
    for hand in hands._left:
        os.kill(hand.process.pid, signal.SIGKILL)
    until(lambda: hands.alive == 0, "they are gone")
    assert len(list(Apart(hands, wanted(video)).open())) == FRAMES


def test_nothing_is_left_when_who_reads_is_killed(video: Path, silent: Silent) -> None:
    """Neither a process that sends frames nor one that hangs in an opening."""
    program = (
        "import sys, threading, time\n"
        "from clownfish.sources.apart import *\n"
        "def go(source):\n"
        "    apart = Apart(Hands(), Wanted(source, None, None, 64, 48, TimeOuts(60.0, 60.0)))\n"
        "    threading.Thread(target=apart.open, daemon=True).start()\n"
        "    while apart._hand is None: time.sleep(0.01)\n"
        "    return apart._hand.process.pid\n"
        "print(*[go(source) for source in sys.argv[1:]], flush=True); threading.Event().wait()"
    )
    command = [sys.executable, "-c", program, str(video), silent.url]
    with subprocess.Popen(command, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pids = [int(pid) for pid in process.stdout.readline().split()]
        assert len(pids) == 2
        process.kill()
    until(lambda: not any(alive(pid) for pid in pids), "both have ended")


def test_a_hundred_connections_leave_no_thread_and_no_descriptor(hands: Hands, tmp_path: Path) -> None:
    def held() -> tuple[int, int]:
        return threading.active_count(), len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count

    with pytest.raises(SourceError):
        Apart(hands, wanted(tmp_path / "none.mp4")).open()
    gc.collect()  # what other tests left
    before = held()
    for _ in range(100):
        with pytest.raises(SourceError):
            Apart(hands, wanted(tmp_path / "none.mp4")).open()
    assert held() == before
