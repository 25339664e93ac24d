"""What the bench measures, as values, and how they are shown: one table, each line beside its yardstick."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
from rich.markup import escape
from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """One measured quantity: a middle value, and how far it went."""

    value: float
    unit: str
    spread: tuple[tuple[str, float], ...] = ()
    """Named further values in the same unit: (("min", 1.0), ("max", 2.0))."""

    def __str__(self) -> str:
        text = f"{_short(self.value)} {self.unit}".rstrip()
        return text + (f" ({', '.join(f'{name} {_short(v)}' for name, v in self.spread)})" if self.spread else "")


@dataclass(frozen=True)
class Line:
    """One line of the table. `ratio` of the values is measured ÷ yardstick."""

    what: str
    measured: Figure
    yardstick: str
    """What the yardstick is, in words."""
    reference: Figure
    note: str = ""

    @property
    def ratio(self) -> float | None:
        return self.measured.value / self.reference.value if self.reference.value else None


@dataclass(frozen=True)
class Use:
    """What one process of a graph used of the machine while it was measured."""

    run: str
    process: str
    cpu_share: float
    """Of one core."""
    resident_mb: float


def batches(seconds_each: Sequence[float], unit: str = "µs") -> Figure:
    """Median, smallest and largest of the mean times of repeated batches."""
    values = np.array(seconds_each) * _PER_SECOND[unit]
    return Figure(float(np.median(values)), unit, (("min", float(values.min())), ("max", float(values.max()))))


def latencies(durations_ns: npt.NDArray[np.float64]) -> Figure:
    """p50 and p99 (nearest rank), in ms."""
    p50, p99 = np.percentile(durations_ns, (50, 99), method="inverted_cdf") / 1e6
    return Figure(float(p50), "ms", (("p99", float(p99)),))


def figures_table(lines: Sequence[Line]) -> Table:
    """The table for people."""
    table = Table(title="measured, beside its yardstick in the same run", title_justify="left", show_edge=False)
    for name in ("what", "measured", "yardstick", "it took", "ratio"):
        table.add_column(name, justify="right" if name == "ratio" else "left", overflow="fold")
    for line in lines:
        ratio = "-" if line.ratio is None else f"{_short(line.ratio)}×"
        what = f"{line.what}\n[dim]{escape(line.note)}[/]" if line.note else line.what
        table.add_row(what, str(line.measured), line.yardstick, str(line.reference), ratio)
    return table


def use_table(uses: Sequence[Use]) -> Table:
    """Processor and memory of each process, by run."""
    table = Table(title="processor (% of one core) and memory of each process", title_justify="left", show_edge=False)
    for name in ("run", "process", "CPU %", "MB"):
        table.add_column(name, justify="right" if name in ("CPU %", "MB") else "left")
    for use in uses:
        table.add_row(use.run, use.process, f"{100 * use.cpu_share:.1f}", f"{use.resident_mb:.0f}")
    return table


def numbers(lines: Sequence[Line], uses: Sequence[Use], settings: dict[str, Any]) -> dict[str, Any]:
    """Everything as JSON values, with the machine that it was measured on."""
    return {
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "system": platform.platform(),
            "cores": psutil.cpu_count(),
            "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
            "load_1min_at_end": psutil.getloadavg()[0],
            "python": platform.python_version(),
            "numpy": np.__version__,
        },
        "settings": settings,
        "lines": [{**asdict(line), "ratio": line.ratio} for line in lines],
        "processes": [asdict(use) for use in uses],
    }


_PER_SECOND = {"µs": 1e6, "ms": 1e3}


def _short(value: float) -> str:
    """Three digits that matter, never an exponent."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"
