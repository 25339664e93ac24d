"""An edge box reduced to its uplink: the real process, with a script in the place of filter and fusion.

The script offers windows at a steady rate, as a filter does, and takes what comes home, as fusion does. Its ledger is
written from what the process itself notes for `[record]`. The process is started again as often as it is killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clownfish.bus import Bus
from clownfish.config import validate
from clownfish.lab.chaos.ledger import ANSWERED, Ledger
from clownfish.lab.chaos.paced import NETWORK
from clownfish.messages import End, Event, Note, Pixels, RemoteResult, Status, Vector, Window, WindowKey
from clownfish.metrics import read_counters
from clownfish.process import STATUS_SOCKET, SUPERVISOR_VARIABLE
from clownfish.settings import to_tree
from clownfish.within import within

SIZE, STRIDE = 16, 4
_STREAM = "cam"
_SAME = 1e-3
"""Between an answer and the model's own for that window: batches may be of other sizes."""


@dataclass(frozen=True)
class Footage:
    """Frames that are played round and round, and what the worker's model says of the windows that begin at each."""

    frames: tuple[Pixels, ...]
    answers: tuple[Vector, ...]

    def window(self, first: int) -> tuple[Pixels, ...]:
        return tuple(self.frames[n % len(self.frames)] for n in range(first, first + SIZE))

    def is_answer(self, first: int, p: Vector) -> bool:
        """Whether `p` is the model's answer for the window that begins at this frame."""
        right = self.answers[first % len(self.frames)]
        return p.shape == right.shape and float(abs(p - right).max()) < _SAME


@dataclass(eq=False)
class ScriptedEdge:
    """`uplink`: its section, as in a file. `folder`: a short path, for sockets."""

    name: str
    folder: Path
    uplink: dict[str, Any]
    footage: Footage
    bus: Bus
    epoch: int
    shift: int = 0
    """It plays the footage from this frame."""
    latencies_s: list[float] = field(default_factory=list)
    """From a window's offer to its answer."""

    def __post_init__(self) -> None:
        tree = {
            "graph": {"name": self.name, "run_dir": str(self.folder)},
            "log": {"format": "json", "level": "warning"},
            "streams": [{"name": _STREAM, "source": "shapes:test/0"}],
            "window": {"size": SIZE, "stride": STRIDE},
            "local": {"model": NETWORK},
            "uplink": {"edge": self.name, **self.uplink},
            "record": {"folder": str(self.folder / "record")},
        }
        self._config = validate(tree, self.name)
        assert self._config.uplink is not None
        self.ledger = Ledger(self.name, self._config.uplink.deadline_ms / 1000)
        self.ready = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []
        self._t = 0
        self._noted: dict[int, int] = {}
        self._at: dict[int, float] = {}

    # -- life

    async def start(self) -> None:
        """Start the process, and whatever listens to it."""
        self.folder.mkdir(mode=0o700)
        (self.folder / "config.json").write_text(json.dumps(to_tree(self._config)), encoding="utf-8")
        endpoint = self._config.ipc
        home = self.bus.inbox(endpoint("fusion-remote"), "fusion", (RemoteResult, End), hwm=1000)
        notes = self.bus.inbox(endpoint("record"), "record", (Note,), hwm=10_000)
        status = self.bus.inbox(endpoint(STATUS_SOCKET), "status", (Status,), hwm=100)
        self._outbox = self.bus.outbox(endpoint("uplink"), "uplink", hwm=4, large=True)
        works = (self._keep(), self._take_results(home), self._take_notes(notes), self._take_statuses(status))
        self._tasks = [asyncio.ensure_future(work) for work in works]

    def kill(self) -> bool:
        """kill -9; False where it is dead already."""
        if self._process is None or self._process.returncode is not None:
            return False
        self.ready.clear()
        self.ledger.killed(time.monotonic())
        self._process.send_signal(signal.SIGKILL)
        return True

    async def stop(self) -> None:
        """Ask the process to end, read what it still says, and close."""
        self._stopping = True
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            await self._process.wait()
        await asyncio.sleep(0.2)  # its last notes are in the socket already
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for task in self._tasks:
            if not task.cancelled() and task.exception() is not None:
                raise task.exception()  # type: ignore[misc]

    def counters(self) -> dict[str, int]:
        """The uplink's counters, as its processes have left them in their file."""
        return read_counters((self.folder / "uplink.counters").read_bytes()) or {}

    async def _keep(self) -> None:
        environment = {**os.environ, SUPERVISOR_VARIABLE: str(os.getpid()), "MALLOC_ARENA_MAX": "2"}
        command = [sys.executable, "-m", "services.uplink", "--config", str(self.folder / "config.json")]
        while not self._stopping:
            with (self.folder / "uplink.log").open("ab") as log:
                self._process = process = await asyncio.create_subprocess_exec(
                    *command, env=environment, start_new_session=True, stdin=asyncio.subprocess.DEVNULL, stderr=log
                )
            code = await process.wait()
            self.ready.clear()
            if not self._stopping and code != -signal.SIGKILL:
                self.ledger.faults.append(f"{self.name}: its uplink ended by itself, exit status {code}")
                return

    # -- what it does

    def offer(self) -> None:
        """The next window, newest frame captured now."""
        first, now = STRIDE * self._t, time.monotonic()
        frames = self.footage.window(first + self.shift)
        window = Window(_STREAM, self.epoch, self._t, first, int(now * 1e9), True, frames)
        self._t += 1
        self.ledger.offered(window.key, now)
        self._at[window.t] = now
        if not self._outbox.try_send(window):
            self.ledger.full(window.key)

    async def offer_each(self, period_s: float, begin: float, until: float) -> None:
        """Offer a window each `period_s`, from and until these moments; late is late, none is made up for."""
        due = begin
        while due < until:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self.offer()
            due = max(due + period_s, time.monotonic() - period_s)

    # -- what it hears

    async def _take_results(self, home: Any) -> None:
        async for message in home:
            if isinstance(message, RemoteResult):
                key = WindowKey(message.stream, message.epoch, message.t)
                self.ledger.answered(key, self.footage.is_answer(STRIDE * message.t + self.shift, message.p))
                self.latencies_s.append(time.monotonic() - self._at.get(message.t, float("nan")))

    async def _take_notes(self, notes: Any) -> None:
        async for note in notes:
            expected = self._noted.get(note.process, 0)
            if note.sequence != expected:
                self.ledger.faults.append(f"{self.name}: note {note.sequence} came where {expected} was due")
            self._noted[note.process] = note.sequence + 1
            for event in note.messages:
                if isinstance(event, Event):
                    self.ledger.noted(WindowKey(event.stream, event.epoch, event.t), event.what)

    async def _take_statuses(self, statuses: Any) -> None:
        async for status in statuses:
            process = self._process
            is_its = process is not None and status.pid == process.pid
            if is_its and status.state == "ready" and not self.ready.is_set():
                self.ready.set()
                self.ledger.ready(time.monotonic())

    @property
    def answered(self) -> int:
        return len(self.latencies_s)


async def all_ready(edges: Sequence[ScriptedEdge], patience_s: float) -> None:
    """Wait until each uplink is ready. Raises asyncio.TimeoutError."""
    await within(asyncio.gather(*(edge.ready.wait() for edge in edges)), patience_s)


def lost_without_a_kill(edge: ScriptedEdge, fates: dict[str, int]) -> list[str]:
    """Where an edge that was never killed counts otherwise than its ledger: its counters are what its user sees."""
    counters = edge.counters()
    counted = {
        name.removeprefix('dropped{reason="').removesuffix('"}'): count
        for name, count in counters.items()
        if name.startswith('dropped{reason="') and count
    }
    counted[ANSWERED] = counters.get("windows_answered", 0)
    told = {end: count for end, count in fates.items() if end != "box full"}
    if counted != told:
        return [f"{edge.name}: its counters say {counted}, its notes {told}"]
    return []
