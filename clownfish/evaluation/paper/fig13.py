"""Figure 13 (§VI-G): frames answered per second, in samples of 5 s, while the uplink's cap changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clownfish.evaluation.paper import record, style
from clownfish.evaluation.paper.base import Exhibit, Table
from clownfish.evaluation.paper.context import Context
from clownfish.evaluation.paper.experiments import OURS, SECTIONS, cap, looks, name, runs
from clownfish.lab.recorded import Recorded
from clownfish.lab.throughput import SAMPLE_S

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 3


@dataclass(frozen=True, slots=True)
class Row:
    """A sample of one run."""

    method: str
    section: int
    """From 0: a video, in a network that does not change."""
    network: str
    sample: int
    """Of the section, from 0."""
    fps: float
    paper: float | None
    """The paper's mean of that section."""


def compute(context: Context) -> list[Row]:
    """Every sample of every run through the sections. Raises Unavailable."""
    return [
        Row(name(run), section, cap(part.rate_mbit), sample, fps, papers(run, section))
        for run in runs(context, (SECTIONS,), "fig13")
        for section, part in enumerate(run.parts)
        for sample, fps in enumerate(part.fps)
    ]


def papers(run: Recorded, section: int) -> float | None:
    """The paper's frames per second, where its record has that method and section."""
    rates = record.FRAME_RATES.get("Clownfish" if run.method == OURS else name(run), ())
    return rates[section] if section < len(rates) else None


def draw(rows: Sequence[Row]) -> Figure:
    """A panel for each run; the sections side by side, the paper's mean as a dashed line in each."""
    methods = looks(row.method for row in rows)
    lines = -(-len(methods) // COLUMNS)
    figure = style.new_figure(0.6 + 2.0 * lines)
    panels = figure.subplots(lines, COLUMNS, sharex=True, sharey=True, squeeze=False)
    length = max(row.sample for row in rows) + 1
    for axes in panels.flat[len(methods) :]:
        axes.axis("off")
    for n, (axes, (method, look)) in enumerate(zip(panels.flat, methods.items(), strict=False)):
        mine = [row for row in rows if row.method == method]
        for section in sorted({row.section for row in mine}):
            here = [row for row in mine if row.section == section]
            begin = section * length
            x = [(begin + row.sample + 0.5) * SAMPLE_S for row in here]
            axes.plot(
                x, [row.fps for row in here], color=look.colour, marker="o", markersize=3.5, linewidth=1.3, label="here"
            )
            if here[0].paper is not None:
                ends = (begin * SAMPLE_S, (begin + length) * SAMPLE_S)
                axes.hlines(
                    here[0].paper, *ends, color="#888888", linestyle="--", linewidth=1.0, label="the paper's mean"
                )
            axes.axvline(begin * SAMPLE_S, color="#bbbbbb", linewidth=0.8)
            axes.text(
                (begin + length / 2) * SAMPLE_S, 1, here[0].network.replace(" Mbit/s", " M"), ha="center", fontsize=7.5
            )
        style.tidy(
            axes, method, "time, s" if n >= len(methods) - COLUMNS else "", "frames/s" if n % COLUMNS == 0 else ""
        )
        axes.tick_params(labelbottom=n >= len(methods) - COLUMNS)  # also where the panel below is left empty
    panels[0, 0].set_ylim(0, max(36.0, 1.1 * max(row.fps for row in rows)))
    style.legend_below(figure, panels[0, 0], columns=2)
    return figure


def table(rows: Sequence[Row]) -> Table:
    """Least and most of each section, the paper's mean in brackets."""
    sections = sorted({(row.section, row.network) for row in rows})
    lines = []
    for method in dict.fromkeys(row.method for row in rows):
        cells = []
        for section, _ in sections:
            here = [row for row in rows if (row.method, row.section) == (method, section)]
            cells.append(_cell([row.fps for row in here], here[0].paper) if here else "–")
        lines.append([method, *cells])
    return Table(["frames/s in 5 s: least–most (the paper's mean)", *(network for _, network in sections)], lines)


def _cell(fps: Sequence[float], paper: float | None) -> str:
    return f"{min(fps):.1f}–{max(fps):.1f}" + (f" ({paper:.1f})" if paper is not None else "")


FIGURE = Exhibit(
    "fig13",
    "Figure 13: throughput as the uplink changes",
    "Frames answered per second in samples of 5 s, over sections with no cap, 7.5, 5 Mbit/s and no cap again, a video "
    "each. Of cloud-only, frames that the cloud answered. Our cameras give 30 frames a second, the paper's videos 32.",
    Row,
    compute,
    draw,
    table,
    recorded=True,
)
