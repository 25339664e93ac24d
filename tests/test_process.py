from __future__ import annotations

import argparse
import asyncio
import gc
import os
import threading
import time
import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from clownfish.bus import Bus
from clownfish.config import validate
from clownfish.errors import ConfigError
from clownfish.messages import Status
from clownfish.metrics import BUFFER_BYTES
from clownfish.process import STATUS_SOCKET, WORKING, Alarm, Process, every, private_folder
from clownfish.settings import Config
from tests.graph import harness
from tests.graph.harness import until


@pytest.fixture
def run_dir() -> Iterator[Path]:
    path = harness.folder()
    yield path
    harness.remove(path)


def config(run_dir: Path) -> Config:
    return validate({"graph": {"run_dir": str(run_dir)}, "router": {}}, "test")


@asynccontextmanager
async def process(run_dir: Path, service: str = "router") -> AsyncIterator[Process]:
    it = Process(service, config(run_dir), argparse.Namespace())
    try:
        yield it
    finally:
        await it.close()


async def test_a_run_folder_is_made_private_and_an_open_one_is_refused(run_dir: Path) -> None:
    made = private_folder(run_dir / "new" / "folder")
    assert made.stat().st_mode & 0o777 == 0o700
    made.chmod(0o750)
    with pytest.raises(ConfigError, match=r"mode 750; expected user .* and mode 700, or others could speak"):
        private_folder(made)


def test_a_run_folder_that_cannot_be_made_is_said(run_dir: Path) -> None:
    (run_dir / "file").write_text("")
    with pytest.raises(ConfigError, match=r"set graph\.run_dir to a folder of yours"):
        private_folder(run_dir / "file" / "folder")


async def test_counters_go_on_where_the_process_before_left_them(run_dir: Path) -> None:
    async with process(run_dir) as first:
        first.counters.add("windows", 3)
        os.close(first._lock)
    async with process(run_dir) as second:
        second.counters.add("windows")
        assert second.counters.get("windows") == 4


@pytest.mark.parametrize("name", ["router.counters", "router.waits.histogram", "kept"])
async def test_a_file_that_was_cut_off_is_counted_and_begins_anew(
    name: str, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(run_dir / "state"))
    path = run_dir / "state" / "clownfish" / "clownfish" / "router.allowance" if name == "kept" else run_dir / name
    what = {"router.counters": "counters", "kept": "allowance"}.get(name, "histogram")
    async with process(run_dir) as first:
        first.counters.add("windows")
        first.histogram("waits").add(5e6)
        first.kept("allowance", 24)[:] = b"x" * 24
        os.close(first._lock)
    path.write_bytes(path.read_bytes()[:20])
    async with process(run_dir) as second:
        buffer = second.kept("allowance", 24)
        assert second.counters.get(f'state_lost{{what="{what}"}}') == 1
        assert sum(name.startswith("state_lost") for name in second.counters.as_dict()) == 1
        assert buffer[:] == (b"x" * 20 + bytes(4) if name == "kept" else b"x" * 24)
        assert second.counters.get("windows") == (0 if what == "counters" else 1)


async def test_a_state_folder_that_cannot_be_is_said(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (run_dir / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(run_dir / "file"))
    async with process(run_dir) as it:
        with pytest.raises(ConfigError, match="set XDG_STATE_HOME to a folder of yours"):
            it.kept("allowance", 24)


async def test_histograms_go_on_too_and_are_there_before_anything_is_added(run_dir: Path) -> None:
    async with process(run_dir, "sink-a") as first:
        first.histogram("model").add(5e6)
        os.close(first._lock)
    async with process(run_dir, "sink-a.b") as other:
        other.histogram("model").add(7e6)
    async with process(run_dir, "sink-a") as second:
        assert second._histograms.keys() == {"model"}
        second.histogram("model").add(5e6)
        assert list(second.histogram("model").as_dict().values()) == [2]


async def test_a_thread_that_hangs_shows_even_when_nobody_waits_for_it_any_more(run_dir: Path) -> None:
    release = threading.Event()
    async with process(run_dir) as it:
        task = asyncio.ensure_future(it.in_thread(release.wait, 60))
        await until(lambda: it._working_since is not None, "the thread is at work", 20)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        it.publish()
        assert it.counters.gauges()[WORKING] > 0
        release.set()
        await until(lambda: it._working_since is None, "the thread is free", 20)
        it.publish()
        assert it.counters.gauges()[WORKING] == 0


async def test_corrupt_counters_begin_anew_and_that_is_said(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run_dir / "router.counters").write_bytes(os.urandom(BUFFER_BYTES))
    async with process(run_dir) as it:
        assert it.counters.as_dict().get("windows") is None
        assert it.counters.origin == "reset"


async def test_the_same_service_cannot_run_twice_in_one_folder(run_dir: Path) -> None:
    async with process(run_dir):
        with pytest.raises(ConfigError, match="router runs already in"):
            Process("router", config(run_dir), argparse.Namespace())
        async with process(run_dir, "worker-0"):
            pass


async def test_changes_of_state_are_published_at_once(run_dir: Path) -> None:
    came: list[Status] = []
    bus = Bus(lambda name: None)
    inbox = bus.inbox(config(run_dir).ipc(STATUS_SOCKET), "status", (Status,))

    async def listen() -> None:
        async for status in inbox:
            came.append(status)

    task = asyncio.ensure_future(listen())
    async with process(run_dir) as it:
        it.before_status(lambda: it.counters.mirror({"mirrored": 2}))
        it.histogram("model").add(1000.0)
        it.counters.set("waiting", 3)
        it.ready("at work")
        await until(lambda: bool(came), "a status", 20)
    task.cancel()
    bus.close(0)
    [status, *_] = came
    assert (status.service, status.pid, status.state, status.text) == ("router", os.getpid(), "ready", "at work")
    assert (status.counters["mirrored"], status.gauges["waiting"]) == (2, 3.0)
    assert sum(status.histograms["model"].values()) == 1


async def test_work_that_fails_ends_what_runs_beside_it(run_dir: Path) -> None:
    ended = asyncio.Event()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def failing() -> None:
        await asyncio.sleep(0)
        raise RuntimeError("a bug")

    async with process(run_dir) as it:
        with pytest.raises(RuntimeError, match="a bug"):
            await it.run_together(endless(), failing())
        assert ended.is_set()


async def test_nothing_is_left_of_work_that_has_ended(run_dir: Path) -> None:
    """An uplink's sessions come and go for years: each left its tasks, and with what ended them all that they held."""

    class Held:
        pass

    held: list[weakref.ref[Held]] = []

    async def session() -> None:
        it = Held()
        held.append(weakref.ref(it))
        await asyncio.sleep(0)
        raise RuntimeError("the session is over")

    async def endless() -> None:
        await asyncio.Event().wait()

    async with process(run_dir) as it:
        for _ in range(3):
            with pytest.raises(RuntimeError, match="over"):
                await it.run_together(session(), endless())
            await asyncio.sleep(0)  # the loop, too, lets go of it
        gc.collect()
        assert [each() for each in held] == [None] * 3
        assert not it._tasks


async def test_work_in_the_thread_leaves_the_loop_free(run_dir: Path) -> None:
    async with process(run_dir) as it:
        begun = asyncio.get_running_loop().create_future()
        release = asyncio.Event()
        loop = asyncio.get_running_loop()

        def work() -> int:
            loop.call_soon_threadsafe(begun.set_result, None)
            asyncio.run_coroutine_threadsafe(release.wait(), loop).result(20)
            return 7

        task = asyncio.ensure_future(it.in_thread(work))
        await begun
        release.set()
        assert await asyncio.wait_for(task, 20) == 7


async def test_a_machines_clock_is_driven_by_its_timer_and_woken_when_it_comes_closer() -> None:
    fired: list[float] = []
    due: list[float] = [time.monotonic() + 3600]
    wake = asyncio.Event()

    async def fire() -> None:
        fired.append(time.monotonic())
        if fired[-1] >= due[0]:
            due[0] = fired[-1] + 3600

    task = asyncio.ensure_future(every(lambda: due[0], wake, fire))
    await asyncio.sleep(0)
    assert fired == []
    due[0] = time.monotonic() + 0.05
    wake.set()
    await until(lambda: due[0] > time.monotonic() + 1000, "the timer that came closer", 20)
    task.cancel()


async def test_an_alarm_fires_when_due_and_hears_of_what_has_come_closer() -> None:
    due: list[float] = []
    fired: list[float] = []

    def fire() -> None:
        fired.append(time.monotonic())
        due[:] = [each for each in due if each > fired[-1]]

    alarm = Alarm(lambda: min(due, default=None), fire)
    running = asyncio.ensure_future(alarm.run())
    await asyncio.sleep(0)
    begin = time.monotonic()
    for after_s in (30.0, 0.05, 0.2):
        due.append(begin + after_s)
        alarm.look()
    await until(lambda: due == [begin + 30.0], "both have fired", 20)
    assert fired[0] >= begin + 0.05
    assert fired[-1] >= begin + 0.2
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_an_alarm_fires_ends_its_task_when_it_fails() -> None:
    def fire() -> None:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        await asyncio.wait_for(Alarm(time.monotonic, fire).run(), 20)
