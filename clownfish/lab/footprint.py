"""What a process holds, sampled while it runs, and whether that grows."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

import psutil

from clownfish.lab.trend import Trend, trend


@dataclass(frozen=True)
class Footprint:
    """At one moment. `uss_mb` is its own memory, without what it shares with others."""

    rss_mb: float
    uss_mb: float
    fds: float
    threads: float

    @classmethod
    def of(cls, pid: int) -> Footprint:
        """Raises psutil.Error where it has ended."""
        process = psutil.Process(pid)
        with process.oneshot():
            memory = process.memory_full_info()
            return cls(memory.rss / 1e6, memory.uss / 1e6, process.num_fds(), process.num_threads())


MEASURES = tuple(each.name for each in fields(Footprint))


@dataclass
class Footprints:
    """Those of several processes, by name, over time or whatever else goes on meanwhile."""

    taken: dict[str, list[tuple[float, Footprint]]] = field(default_factory=dict)

    def take(self, at: float, pids: Mapping[str, int]) -> None:
        """One of each process that runs."""
        for name, pid in pids.items():
            with contextlib.suppress(psutil.Error):
                self.taken.setdefault(name, []).append((at, Footprint.of(pid)))

    def values(self, name: str, measure: str) -> list[float]:
        return [getattr(each, measure) for _, each in self.taken[name]]

    def trend(self, name: str, measure: str) -> Trend:
        """Raises ValueError where there are too few."""
        return trend([at for at, _ in self.taken[name]], self.values(name, measure))
