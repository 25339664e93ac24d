"""Runs the real process graph for a while and measures it through what its services publish, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from clownfish.errors import ClownfishError
from clownfish.lab.figures import Figure, Use
from clownfish.messages import Status
from clownfish.metrics import Histogram
from clownfish.settings import Config
from clownfish.supervisor import Supervisor
from clownfish.within import within

_LOST = ("dropped{", "frames_dropped{", "malformed{")
"""Counters of what a box has lost, beside `windows_skipped` and `windows_missing`."""

_ANSWERS_S = 30.0
_ANSWERING = ("capture", "window", "local", "fusion")
"""Processes without which no window is answered."""

Phase = tuple[str, "contextlib.AbstractContextManager[object]"]
"""Names what is measured in its uses; what there is meanwhile."""


@dataclass
class Sample:
    """What grew between two moments of a running graph."""

    answered_per_s: float = 0.0
    """Windows, over all streams."""
    counters: dict[str, dict[str, int]] = field(default_factory=dict)
    histograms: dict[str, dict[str, Histogram]] = field(default_factory=dict)
    uses: list[Use] = field(default_factory=list)

    def lost(self, services: tuple[str, ...]) -> dict[str, int]:
        """What was skipped or dropped in these services, by "process counter"; empty when all is well."""
        found = {}
        for process, counters in self.counters.items():
            if process.partition("-")[0] not in services:
                continue
            for name, count in counters.items():
                if count and (name.startswith(_LOST) or name in ("windows_skipped", "windows_missing")):
                    found[f"{process} {name}"] = count
        return found

    def latency(self, process: str, name: str) -> Figure:
        """p50 and p99 in ms. Raises ClownfishError where nothing was counted."""
        histogram = self.histograms.get(process, {}).get(name, Histogram())
        p50, p99 = histogram.percentile(50), histogram.percentile(99)
        if p50 is None or p99 is None:
            raise ClownfishError(f"{process} published no {name!r} in the sample; expected one for each window")
        return Figure(p50 / 1e6, "ms", (("p99", p99 / 1e6),))


def measure_graph(config: Config, log_dir: Path, *, settle_s: float, sample_s: float, run: str) -> Sample:
    """Start the graph, let it settle, measure it for `sample_s`, stop it. `run` names the sample in its uses.

    `log_dir` gets each process's log. Raises ClownfishError where the graph cannot start.
    """
    return measure_phases(config, log_dir, [(run, contextlib.nullcontext())], settle_s=settle_s, sample_s=sample_s)[0]


def measure_phases(
    config: Config, log_dir: Path, phases: Sequence[Phase], *, settle_s: float, sample_s: float
) -> list[Sample]:
    """Likewise one graph in one phase after another, each settled and measured within its context.

    What differs from one start to the next (how the streams' windows fall together) is alike in all of them.
    """
    log_dir.mkdir(parents=True, exist_ok=True)
    return asyncio.run(_measure(config, log_dir, phases, settle_s, sample_s))


async def _measure(
    config: Config, log_dir: Path, phases: Sequence[Phase], settle_s: float, sample_s: float
) -> list[Sample]:
    supervisor = Supervisor(config, log_dir)
    seen: dict[str, tuple[float, Status]] = {}

    def on_status() -> None:
        for name, child in supervisor.children.items():
            if child.status is not None and (name not in seen or seen[name][1] is not child.status):
                seen[name] = (time.monotonic(), child.status)

    supervisor.on_status = on_status
    try:
        await supervisor.start(wait_for_all=True)
        await _answering(supervisor)
        samples = []
        for run, phase in phases:
            with phase:
                await let_run(supervisor, settle_s)
                before, cpu_before, begin = dict(seen), _cpu_s(supervisor), time.monotonic()
                await let_run(supervisor, sample_s)
                await _answering(supervisor, before)
                after, cpu_after, elapsed_s = dict(seen), _cpu_s(supervisor), time.monotonic() - begin
            restarted = [name for name, child in supervisor.children.items() if child.restarts]
            if restarted:
                raise ClownfishError(
                    f"{', '.join(restarted)} ended during the measurement: {last_words(log_dir, restarted)}"
                )
            memory = _resident_mb(supervisor)
            sample = _growth(before, after)
            for name, used in cpu_after.items():
                share = (used - cpu_before.get(name, 0.0)) / elapsed_s
                sample.uses.append(Use(run, name, share, memory.get(name, 0.0)))
            samples.append(sample)
        return samples
    finally:
        await supervisor.stop(drain=False)


async def _answering(supervisor: Supervisor, before: Mapping[str, tuple[float, Status]] | None = None) -> None:
    """Until fusion has published that it answered a window, or one more than `before`: a busy machine is slow. Those
    before it must have published something after `before`, too, or the sample would have nothing of theirs.
    """
    before = before or {}
    then = before["fusion"][1].counters.get("windows_answered", 0) if "fusion" in before else 0

    def answered() -> bool:
        children = supervisor.children
        status = children["fusion"].status
        if status is None or status.counters.get("windows_answered", 0) <= then:
            return False
        return all(children[name].status is not before[name][1] for name in _ANSWERING if name in before)

    if "fusion" in supervisor.children:
        with contextlib.suppress(asyncio.TimeoutError):  # then the figures say that there was none
            await within(supervisor.run_until(answered), _ANSWERS_S)


def last_words(log_dir: Path, processes: list[str]) -> str:
    logs = [(log_dir / f"{name}.log").read_text(errors="replace").strip().splitlines() for name in processes]
    return next((lines[-1] for lines in logs if lines), "their logs say nothing")


async def let_run(supervisor: Supervisor, seconds: float) -> None:
    """Let it run. Raises ClownfishError where the graph fails meanwhile."""
    with contextlib.suppress(asyncio.TimeoutError):
        await within(supervisor.run_until(lambda: False), seconds)


def _growth(before: Mapping[str, tuple[float, Status]], after: Mapping[str, tuple[float, Status]]) -> Sample:
    """Services publish once a second, each at its own moment: a rate is over the time between its own statuses."""
    sample = Sample()
    for name, (now, status) in after.items():
        then, old = before.get(name, (now, None))
        counters = old.counters if old is not None else {}
        sample.counters[name] = {key: count - counters.get(key, 0) for key, count in status.counters.items()}
        sample.histograms[name] = {}
        for key, buckets in status.histograms.items():
            was = old.histograms.get(key, {}) if old is not None else {}
            sample.histograms[name][key] = Histogram({b: count - was.get(b, 0) for b, count in buckets.items()})
        if name == "fusion" and now > then:
            sample.answered_per_s = sample.counters[name].get("windows_answered", 0) / (now - then)
    return sample


def pids_of(supervisor: Supervisor) -> dict[str, int]:
    return {
        name: child.process.pid
        for name, child in supervisor.children.items()
        if child.process is not None and child.process.returncode is None
    }


def _cpu_s(supervisor: Supervisor) -> dict[str, float]:
    found = {}
    for name, pid in pids_of(supervisor).items():
        with contextlib.suppress(psutil.Error):
            times = psutil.Process(pid).cpu_times()
            found[name] = float(times.user + times.system)
    return found


def _resident_mb(supervisor: Supervisor) -> dict[str, float]:
    found = {}
    for name, pid in pids_of(supervisor).items():
        with contextlib.suppress(psutil.Error):
            found[name] = psutil.Process(pid).memory_info().rss / 1e6
    return found
