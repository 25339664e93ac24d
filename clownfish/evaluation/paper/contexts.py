"""Ours: where in a context answers are right. Edge, cloud and fused over the windows since the last transition.

It is the reason that the claims look for: fusion carries the old context over its end, and can be told of the new one
at the earliest when the cloud's answer about it is here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from clownfish.evaluation.metrics import truth_by_frame
from clownfish.evaluation.paper import methods, style
from clownfish.evaluation.paper.base import Exhibit
from clownfish.evaluation.paper.context import Context
from clownfish.evaluation.paper.fig2 import contexts_of
from clownfish.evaluation.paper.sweep import Setting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LAST = 16
"""Windows since the transition; later ones count there, too."""
N_W, LAG = 6, 1
OPT_SIM_LIVE = "OptSim, live"


@dataclass(frozen=True, slots=True)
class Row:
    """One method's answers at one place."""

    method: str
    since: int
    """Windows since the first whose middle frame shows this context; LAST stands for it and all after."""
    right: float
    windows: int


def compute(context: Context) -> list[Row]:
    """By windows and their middle frame, so that each transition's first window counts, too."""
    plain, known = Setting.of(methods.SIMINET, N_W, LAG), Setting.of(methods.OPT_SIM, N_W, LAG)
    outcomes = context.outcomes([plain, known])
    right: dict[str, np.ndarray] = {}
    count = np.zeros(LAST + 1, np.int64)
    for n, stream in enumerate(context.streams):
        dump = stream.dump
        number = contexts_of(stream)
        middle = dump.t * dump.header.stride + dump.header.size // 2
        truth = truth_by_frame(stream.truth, dump.header.classes, dump.frames, skip=0)[middle]
        begins = np.flatnonzero(np.diff(number, prepend=-2) != 0)
        since = np.arange(dump.windows) - begins[np.searchsorted(begins, np.arange(dump.windows), side="right") - 1]
        since = np.minimum(since, LAST)
        scored = (truth >= 0) & (number > 0)  # a stream's first context follows none
        count += np.bincount(since[scored], minlength=LAST + 1)
        answers = {
            style.EDGE: dump.p_local.argmax(1),
            style.CLOUD: dump.p_remote.argmax(1),
            style.LIVE: outcomes[plain][n].live,
            style.FINAL: outcomes[plain][n].final,
            OPT_SIM_LIVE: outcomes[known][n].live,
        }
        for method, answer in answers.items():
            hits = np.bincount(since[scored & (answer == truth)], minlength=LAST + 1)
            right[method] = right.get(method, np.zeros(LAST + 1)) + hits
    return [
        Row(method, since, float(hits[since] / count[since]), int(count[since]))
        for method, hits in right.items()
        for since in range(LAST + 1)
        if count[since]
    ]


def draw(rows: Sequence[Row]) -> Figure:
    """Accuracy over windows since the transition."""
    figure = style.new_figure(3.4)
    axes = figure.subplots()
    for method in dict.fromkeys(row.method for row in rows):
        points = [row for row in rows if row.method == method]
        look = style.LOOKS[methods.OPT_SIM if method == OPT_SIM_LIVE else method]
        axes.plot(
            [row.since for row in points], [100 * row.right for row in points],
            color=look.colour, marker=look.marker, linestyle=look.line, markersize=4, linewidth=1.4, label=method,
        )  # fmt: skip
    style.tidy(axes, x=f"windows since the transition ({LAST}: or more)", y="windows right, %")
    style.legend_below(figure, axes)
    return figure


def near_and_far(rows: Sequence[Row], method: str, border: int) -> tuple[float, float]:
    """Shares right in the first `border` windows after a transition, and in all later ones; NaN where there are
    none."""
    mine = [row for row in rows if row.method == method]

    def share(part: list[Row]) -> float:
        windows = sum(row.windows for row in part)
        return sum(row.right * row.windows for row in part) / windows if windows else float("nan")

    return share([row for row in mine if row.since < border]), share([row for row in mine if row.since >= border])


FIGURE = Exhibit(
    "contexts",
    "Where answers are right: after transitions, and inside contexts",
    f"Share of windows right by how long the context is on (middle frames; n_w = {N_W}, lag {LAG}, SimiNet unless "
    "OptSim is named). What fusion loses to the cloud it loses in the first windows of a context, before the "
    "cloud's answer about it is here.",
    Row,
    compute,
    draw,
)  # fmt: skip
