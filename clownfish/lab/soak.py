"""A soak: one graph for a long time, and whether anything in its processes grows."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from clownfish.errors import ClownfishError, ConfigError
from clownfish.lab.footprint import MEASURES, Footprints
from clownfish.lab.graph import last_words, let_run, pids_of
from clownfish.lab.trend import LEAST, Trend
from clownfish.settings import Config
from clownfish.supervisor import Supervisor


@dataclass(frozen=True)
class SoakOptions:
    """How long, how often, and what may grow by how much in an hour."""

    minutes: float = 30.0
    every_s: float = 10.0
    settle_s: float = 120.0
    """Left out at the beginning: models load, heaps and histories fill."""
    mb_per_h: float = 4.0
    handles_per_h: float = 4.0
    """Descriptors, and threads."""

    def limit(self, measure: str) -> float:
        return self.mb_per_h if measure.endswith("_mb") else self.handles_per_h


@dataclass(frozen=True)
class Grown:
    """What became of one measure of one process."""

    process: str
    measure: str
    first: float
    last: float
    most: float
    per_h: Trend
    limit: float

    @property
    def too_much(self) -> bool:
        return self.per_h.above(self.limit)


def soak(config: Config, log_dir: Path, options: SoakOptions, say: Callable[[str], None]) -> list[Grown]:
    """Run the graph and sample each of its processes, and this one, its supervisor. `log_dir` gets their logs.

    Raises ConfigError for a soak that is too short to tell; ClownfishError where the graph fails, or a process ends.
    """
    if options.minutes * 60 < LEAST * options.every_s:
        raise ConfigError(
            f"{options.minutes:g} minutes are {options.minutes * 60 / options.every_s:.0f} samples; "
            f"a slope takes {LEAST}: more --minutes, or --every less"
        )
    log_dir.mkdir(parents=True, exist_ok=True)
    return asyncio.run(_soak(config, log_dir, options, say))


async def _soak(config: Config, log_dir: Path, options: SoakOptions, say: Callable[[str], None]) -> list[Grown]:
    supervisor, taken = Supervisor(config, log_dir), Footprints()
    try:
        say("starting …")
        await supervisor.start(wait_for_all=True)
        say(f"settling, {options.settle_s:.0f} s …")
        await let_run(supervisor, options.settle_s)
        begin = time.monotonic()
        end = begin + options.minutes * 60
        due = begin
        while (now := time.monotonic()) < end or len(taken.taken["supervisor"]) < LEAST:
            await asyncio.to_thread(taken.take, now / 3600, {**pids_of(supervisor), "supervisor": os.getpid()})
            say(f"{max(0.0, end - now) / 60:.0f} minutes to go …")
            due = max(due + options.every_s, time.monotonic())
            await let_run(supervisor, due - time.monotonic())
        ended = [name for name, child in supervisor.children.items() if child.restarts]
        if ended:
            raise ClownfishError(f"{', '.join(ended)} ended during the soak: {last_words(log_dir, ended)}")
    finally:
        await supervisor.stop(drain=False)
    return [_grown(taken, process, measure, options) for process in taken.taken for measure in MEASURES]


def _grown(taken: Footprints, process: str, measure: str, options: SoakOptions) -> Grown:
    values = taken.values(process, measure)
    found = taken.trend(process, measure)
    return Grown(process, measure, values[0], values[-1], max(values), found, options.limit(measure))
