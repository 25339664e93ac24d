"""Figures 11 and 12 (§VI-C, §VI-G): accuracy over the round trip, over the uplink's cap, of runs in real networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from clownfish.evaluation.metrics import Ints, bootstrap_interval, paired_interval, pooled_score, share
from clownfish.evaluation.paper import record, style
from clownfish.evaluation.paper.base import Exhibit, Table
from clownfish.evaluation.paper.context import Context
from clownfish.evaluation.paper.experiments import OURS, looks, name, of_the_same_streams, runs
from clownfish.evaluation.paper.fig7 import percent
from clownfish.lab.recorded import Recorded

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROUND_TRIPS: Mapping[str, str] = {"lan": "3 ms", "regional": "13 ms", "intercontinental": "153 ms"}
"""Profile → how the figure calls it, in order."""
CAPS: Mapping[str, str] = {"lan": "no cap", "capped-7.5": "7.5 Mbit/s", "capped-5": "5 Mbit/s"}
PAPERS_N_W: Mapping[str, int] = {"capped-5": 8}
"""Where it was not 6."""
_CLOWNFISH: Mapping[str, str] = {
    "3 ms": "Clownfish, round trip 3 ms",
    "13 ms": "Clownfish, round trip 13 ms",
    "153 ms": "Clownfish, round trip 153 ms",
    "no cap": "Clownfish, unshaped link",
    "7.5 Mbit/s": "Clownfish, 7.5 Mbit/s",
    "5 Mbit/s": "Clownfish, 5 Mbit/s (n_w = 8)",
}
"""What the paper's record calls them."""


@dataclass(frozen=True, slots=True)
class Row:
    """One run. Shares of frames; None where the method has no such answer."""

    method: str
    network: str
    live: float | None
    live_low: float | None
    """95 %, by bootstrap over the videos that were played; so are all bounds here."""
    live_high: float | None
    final: float | None
    final_low: float | None
    final_high: float | None
    change: float | None
    """Live, less the same method's in the first network, on the same videos; None there and without such a run."""
    change_low: float | None
    change_high: float | None
    frames: int
    """Scored."""
    paper: float | None
    """The paper's, with that method in that network."""


def compute_11(context: Context) -> list[Row]:
    """Over round trips."""
    return _rows(context, ROUND_TRIPS, record.ALL)


def compute_12(context: Context) -> list[Row]:
    """Over caps."""
    return _rows(context, CAPS, record.SOME)


def _rows(context: Context, networks: Mapping[str, str], of: Sequence[record.Recorded]) -> list[Row]:
    found = of_the_same_streams(runs(context, networks))
    papers = {each.method: each.accuracy / 100 for each in of}
    first = {name(run): run for run in found if run.profile == next(iter(networks))}
    rows = []
    for profile, label in networks.items():
        for run in found:
            if run.profile == profile:
                change = _change(run, first.get(name(run)))
                theirs = papers.get(_in_record(run, label))
                rows.append(
                    Row(name(run), label, *_bounds(run, "live"), *_bounds(run, "final"), *change, run.frames, theirs)
                )
    return rows


_Bounds = tuple[float | None, float | None, float | None]
_NONE: _Bounds = (None, None, None)


def _counts(run: Recorded, answer: str) -> list[Ints]:
    """(right, scored) frames of each video. Empty where the method has no such answer."""
    return [
        np.array([round(part.accuracy[answer] * part.frames), part.frames])
        for part in run.parts
        if answer in part.accuracy and part.frames
    ]


def _bounds(run: Recorded, answer: str) -> _Bounds:
    counts = _counts(run, answer)
    return (run.accuracy[answer], *bootstrap_interval(counts, share)) if counts else _NONE


def _change(run: Recorded, first: Recorded | None) -> _Bounds:
    """Of the live answers."""
    if first is None or first is run or "live" not in run.accuracy:
        return _NONE
    interval = paired_interval(_counts(run, "live"), _counts(first, "live"), pooled_score(share))
    return (run.accuracy["live"] - first.accuracy["live"], *interval)


def _in_record(run: Recorded, label: str) -> str:
    if run.method != OURS:
        return name(run) if run.profile == "lan" else ""
    return _CLOWNFISH[label] if (run.codec, run.n_w) == ("png", PAPERS_N_W.get(run.profile, 6)) else ""


def draw(rows: Sequence[Row]) -> Figure:
    """Here on the left, the paper's on the right; what does not depend on the network is a level."""
    figure = style.new_figure(3.7)
    here, there = figure.subplots(1, 2)
    networks = list(dict.fromkeys(row.network for row in rows))
    for method, look in looks(row.method for row in rows).items():
        mine = [row for row in rows if row.method == method]
        _line(here, networks, look, f"{method}, live", {row.network: row.live for row in mine})
        _bars(here, networks, look, {row.network: (row.live_low, row.live_high) for row in mine})
        final = look._replace(line="--") if any(row.live is not None for row in mine) else look
        _line(here, networks, final, f"{method}, final", {row.network: row.final for row in mine})
        ours = method.startswith("Clownfish")
        if not ours:
            _line(there, networks, look, f"{method}, the paper's", {row.network: row.paper for row in mine})
    theirs = {row.network: row.paper for row in rows if row.method.startswith("Clownfish") and row.paper is not None}
    _line(there, networks, style.LOOKS[style.LIVE], "Clownfish, the paper's", theirs)
    for axes, title in ((here, "here"), (there, "the paper's record: PKU-MMD")):
        axes.set_xticks(range(len(networks)), networks)
        axes.set_xlim(-0.3, len(networks) - 0.7)
        style.tidy(axes, title, "network", "frame accuracy, %")
    style.legend_below(figure, here, there, columns=3)
    return figure


def _line(axes: Axes, networks: list[str], look: style.Look, label: str, right: Mapping[str, float | None]) -> None:
    """Over networks; a baseline that was measured in one alone is a level."""
    points = [(networks.index(network), 100 * share) for network, share in right.items() if share is not None]
    level = len(points) == 1 and not label.startswith("Clownfish")
    if level:
        axes.axhline(points[0][1], color=look.colour, linestyle=look.line, linewidth=1.1, label=label)
    if points:
        axes.plot(
            [x for x, _ in points], [y for _, y in points], color=look.colour, marker=look.marker or ".",
            linestyle=look.line if len(points) > 1 else "", linewidth=1.4, markersize=5,
            label=None if level else label,
        )  # fmt: skip


def _bars(
    axes: Axes, networks: list[str], look: style.Look, bounds: Mapping[str, tuple[float | None, float | None]]
) -> None:
    """Intervals of the live answers."""
    for network, (low, high) in bounds.items():
        if low is not None and high is not None:
            axes.vlines(networks.index(network), 100 * low, 100 * high, color=look.colour, linewidth=0.8, alpha=0.6)


def table(rows: Sequence[Row]) -> Table:
    """All, the paper's beside."""
    lines = [
        [
            f"{row.method}; {row.network}",
            _within(row.live, row.live_low, row.live_high),
            _within(row.final, row.final_low, row.final_high),
            _within(row.change, row.change_low, row.change_high, "+"),
            str(row.frames),
            "–" if row.paper is None else percent(row.paper),
        ]
        for row in rows
    ]
    changes = f"live, less that with {rows[0].network}" if rows else "change"
    return Table(["", "live, %", "final, %", changes, "frames", "the paper's, %"], lines)


def _within(value: float | None, low: float | None, high: float | None, sign: str = "") -> str:
    if value is None or low is None or high is None:
        return "–"
    return f"{100 * value:{sign}.1f} ({100 * low:{sign}.1f} to {100 * high:{sign}.1f})"


FIGURE_11 = Exhibit(
    "fig11",
    "Figure 11: accuracy over the round trip",
    "Frame accuracy of runs in networks with a round trip of 3, 13 and 153 ms; edge-only and cloud-only, which do not "
    "depend on it, as levels. Edge-only has no later answer, cloud-only none at once. One run each; intervals are "
    "95 %, by bootstrap over the videos.",
    Row,
    compute_11,
    draw,
    table,
    recorded=True,
)
FIGURE_12 = Exhibit(
    "fig12",
    "Figure 12: accuracy over the uplink's rate",
    "As Figure 11, with no cap on the uplink, and with 7.5 and 5 Mbit/s. What fits no cap waits: with PNG the answers "
    "come after the context that they are about (Figure 14), and early discard's in part not at all.",
    Row,
    compute_12,
    draw,
    table,
    recorded=True,
)
