"""Figure 15: what each method costs, on the wire and in processor time. Which of its own costs the paper draws there is
not in its record; these are the ones that the lab measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clownfish.evaluation.paper import style
from clownfish.evaluation.paper.base import Exhibit, Table
from clownfish.evaluation.paper.context import Context
from clownfish.evaluation.paper.experiments import OURS, looks, name, runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Row:
    """One run."""

    network: str
    method: str
    up_mbit: float
    """Per second, headers included, by the link's own counters."""
    down_mbit: float
    edge_cpu: float
    """Share of one core, all processes together."""
    cloud_cpu: float
    p50_ms: float | None
    """From capture to the edge's live answer; None of methods that wait for the cloud."""
    p99_ms: float | None


def compute(context: Context) -> list[Row]:
    """All runs. Raises Unavailable."""
    rows = []
    for run in sorted(runs(context), key=lambda run: run.profile):
        at_once = run.latency_ms if run.method in (OURS, style.EDGE) else {}
        rows.append(
            Row(
                run.profile,
                name(run),
                run.up_bytes * 8e-6 / run.seconds,
                run.down_bytes * 8e-6 / run.seconds,
                run.cpu_in_cloud(False),
                run.cpu_in_cloud(True),
                at_once.get("p50"),
                at_once.get("p99"),
            )
        )
    return rows


def draw(rows: Sequence[Row]) -> Figure:
    """Bars for each run: the wire on the left, processors on the right."""
    figure = style.new_figure(1.1 + 0.24 * len(rows))
    wire, cpu = figure.subplots(1, 2, sharey=True)
    methods = looks(row.method for row in rows)
    y = list(range(len(rows)))
    colours = [methods[row.method].colour for row in rows]
    wire.barh(y, [row.up_mbit for row in rows], 0.7, color=colours)
    cpu.barh(y, [row.edge_cpu for row in rows], 0.7, color=colours)
    cpu.barh(y, [row.cloud_cpu for row in rows], 0.7, left=[row.edge_cpu for row in rows], color=colours, alpha=0.35)
    wire.set_yticks(y, [f"{row.network}: {row.method}" for row in rows])
    wire.invert_yaxis()
    style.tidy(wire, "uplink", "Mbit/s on the wire")
    style.tidy(cpu, "processor: edge, cloud (pale)", "share of one core")
    wire.set_ylabel("network: method", fontsize=9)
    return figure


def table(rows: Sequence[Row]) -> Table:
    """All of it."""
    lines = [
        [
            f"{row.network}; {row.method}",
            f"{row.up_mbit:.2f}",
            f"{row.down_mbit:.3f}",
            percent_of_core(row.edge_cpu),
            percent_of_core(row.cloud_cpu),
            *("–" if ms is None else f"{ms:.1f}" for ms in (row.p50_ms, row.p99_ms)),
        ]
        for row in rows
    ]
    return Table(["", "up, Mbit/s", "down", "edge CPU, %", "cloud CPU, %", "live answer, p50 ms", "p99 ms"], lines)


def percent_of_core(share: float) -> str:
    """100 is one core."""
    return f"{100 * share:.0f}"


FIGURE = Exhibit(
    "fig15",
    "Figure 15: what each method costs",
    "Bytes on the wire, by the link's own counters, and processor time of edge and cloud (pale), each over the time of "
    "its run. The paper's record does not say what its Figure 15 shows; these are costs that the lab measures. An abca "
    "run is of all four sections.",
    Row,
    compute,
    draw,
    table,
    recorded=True,
)
