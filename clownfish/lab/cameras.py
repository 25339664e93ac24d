"""A camera that dies, freezes and changes, twenty times: how soon the graph answers again, and what it makes of it.

The camera is GStreamer's RTSP server in a process of its own. What is shown never changes, and every class is an event,
so there is exactly one event in each epoch, and one that went on over a gap would show: it is checked that each epoch's
windows and events are its own, and that all events of epochs that are over are final.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Literal

from clownfish.config import validate
from clownfish.errors import ClownfishError
from clownfish.lab.figures import Figure, Line
from clownfish.lab.free_port import free_port
from clownfish.metrics import read_counters
from clownfish.settings import Config
from clownfish.supervisor import Supervisor
from clownfish.within import within

Strike = Literal["killed", "frozen", "changed"]
BACK_S = 5.0
"""The yardstick."""
PYTHON = "/usr/bin/python3"
"""The one that apt installs `gi` for."""
_SERVER = Path(__file__).with_name("rtsp_server.py")
_SMALL, _LARGE = (854, 480, 30), (1920, 1080, 15)
_PATIENCE_S = 60.0
_LOOK_S = 0.02


def missing() -> str:
    """Why there can be no such camera here; "" where there can."""
    try:
        code = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
        done = subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{PYTHON}: {error}"
    said = done.stderr.strip().splitlines() or ["it fails"]
    return "" if done.returncode == 0 else f"{PYTHON} has no GstRtspServer: {said[-1]}"


class RtspCamera:
    """The server, from outside."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"rtsp://127.0.0.1:{self.port}/camera"
        self._process: subprocess.Popen[str] | None = None

    async def start(self) -> None:
        """Until it listens. Raises ClownfishError where it does not."""
        said = await within(asyncio.to_thread(self._start), _PATIENCE_S)
        if said != "listening":
            raise ClownfishError(f"the RTSP server did not start: {missing() or 'it says nothing'}")

    def _start(self) -> str:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            [PYTHON, "-W", "ignore", str(_SERVER), str(self.port)],
            stdin=pipe,
            stdout=pipe,
            stderr=subprocess.DEVNULL,
            text=True,
            bufsize=1,
        )
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def become(self, width: int, height: int, fps: int) -> None:
        """Another picture size and rate, in mid-stream."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(f"{width} {height} {fps}\n")

    def signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            os.kill(self._process.pid, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()


@dataclass
class Told:
    """What the graph has said so far, read from its sinks' files."""

    folder: Path
    first: dict[int, float] = field(default_factory=dict)
    """Each epoch, and when its first answer was seen (time.monotonic)."""
    answers: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    _read: dict[str, int] = field(default_factory=dict)

    def look(self) -> None:
        self.answers += self._new("answers")
        self.events += self._new("events")
        for answer in self.answers[-200:]:
            self.first.setdefault(answer["epoch"], time.monotonic())

    def _new(self, name: str) -> list[dict[str, Any]]:
        path = self.folder / f"{name}.jsonl"
        if not path.exists():
            return []
        with path.open("rb") as file:
            file.seek(self._read.get(name, 0))
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._read[name] = self._read.get(name, 0) + len(whole)
        return [json.loads(line) for line in whole.splitlines()]

    def faults(self, over: set[int]) -> list[str]:
        """What must not be: of epochs that are `over`, and of all."""
        found = []
        newest = {event["id"]: event for event in self.events}
        finals = [event["id"] for event in self.events if event["final"]]
        last = dict.fromkeys(self.first, 0)
        for answer in self.answers:
            last[answer["epoch"]] = max(last[answer["epoch"]], answer["t"])
        for epoch in over:
            mine = [event for event in newest.values() if event["epoch"] == epoch]
            if not mine:
                found.append(f"epoch {epoch} has no event, though something was shown all the time")
            found += [
                f"event {event['id']} of an epoch that is over is not final" for event in mine if not event["final"]
            ]
        for event in newest.values():
            end, ends = event["end_frame"], last.get(event["epoch"], 0) * 4 + 16
            if event["epoch"] not in last or not event["id"].startswith(f"camera/{event['epoch']}/"):
                found.append(f"event {event['id']} is of no epoch that was answered")
            elif end is not None and end > ends:
                found.append(f"event {event['id']} ends at frame {end}, after its epoch's last answer at {ends}")
        found += [f"event {name} is final more than once" for name in set(finals) if finals.count(name) > 1]
        return found


def camera_graph(folder: Path, url: str, local: str, **capture: float) -> Config:
    """One camera; its answers, and events of whatever class is likeliest."""
    tree: dict[str, Any] = {
        "graph": {"name": "cameras", "run_dir": str(folder / "run")},
        "log": {"format": "json"},
        "streams": [{"name": "camera", "source": url}],
        "capture": {**capture},
        "local": {"model": local, "device": "cpu", "similarity": {"kind": "constant", "value": 0.9}},
        "fusion": {"horizon": 8},
        "events": {"background": "", "enter": 0.01, "leave": 0.01, "min_s": 0.0},
        "sinks": [
            {
                "name": name,
                "what": what,
                "mode": mode,
                "sink": {"kind": "jsonl", "path": str(folder / f"{name}.jsonl")},
            }
            for name, what, mode in (("answers", "results", "live"), ("events", "events", "revisions"))
        ],
    }
    return validate(tree, "cameras")


class Trial:
    """A camera and a graph that watches it; `strike` hurts the one and waits for the other."""

    def __init__(self, folder: Path, supervisor: Supervisor, camera: RtspCamera, told: Told) -> None:
        self.camera, self.told = camera, told
        self._folder = folder
        self._run_dir = supervisor.config.run_dir()
        self._watch = asyncio.ensure_future(supervisor.run_until(lambda: False))
        self._large = False

    def counter(self, name: str) -> int:
        """Of the capture, as it stands in its file."""
        counters = read_counters((self._run_dir / "capture.counters").read_bytes())
        return (counters or {}).get(name, 0)

    async def close(self) -> None:
        """Watch no more."""
        self._watch.cancel()
        await asyncio.gather(self._watch, return_exceptions=True)

    async def strike(self, what: Strike, frozen_s: float = 8.0) -> float:
        """Seconds until the first answer of a new epoch, since the camera could deliver again: since its server
        listens, goes on, or was told to change. Raises ClownfishError where none comes, or not for that reason."""
        before = set(self.told.first)
        begun = self.counter(f'epochs{{reason="{_REASONS[what]}"}}')
        if what == "killed":
            self.camera.kill()
            await self.camera.start()
        elif what == "frozen":
            self.camera.signal(signal.SIGSTOP)
            stalls = self.counter("stalls")
            await self.until(lambda: self.counter("stalls") > stalls, "the stall is noticed")
            await self.rest(frozen_s)
            self.camera.signal(signal.SIGCONT)
        else:
            self._large = not self._large
            self.camera.become(*(_LARGE if self._large else _SMALL))
        began = time.monotonic()
        await self.until(lambda: bool(set(self.told.first) - before), "a new epoch is answered")
        took_s = min(self.told.first[epoch] for epoch in set(self.told.first) - before) - began
        await self.until(
            lambda: self.counter(f'epochs{{reason="{_REASONS[what]}"}}') > begun, f"an epoch for {_REASONS[what]}"
        )
        return took_s

    async def rest(self, seconds: float) -> None:
        """Let it run."""
        end = time.monotonic() + seconds
        await self.until(lambda: time.monotonic() >= end, "time passes")

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Raises ClownfishError where it takes more than a minute."""
        give_up = time.monotonic() + _PATIENCE_S
        while True:
            self.told.look()
            if condition():
                return
            if time.monotonic() > give_up:
                raise ClownfishError(f"not within {_PATIENCE_S:g} s: {what}; see {self._folder}")
            if self._watch.done():
                self._watch.result()  # says what is wrong with the graph
            await asyncio.sleep(_LOOK_S)

    async def settle(self) -> list[str]:
        """What must not be, when all epochs but the newest have had the time to end."""
        over = set(self.told.first) - {max(self.told.first, key=lambda epoch: self.told.first[epoch])}
        with contextlib.suppress(ClownfishError):
            await self.until(lambda: not self.told.faults(over), "events of epochs that are over are final")
        return self.told.faults(over)


_REASONS: dict[Strike, str] = {"killed": "reconnect", "frozen": "stall", "changed": "size"}


@contextlib.asynccontextmanager
async def trial(folder: Path, local: str, **capture: float) -> AsyncIterator[Trial]:
    """A graph that has answered its camera. Raises ClownfishError where there can be none."""
    camera = RtspCamera()
    await camera.start()
    config = camera_graph(folder, camera.url, local, **capture)
    supervisor = Supervisor(config, folder)
    running = None
    try:
        await supervisor.start(wait_for_all=True)
        running = Trial(folder, supervisor, camera, Told(folder))
        await running.until(lambda: bool(running.told.first), "the camera is seen")
        yield running
    finally:
        camera.signal(signal.SIGCONT)
        if running is not None:
            await running.close()
        await supervisor.stop(drain=False)
        camera.kill()


def camera_lines(folder: Path, kills: int, others: int, say: Callable[[str], None]) -> list[Line]:
    """Raises ClownfishError where there is no RTSP server, or the graph makes of it what it must not."""
    if why := missing():
        raise ClownfishError(f"{why}; apt install python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-ugly")
    folder.mkdir(parents=True, exist_ok=True)
    return asyncio.run(_lines(folder, kills, others, say))


async def _lines(folder: Path, kills: int, others: int, say: Callable[[str], None]) -> list[Line]:
    took: dict[Strike, list[float]] = {"killed": [], "frozen": [], "changed": []}
    async with trial(folder, "zoo:puppets/local") as camera:
        for what in took:
            times = kills if what == "killed" else others
            for turn in range(times):
                say(f"the camera is {what}, {turn + 1} of {times} …")
                took[what].append(await camera.strike(what))
                await camera.rest(2.0)
        faults = await camera.settle()
        epochs, events = len(camera.told.first), len({event["id"] for event in camera.told.events})
    if faults:
        raise ClownfishError(f"{len(faults)} faults, among them: {'; '.join(faults[:3])}")
    note = f"{epochs} epochs, {events} events, none over a gap, all of epochs that are over final"
    lines = []
    wording: tuple[tuple[Strike, str], ...] = (
        ("killed", "since its server listens again"),
        ("frozen", "since it goes on, 8 s after the stall was noticed"),
        ("changed", "480p to 1080p and back, since it was told"),
    )
    for what, since in wording:
        values = took[what]
        spread = (("min", min(values)), ("max", max(values)), ("late", float(sum(each > BACK_S for each in values))))
        measured = Figure(median(values), "s", spread)
        lines.append(
            Line(f"a camera {what} {len(values)} times: to the next answer, {since}", measured, "the bound",
                 Figure(BACK_S, "s"), note + "; s of each: " + " ".join(f"{each:.2f}" for each in values))
        )  # fmt: skip
    return lines
