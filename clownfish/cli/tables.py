"""What a person sees in a terminal: the graph's processes, and the sum of a run (layer 4)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping

import psutil
from rich.table import Table

from clownfish.overview import done, drops
from clownfish.supervisor import Child


def resident_mb(pid: int) -> float | None:
    """Memory of a process in MB (RSS), None where it is gone."""
    with contextlib.suppress(psutil.Error):
        return float(psutil.Process(pid).memory_info().rss) / 1e6
    return None


def cpu_s(pid: int) -> float | None:
    """Processor seconds that a process has used, None where it is gone."""
    with contextlib.suppress(psutil.Error):
        times = psutil.Process(pid).cpu_times()
        return float(times.user + times.system)
    return None


def status_table(children: Mapping[str, Child]) -> Table:
    """One line a process: state, work done, drops, restarts, memory."""
    table = Table(title="clownfish", title_justify="left")
    for name, justify in (
        ("process", "left"), ("pid", "right"), ("state", "left"), ("done", "right"), ("drops", "right"),
        ("restarts", "right"), ("MB", "right"), ("note", "left"),
    ):  # fmt: skip
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for name, child in children.items():
        status = child.status
        pid = child.process.pid if child.process is not None and child.process.returncode is None else None
        memory = resident_mb(pid) if pid is not None else None
        state = "starting" if status is None or (pid is not None and status.pid != pid) else status.state
        table.add_row(
            name,
            str(pid or "-"),
            f"[{_COLOUR[state]}]{state}[/]" if pid else "[red]ended[/]",
            str(done(child.spec.service, status)) if status else "-",
            str(drops(status.counters)) if status else "-",
            str(child.restarts),
            f"{memory:.0f}" if memory is not None else "-",
            (status.text if status else "")[:60],
        )
    return table


_COLOUR = {"starting": "yellow", "ready": "green", "draining": "yellow", "failed": "red", "ended": "dim"}


def plain_table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> Table:
    """A table whose first column is text and whose others are figures."""
    table = Table(title=title, title_justify="left", show_edge=False, pad_edge=False)
    for i, name in enumerate(columns):
        table.add_column(name, justify="right" if i and name else "left")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    return table
