"""Table III (§VI-B): either model alone, smoothed by a fixed moving average of several weights (FixMA)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from clownfish.evaluation.compare import score
from clownfish.evaluation.metrics import Ints, bootstrap_interval, weighted_f1
from clownfish.evaluation.paper import style
from clownfish.evaluation.paper.base import Exhibit, Table
from clownfish.evaluation.paper.context import Context
from clownfish.evaluation.paper.sweep import shared
from clownfish.evaluation.replay import fix_ma

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ALPHAS = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
"""0 does not smooth; 0.5 is the paper's."""
EDGE, CLOUD = "edge-only", "cloud-only"


@dataclass(frozen=True, slots=True)
class Row:
    """One model, smoothed so much."""

    model: str
    alpha: float
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    weighted_f1: float
    f1_low: float
    f1_high: float


def compute(context: Context) -> list[Row]:
    """Edge, then cloud, each without smoothing first."""
    rows = []
    for model in (EDGE, CLOUD):
        for alpha in ALPHAS:
            matrices: list[Ints] = []
            for stream in context.streams:
                p = stream.dump.p_local if model == EDGE else stream.dump.p_remote
                matrix = score(stream.dump, stream.truth, fix_ma(p, alpha).argmax(1))
                assert matrix is not None  # a Stream has its truth
                matrices.append(matrix)
            right = shared(matrices)
            f1 = weighted_f1(np.sum(matrices, axis=0))
            rows.append(
                Row(model, alpha, right.value, right.low, right.high, f1, *bootstrap_interval(matrices, weighted_f1))
            )
    return rows


def draw(rows: Sequence[Row]) -> Figure:
    """Accuracy over α, with intervals."""
    figure = style.new_figure(3.2)
    panels = figure.subplots(1, 2)
    for axes, model in zip(panels, (EDGE, CLOUD), strict=True):
        mine = [row for row in rows if row.model == model]
        x = [row.alpha for row in mine]
        axes.fill_between(
            x, [100 * row.accuracy_low for row in mine], [100 * row.accuracy_high for row in mine],
            color=style.LOOKS[model].colour, alpha=0.15, linewidth=0,
        )  # fmt: skip
        axes.plot(x, [100 * row.accuracy for row in mine], color=style.LOOKS[model].colour, marker="o", markersize=4)
        style.tidy(axes, f"{model}, smoothed", "α of FixMA (0: not smoothed)", "frame accuracy, %")
    return figure


def table(rows: Sequence[Row]) -> Table:
    """As the paper has it, and the weights beside."""

    def cell(value: float, low: float, high: float) -> str:
        return f"{100 * value:.1f} ({100 * low:.1f}–{100 * high:.1f})"

    lines = [
        [
            row.model if not row.alpha else f"{row.model} + FixMA, α = {row.alpha:g}",
            cell(row.accuracy, row.accuracy_low, row.accuracy_high),
            cell(row.weighted_f1, row.f1_low, row.f1_high),
        ]
        for row in rows
    ]
    return Table(["", "frame accuracy, %", "weighted F1, %"], lines)


TABLE = Exhibit(
    "table3",
    "Table III: a fixed moving average on either model",
    "How far smoothing alone gets. The paper's FixMA has α = 0.5; others show what a longer memory gives and "
    "costs. Shades and brackets are 95 % intervals over streams.",
    Row,
    compute,
    draw,
    table,
)  # fmt: skip
