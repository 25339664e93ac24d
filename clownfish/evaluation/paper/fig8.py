"""Figure 8 (§VI-D): what each similarity says around ten transitions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from clownfish.errors import DatasetError
from clownfish.evaluation.paper import methods, style
from clownfish.evaluation.paper.base import Exhibit
from clownfish.evaluation.paper.context import Context
from clownfish.evaluation.paper.fig2 import contexts_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRANSITIONS = 10
AROUND = 10
"""Windows before and after."""


@dataclass(frozen=True, slots=True)
class Row:
    """ρ of one window to the one before it."""

    transition: int
    """0 to 9."""
    stream: str
    change: str
    """From which label to which."""
    offset: int
    """Windows since the first whose middle frame shows the new context."""
    method: str
    rho: float


def compute(context: Context) -> list[Row]:
    """Ten of all transitions of two known labels, evenly spaced through the streams: not the best ten."""
    all_of_them = []
    for n, stream in enumerate(context.streams):
        number = contexts_of(stream)
        for at in np.flatnonzero((number[1:] == number[:-1] + 1) & (number[:-1] >= 0)) + 1:
            before, after = (stream.truth.contexts[number[i]].label for i in (at - 1, at))
            if before != after and AROUND < at < len(number) - AROUND:
                all_of_them.append((n, int(at), f"{before} → {after}"))
    if not all_of_them:
        raise DatasetError(f"{context.data.name}: no context changes in these streams")
    chosen = np.unique(np.linspace(0, len(all_of_them) - 1, TRANSITIONS).round().astype(int))
    return [
        Row(
            i, context.streams[n].dump.header.stream, change, offset, method, float(context.rho(method)[n][at + offset])
        )
        for i, (n, at, change) in enumerate(all_of_them[each] for each in chosen)
        for method in methods.SEEN
        for offset in range(-AROUND, AROUND + 1)
    ]


def draw(rows: Sequence[Row]) -> Figure:
    """A panel for each transition."""
    figure = style.new_figure(5.6)
    count = max(row.transition for row in rows) + 1
    panels = figure.subplots(2, (max(count, 2) + 1) // 2, sharex=True, sharey=True, squeeze=False)
    for i, axes in enumerate(panels.flatten()):
        mine = [row for row in rows if row.transition == i]
        if not mine:
            axes.set_axis_off()
            continue
        axes.axvline(0, color="#999999", linewidth=0.8, linestyle=":")
        for method in methods.SEEN:
            points = [row for row in mine if row.method == method]
            look = style.LOOKS[method]
            axes.plot(
                [row.offset for row in points], [row.rho for row in points],
                color=look.colour, linewidth=1.3, label=method, linestyle=":" if method == methods.OPT_SIM else "-",
            )  # fmt: skip
        style.tidy(axes, y="similarity ρ" if i % panels.shape[1] == 0 else "")
        axes.set_title(mine[0].change.replace(" → ", "\n→ "), loc="left", fontsize=8)
        axes.set_ylim(-0.03, 1.03)
        if i >= count - panels.shape[1]:
            axes.set_xlabel("windows since it", fontsize=9)
    style.legend_below(figure, *panels.flatten())
    return figure


FIGURE = Exhibit(
    "fig8",
    "Figure 8: similarity around ten transitions",
    "ρ of each window to the one before it; at 0 the window's middle frame first shows the new context. The ten "
    "are evenly spaced among all transitions. A good similarity falls at 0 and nowhere else.",
    Row,
    compute,
    draw,
)  # fmt: skip
