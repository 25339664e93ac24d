"""Figure 2 (§III-C): how alike windows are that lie k apart, within a context and across its change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from clownfish.errors import DatasetError
from clownfish.evaluation.metrics import Ints
from clownfish.evaluation.paper import methods, style
from clownfish.evaluation.paper.base import Exhibit
from clownfish.evaluation.paper.context import Context
from clownfish.evaluation.paper.sweep import Stream
from clownfish.similarity.base import Inferred

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DISTANCES = (1, 2, 3, 4, 6, 8, 12, 16)
PAIRS = 150
"""Of each stream, distance and kind: drawn at random where there are more."""
WITHIN, ACROSS = "within a context", "across a transition"


@dataclass(frozen=True, slots=True)
class Row:
    """One similarity at one distance."""

    method: str
    pairs: str
    """WITHIN or ACROSS."""
    distance: int
    """In windows."""
    mean: float
    deviation: float
    count: int


def contexts_of(stream: Stream) -> Ints:
    """(windows,) the number of the context of each window's middle frame; −1 where it has none."""
    header = stream.dump.header
    number = np.full(stream.dump.frames, -1, np.int64)
    for n, context in enumerate(stream.truth.contexts):
        number[context.start : context.end] = n
    return number[stream.dump.t * header.stride + header.size // 2]


def inferred(stream: Stream, n: int) -> Inferred:
    """Window n of the dump, as a similarity sees it."""
    dump = stream.dump
    return Inferred(dump.header.stream, int(dump.t[n]), dump.p_local[n], dump.feature[n])


def compute(context: Context) -> list[Row]:
    """Across: the context of the later window follows that of the earlier one, of another label."""
    found: dict[tuple[str, str, int], list[float]] = {}
    rng = np.random.default_rng(0)
    for stream in context.streams:
        number = contexts_of(stream)
        labels = np.array([each.label for each in stream.truth.contexts])
        similarities = {method: context.similarity(method, stream) for method in methods.SEEN}
        for distance in DISTANCES:
            first, second = number[:-distance], number[distance:]
            known = (first >= 0) & (second >= 0)
            pairs = {
                WITHIN: known & (first == second),
                ACROSS: known & (second == first + 1) & (labels[first] != labels[second]),
            }
            for kind, mask in pairs.items():
                starts = np.flatnonzero(mask)
                if len(starts) > PAIRS:
                    starts = np.sort(rng.choice(starts, PAIRS, replace=False))
                for method, similarity in similarities.items():
                    found.setdefault((method, kind, distance), []).extend(
                        similarity.rho(inferred(stream, n), inferred(stream, n + distance)) for n in starts.tolist()
                    )
    rows = [
        Row(method, kind, distance, float(np.mean(rho)), float(np.std(rho)), len(rho))
        for (method, kind, distance), rho in sorted(found.items())
        if rho
    ]
    if not rows:
        raise DatasetError(f"{context.data.name}: no two windows {DISTANCES[0]} apart lie in contexts")
    return rows


def draw(rows: Sequence[Row]) -> Figure:
    """A panel for each similarity: mean and spread of either kind of pairs."""
    shown = [method for method in methods.SEEN if method != methods.OPT_SIM]  # it is 1 and 0 by definition
    figure = style.new_figure(3.2)
    panels = figure.subplots(1, len(shown), sharey=True)
    for axes, method in zip(panels, shown, strict=True):
        for kind, colour, marker in ((WITHIN, "#0072B2", "o"), (ACROSS, "#D55E00", "X")):
            points = [row for row in rows if row.method == method and row.pairs == kind]
            x = np.array([row.distance for row in points])
            mean, deviation = (np.array([getattr(row, name) for row in points]) for name in ("mean", "deviation"))
            axes.plot(x, mean, color=colour, marker=marker, markersize=4, linewidth=1.4, label=kind)
            low, high = np.clip(mean - deviation, 0, 1), np.clip(mean + deviation, 0, 1)
            axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
        style.tidy(axes, method, x="distance, windows", y="similarity ρ" if method == shown[0] else "")
        axes.set_ylim(-0.03, 1.03)
        style.whole(axes)
    style.legend_below(figure, *panels)
    return figure


FIGURE = Exhibit(
    "fig2",
    "Figure 2: similarity over the distance between windows",
    "Mean and standard deviation (shade) of ρ between windows that lie some windows apart, of the local model's "
    "answers. A similarity is of use where the two lines are apart: neighbours (1 to 3 apart) share frames, "
    "windows 4 or more apart do not.",
    Row,
    compute,
    draw,
)
