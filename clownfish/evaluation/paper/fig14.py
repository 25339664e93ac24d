"""Figure 14 (§VI-C): how late the cloud's answers are applied, in each network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clownfish.evaluation.paper import style
from clownfish.evaluation.paper.base import Exhibit, Table, Unavailable
from clownfish.evaluation.paper.context import Context
from clownfish.evaluation.paper.experiments import OURS, SECTIONS, looks, name, runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 3
MOST = 10
"""Drawn: what is later is in the last bar."""
ORDER = ("lan", "regional", "intercontinental", "capped-7.5", "capped-5")
"""Of the panels; other networks follow."""


@dataclass(frozen=True, slots=True)
class Row:
    """One lag of one run: windows fused since the one that the cloud answers for, when its answer is applied."""

    network: str
    method: str
    lag: int
    windows: int
    share: float


def compute(context: Context) -> list[Row]:
    """Of Clownfish, in every network that does not change on the way. Raises Unavailable."""
    found = [run for run in runs(context) if run.method == OURS and run.profile != SECTIONS and run.lags]
    if not found:
        raise Unavailable("no experiment of Clownfish in a network that stays as it is is recorded, as in fig14.toml")
    found.sort(key=lambda run: ORDER.index(run.profile) if run.profile in ORDER else len(ORDER))
    return [
        Row(run.profile, name(run), lag, windows, windows / sum(run.answers.values()))
        for run in found
        for lag, windows in run.answers.items()
    ]


def draw(rows: Sequence[Row]) -> Figure:
    """A panel for each network, bars side by side for each run in it."""
    networks = list(dict.fromkeys(row.network for row in rows))
    methods = looks(row.method for row in rows)
    most = min(MOST, max(row.lag for row in rows))
    lines = -(-len(networks) // COLUMNS)
    figure = style.new_figure(0.7 + 2.1 * lines)
    panels = figure.subplots(lines, COLUMNS, sharey=True, squeeze=False)
    for axes in panels.flat[len(networks) :]:
        axes.axis("off")
    for n, (axes, network) in enumerate(zip(panels.flat, networks, strict=False)):
        here = list(dict.fromkeys(row.method for row in rows if row.network == network))
        for k, method in enumerate(here):
            heights = [0.0] * (most + 1)
            for row in rows:
                if (row.network, row.method) == (network, method):
                    heights[min(row.lag, most)] += 100 * row.share
            x = [lag + (k - (len(here) - 1) / 2) * 0.8 / len(here) for lag in range(most + 1)]
            axes.bar(x, heights, 0.8 / len(here), color=methods[method].colour, label=method)
        axes.set_xticks(range(most + 1), [*map(str, range(most)), f"≥ {most}" if most == MOST else str(most)])
        style.tidy(axes, network, "lag, windows", "answers, %" if n % COLUMNS == 0 else "")
    style.legend_below(figure, *panels.flat[: len(networks)], columns=3)
    return figure


def table(rows: Sequence[Row]) -> Table:
    """Shares at lags 0 to 4, and of what is later."""
    lines = []
    for network, method in dict.fromkeys((row.network, row.method) for row in rows):
        here = {row.lag: row for row in rows if (row.network, row.method) == (network, method)}
        near = [here[lag].share if lag in here else 0.0 for lag in range(5)]
        late = sum(row.share for lag, row in here.items() if lag > 4)
        answers = sum(row.windows for row in here.values())
        lines.append(
            [f"{network}; {method}", str(answers), *(f"{100 * share:.1f}" for share in (*near, late)), str(max(here))]
        )
    return Table(["answers, %", "in all", *(f"lag {lag}" for lag in range(5)), "later", "latest"], lines)


FIGURE = Exhibit(
    "fig14",
    "Figure 14: how late answers come",
    "Share of the cloud's answers over lag: windows fused since the one answered for, when the answer is applied. A "
    "window comes every 4 frames, 133 ms. The paper's record has no numbers for this figure.",
    Row,
    compute,
    draw,
    table,
    recorded=True,
)
