"""Throughput, latency and lag of every run in every network: does the edge go on answering, whatever the link does?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clownfish.evaluation.paper import style
from clownfish.evaluation.paper.base import Exhibit, Table
from clownfish.evaluation.paper.context import Context
from clownfish.evaluation.paper.experiments import OURS, looks, name, runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOST = ("missing",)
"""In `Recorded.lost`, windows that the edge did not answer; the others were sent for and not answered by the cloud."""


@dataclass(frozen=True, slots=True)
class Row:
    """One run."""

    network: str
    method: str
    samples: int
    """Of 5 s."""
    fps_least: float | None
    """Frames answered per second in a sample; None where the run was too short for one."""
    fps_most: float | None
    p50_ms: float | None
    """From capture to the edge's live answer; None of methods that wait for the cloud."""
    p99_ms: float | None
    missing: int
    """Windows without a live answer."""
    answers: int
    """That the cloud gave in time to be applied."""
    lag_p50: int | None
    lag_p95: int | None
    unanswered: int
    """Windows chosen for the cloud that it did not answer, for whatever reason."""


def compute(context: Context) -> list[Row]:
    """All runs, the network that cuts most last. Raises Unavailable."""
    rows = []
    for run in runs(context):
        at_once = run.latency_ms if run.method in (OURS, style.EDGE) else {}
        rows.append(
            Row(
                run.profile,
                name(run),
                len(run.fps),
                min(run.fps, default=None),
                max(run.fps, default=None),
                at_once.get("p50"),
                at_once.get("p99"),
                sum(run.lost.get(each, 0) for each in LOST),
                sum(run.answers.values()),
                lag_quantile(run.answers, 0.5),
                lag_quantile(run.answers, 0.95),
                sum(count for reason, count in run.lost.items() if reason not in LOST),
            )
        )
    return rows


def lag_quantile(answers: Mapping[int, int], q: float) -> int | None:
    """The least lag that at least the share `q` of the answers does not exceed; None without answers."""
    seen, in_all = 0, sum(answers.values())
    for lag, count in sorted(answers.items()):
        seen += count
        if count and seen >= q * in_all:
            return lag
    return None


def draw(rows: Sequence[Row]) -> Figure:
    """Least and most frames a second on the left, the 99th percentile of the live answer's latency on the right."""
    networks = list(dict.fromkeys(row.network for row in rows))
    methods = looks(row.method for row in rows)
    figure = style.new_figure(1.6 + 0.34 * len(networks))
    rates, delays = figure.subplots(1, 2, sharey=True)
    for k, (method, look) in enumerate(methods.items()):
        shift = (k - (len(methods) - 1) / 2) * 0.7 / len(methods)
        for row in rows:
            if row.method != method:
                continue
            y = networks.index(row.network) + shift
            if row.fps_least is not None and row.fps_most is not None:
                rates.plot([row.fps_least, row.fps_most], [y, y], color=look.colour, linewidth=3, solid_capstyle="butt")
                rates.plot([row.fps_least], [y], color=look.colour, marker=look.marker or ".", markersize=4)
            if row.p99_ms is not None:
                delays.plot([row.p99_ms], [y], color=look.colour, marker=look.marker or ".", markersize=5, linestyle="")
        rates.plot([], [], color=look.colour, marker=look.marker or ".", linestyle="", label=method)
    rates.set_yticks(range(len(networks)), networks)
    rates.invert_yaxis()
    rates.set_xlim(left=0)
    delays.set_xlim(left=0)
    style.tidy(rates, "", "frames/s in 5 s, least to most", "network")
    style.tidy(delays, "", "live answer after capture, p99, ms")
    style.legend_below(figure, rates, columns=3)
    return figure


def table(rows: Sequence[Row]) -> Table:
    """All of it."""
    lines = [
        [
            f"{row.network}; {row.method}",
            "–" if row.fps_least is None else f"{row.fps_least:.1f}–{row.fps_most:.1f}",
            *("–" if ms is None else f"{ms:.1f}" for ms in (row.p50_ms, row.p99_ms)),
            str(row.missing),
            str(row.answers),
            *("–" if lag is None else str(lag) for lag in (row.lag_p50, row.lag_p95)),
            str(row.unanswered),
        ]
        for row in rows
    ]
    columns = ["", "frames/s in 5 s", "live answer, p50 ms", "p99 ms", "not answered by the edge", "cloud's answers"]
    return Table([*columns, "lag p50", "p95", "not answered by the cloud"], lines)


FIGURE = Exhibit(
    "networks",
    "Every network: does the edge go on answering?",
    "Frames answered per second in samples of 5 s, how long after a frame's capture the edge answers, and how late "
    "the cloud's answers come, in every network that was recorded. One run each.",
    Row,
    compute,
    draw,
    table,
    recorded=True,
)
