"""Test tools: a real process graph in a folder of its own, and ways to see what it does and to hurt it.

`Graph` starts the processes of a configuration as `clownfish up` does. It reads what they publish and the JSONL file
that they write; every wait is for a condition, and bounded. Processes are signalled by their pid, and none outlives it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clownfish.config import Config, validate
from clownfish.kept_streams import KeptStreams
from clownfish.lab.free_port import free_ports
from clownfish.metrics import BUFFER_BYTES, Histogram, read_counters
from clownfish.supervisor import Supervisor

PATIENCE_S = 45.0
"""How long anything may take on a machine that is busy with other things."""
STRIDE, SIZE = 4, 16
WINDOWS_PER_S = 30 / STRIDE

Tree = dict[str, Any]


@dataclass(frozen=True)
class Material:
    """What every graph needs, made once: a short video, and models of the same and of other classes."""

    video: Path
    local: str
    remote: str
    other: str
    """Answers with other classes than `local`."""


def folder() -> Path:
    """A private folder with a short path: a Unix socket's address has little room."""
    return Path(tempfile.mkdtemp(prefix="cf", dir="/tmp"))


@dataclass(frozen=True)
class Endpoints:
    """Where router, edges and workers meet."""

    control: str
    data: str
    workers: str

    @classmethod
    def tcp(cls) -> Endpoints:
        return cls(*(f"tcp://127.0.0.1:{port}" for port in free_ports(3)))

    @classmethod
    def ipc(cls, run_dir: Path) -> Endpoints:
        return cls(*(f"ipc://{run_dir}/router-{name}.ipc" for name in ("control", "data", "workers")))


def edge_tree(run_dir: Path, material: Material, at: Endpoints | None, **stream: Any) -> Tree:
    """An edge with one stream, `cam`; `at` is its router's address, None: it has no uplink."""
    tree: Tree = {
        "graph": {"run_dir": str(run_dir)},
        "log": {"format": "json"},
        "streams": [{"name": "cam", "source": str(material.video), "loop": True, **stream}],
        "capture": {"width": 32, "height": 32},
        # the influence of a remote answer is over after two windows: 0.6 · 0.6 < θ
        "local": {"model": material.local, "device": "cpu", "similarity": {"kind": "constant", "value": 0.6}},
        "filter": {"policy": {"kind": "periodic", "n_w": 3}},
        "fusion": {"anchor_beta": "one", "drain_ms": 3000},
        "sinks": [{"name": "answers", "sink": {"kind": "jsonl", "path": str(run_dir / "answers.jsonl")}}],
    }
    if at is not None:
        tree["uplink"] = {"control": at.control, "data": at.data}
    return tree


def cloud_tree(run_dir: Path, model: str, at: Endpoints, workers: int = 1) -> Tree:
    """A router and its workers."""
    return {
        "graph": {"run_dir": str(run_dir)},
        "log": {"format": "json"},
        "router": {"control": at.control, "data": at.data, "workers": at.workers},
        "worker": {"router": at.workers, "model": model, "device": "cpu", "count": workers},
    }


def alive(pid: int) -> bool:
    """Whether the process runs; one that is dead and not yet reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


async def until(condition: Callable[[], bool], what: str, timeout_s: float = PATIENCE_S) -> float:
    """Wait for a condition; returns the seconds it took."""
    begin = time.monotonic()
    while not condition():
        if time.monotonic() - begin > timeout_s:
            raise AssertionError(f"not within {timeout_s:g} s: {what}")
        await asyncio.sleep(0.02)
    return time.monotonic() - begin


class Graph:
    """One running graph: `async with Graph(tree) as graph`. `changeable`: its streams may be changed meanwhile."""

    def __init__(self, tree: Tree, changeable: bool = False) -> None:
        self.config: Config = validate(tree, "test")
        kept = KeptStreams(self.config) if changeable else None
        self.config = self.config if kept is None else kept.config
        self.folder = self.config.run_dir()
        self.supervisor = Supervisor(self.config, log_dir=self.folder, kept=kept)
        self.pids: set[int] = set()
        self._answers = self.folder / "answers.jsonl"
        self._read_bytes = 0
        self._results: list[dict[str, Any]] = []
        self._stopped = False

    async def __aenter__(self) -> Graph:
        try:
            await self.supervisor.start(wait_for_all=True)
        except BaseException:
            await self.stop(drain=False)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop(drain=False)

    async def stop(self, drain: bool) -> None:
        if self._stopped:
            return
        self._stopped = True
        self._note_pids()
        for child in self.supervisor.children.values():
            if child.process is not None and child.process.returncode is None:
                with contextlib.suppress(ProcessLookupError):  # it has just been killed, and the loop not heard of it
                    os.kill(child.process.pid, signal.SIGCONT)
        await self.supervisor.stop(drain)
        assert not [pid for pid in self.pids if alive(pid)]

    # -- what it does

    def results(self) -> list[dict[str, Any]]:
        """Every answer that the sink has written so far, in order."""
        if self._answers.exists():
            with self._answers.open("rb") as file:
                file.seek(self._read_bytes)
                data = file.read()
            whole = data[: data.rfind(b"\n") + 1]
            self._read_bytes += len(whole)
            self._results += [json.loads(line) for line in whole.splitlines()]
        return self._results

    def live(self) -> list[dict[str, Any]]:
        """The answers of revision 0."""
        return [result for result in self.results() if result["revision"] == 0]

    def counter(self, process: str, name: str) -> int:
        """A counter as it stands in the process's file: alive, dead or just born."""
        path = self.folder / f"{process}.counters"
        data = path.read_bytes() if path.exists() else b""
        return (read_counters(data) or {}).get(name, 0) if len(data) >= BUFFER_BYTES else 0

    def counters(self, process: str) -> dict[str, int]:
        return read_counters((self.folder / f"{process}.counters").read_bytes()) or {}

    def gauge(self, process: str, name: str) -> float | None:
        return self.supervisor.gauge(process, name)

    def text(self, process: str) -> str:
        """What the process last said of itself, for people."""
        status = self.supervisor.children[process].status
        return "" if status is None else status.text

    def histogram(self, process: str, name: str) -> Counter[int]:
        """Buckets, to subtract an earlier reading from."""
        status = self.supervisor.children[process].status
        return Counter(status.histograms.get(name, {}) if status is not None else {})

    def log(self, process: str) -> str:
        path = self.folder / f"{process}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    # -- what is done to it

    def pid(self, process: str) -> int:
        child = self.supervisor.children[process]
        assert child.process is not None
        return child.process.pid

    def signal(self, process: str, number: signal.Signals) -> int:
        """Send a signal; returns the pid."""
        self._note_pids()
        pid = self.pid(process)
        os.kill(pid, number)
        return pid

    def is_back(self, process: str, dead: int) -> bool:
        """Whether another process has taken the place of `dead`, and is ready."""
        child = self.supervisor.children[process]
        fresh = child.process is not None and child.process.pid != dead and child.ready.is_set()
        return fresh and child.status is not None and child.status.pid != dead

    async def answers(self, count: int, what: str = "answers go on", timeout_s: float = PATIENCE_S) -> float:
        """Wait for `count` more answers of revision 0."""
        begin = len(self.live())
        return await until(lambda: len(self.live()) >= begin + count, what, timeout_s)

    def _note_pids(self) -> None:
        self.pids |= {child.process.pid for child in self.supervisor.children.values() if child.process is not None}


@dataclass(frozen=True)
class Phase:
    """What the graph did over a number of windows."""

    answers: list[dict[str, Any]]
    seconds: float
    missing: int
    median_ms: float
    """Capture to fused."""

    @property
    def windows_per_s(self) -> float:
        return len(self.answers) / self.seconds

    @property
    def sources(self) -> set[str]:
        return {answer["source"] for answer in self.answers}


async def observe(graph: Graph, windows: int) -> Phase:
    """Watch the next `windows` answers of revision 0."""
    first = len(graph.live())
    missing = graph.counter("fusion", "windows_missing")
    latency = graph.histogram("fusion", "capture_to_fused")
    seconds = await graph.answers(windows)
    answers = graph.live()[first:]
    await until(lambda: (graph.histogram("fusion", "capture_to_fused") - latency).total() >= windows, "a status")
    median_ns = Histogram(graph.histogram("fusion", "capture_to_fused") - latency).percentile(50)
    assert median_ns is not None
    missing = graph.counter("fusion", "windows_missing") - missing
    return Phase(answers, seconds, missing, median_ns / 1e6)


def assert_in_order(results: list[dict[str, Any]], lost: int = 0) -> None:
    """Revision 0 comes in the order of t; no window has a revision twice; none goes back; nothing follows the final.

    `lost`: how many results a killed sink may have taken with it.
    """
    unanswered: set[tuple[str, int, int]] = set()
    newest: dict[tuple[str, int], int] = {}
    revisions: dict[tuple[str, int, int], int] = {}
    final: set[tuple[str, int, int]] = set()
    for result in results:
        stream = (result["stream"], result["epoch"])
        window = (*stream, result["t"])
        assert window not in final, f"{window} was final before revision {result['revision']}"
        assert result["revision"] > revisions.get(window, -1), f"{window} said revision {result['revision']} again"
        if result["revision"] == 0:
            assert result["t"] > newest.get(stream, -1), f"{window} came after window {newest[stream]}"
            newest[stream] = result["t"]
        elif window not in revisions:
            unanswered.add(window)
            assert len(unanswered) <= lost, f"{window} was revised before it was answered"
        revisions[window] = result["revision"]
        if result["final"]:
            final.add(window)


def holes(results: list[dict[str, Any]]) -> int:
    """Windows without an answer, before the newest answered one of their epoch."""
    newest: dict[int, int] = {}
    for result in results:
        newest[result["epoch"]] = max(newest.get(result["epoch"], 0), result["t"])
    answered = {(result["epoch"], result["t"]) for result in results if result["revision"] == 0}
    return sum(t + 1 for t in newest.values()) - len(answered)


def remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
