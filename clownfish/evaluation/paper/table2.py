"""Table II (§VI-G): frame rate and accuracy of each method in each section of Figure 13."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from clownfish.evaluation.paper import style
from clownfish.evaluation.paper.base import Exhibit, Table
from clownfish.evaluation.paper.context import Context
from clownfish.evaluation.paper.experiments import SECTIONS, cap, looks, name, of_the_same_streams, runs
from clownfish.evaluation.paper.fig7 import percent
from clownfish.evaluation.paper.fig13 import papers

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Row:
    """One section of one run."""

    method: str
    section: int
    network: str
    fps: float | None
    """Mean of its samples; None where it was too short for one."""
    live: float | None
    final: float | None
    frames: int
    """Scored."""
    paper_fps: float | None


def compute(context: Context) -> list[Row]:
    """Raises Unavailable."""
    return [
        Row(
            name(run),
            section,
            cap(part.rate_mbit),
            fmean(part.fps) if part.fps else None,
            part.accuracy.get("live"),
            part.accuracy.get("final"),
            part.frames,
            papers(run, section),
        )
        for run in of_the_same_streams(runs(context, (SECTIONS,), "fig13"))
        for section, part in enumerate(run.parts)
    ]


def draw(rows: Sequence[Row]) -> Figure:
    """Frame rate on the left, accuracy on the right (what is said at once, where a method says anything then)."""
    figure = style.new_figure(3.7)
    rates, right = figure.subplots(1, 2)
    sections = sorted({(row.section, row.network) for row in rows})
    for method, look in looks(row.method for row in rows).items():
        mine = [row for row in rows if row.method == method]
        for axes, values in (
            (rates, [(row.section, row.fps) for row in mine]),
            (right, [(row.section, _percent(row.final if row.live is None else row.live)) for row in mine]),
        ):
            points = [(x, y) for x, y in values if y is not None]
            axes.plot(
                [x for x, _ in points], [y for _, y in points],
                color=look.colour, marker=look.marker or ".", linewidth=1.3, markersize=5, label=method,
            )  # fmt: skip
    for axes, what in ((rates, "frames per second"), (right, "frame accuracy, %")):
        axes.set_xticks([section for section, _ in sections], [network for _, network in sections])
        style.tidy(axes, x="uplink", y=what)
    rates.set_ylim(bottom=0)
    style.legend_below(figure, rates, columns=3)
    return figure


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def table(rows: Sequence[Row]) -> Table:
    """A line for each method and section."""
    lines = [
        [
            f"{row.method}; {row.section + 1}: {row.network}",
            *("–" if rate is None else f"{rate:.1f}" for rate in (row.fps, row.paper_fps)),
            *("–" if share is None else percent(share) for share in (row.live, row.final)),
        ]
        for row in rows
    ]
    return Table(["", "frames/s", "the paper's", "live, %", "final, %"], lines)


TABLE = Exhibit(
    "table2",
    "Table II: frame rate and accuracy as the uplink changes",
    "Mean frames answered per second, and frame accuracy, in each section of Figure 13. Each section is another video, "
    "so accuracies compare within a section, not from one to the next. The paper's mean frame rates stand beside.",
    Row,
    compute,
    draw,
    table,
    recorded=True,
)
