"""Early discard (§VI-G): a light classifier on the edge says which windows are worth sending, and the cloud answers
for them; beside it Clownfish, over what either sends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from clownfish.evaluation import early_discard as discard
from clownfish.evaluation.compare import score
from clownfish.evaluation.metrics import Ints, bootstrap_interval, share
from clownfish.evaluation.paper import fig7, methods, style
from clownfish.evaluation.paper.base import Exhibit, Table, Unavailable
from clownfish.evaluation.paper.context import Context
from clownfish.evaluation.paper.fig7 import final, live, percent
from clownfish.evaluation.paper.sweep import Score, Setting, ahead, shared

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LAG = 1
N_W = 6
THRESHOLDS = (0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 0.97, 0.99)
CHOSEN = "early discard, its own threshold"
OTHER = "early discard, other thresholds"


@dataclass(frozen=True, slots=True)
class Row:
    """One method at one setting; shares."""

    method: str
    setting: float
    """Threshold of early discard, or n_w; 0 for a model alone."""
    live: float
    live_low: float
    live_high: float
    final: float
    sent: float
    saved: float
    recall: float | None
    """Share of the windows worth sending that early discard sends; None for others."""
    recall_low: float | None
    recall_high: float | None


@dataclass(frozen=True, slots=True)
class Baseline:
    """Early discard at one threshold over all streams, a matrix a stream."""

    live: list[Ints]
    final: list[Ints]
    sent: int
    wire_bytes: int
    recalled: list[Ints]
    """(sent of those worth sending, all of those) of each stream."""


def baseline(context: Context, threshold: float, lag: int = LAG) -> Baseline:
    """Raises Unavailable where the pair has no early-discard model."""
    how = _how(context)
    positive, background = how.positive(context.classes), how.background(context.classes)
    found = Baseline([], [], 0, 0, [])
    sent = wire = 0
    for stream in context.streams:
        result = discard.early_discard(stream.dump, threshold, lag, background)
        for answers, into in ((result.live, found.live), (result.final, found.final)):
            matrix = score(stream.dump, stream.truth, answers)
            assert matrix is not None  # a Stream has its truth
            into.append(matrix)
        found.recalled.append(discard.recall(stream.dump, threshold, positive))
        sent, wire = sent + len(result.sent), wire + result.wire_bytes
    return Baseline(found.live, found.final, sent, wire, found.recalled)


def _how(context: Context) -> discard.Discarding:
    if context.models.discard is None or not context.streams[0].dump.discards:
        raise Unavailable(f"{context.data.pair} has no early-discard model: its file names none under [discard]")
    return context.models.discard


def clownfish_ahead(context: Context) -> Score:
    """Live accuracy of Clownfish (SimiNet, n_w = 6) less that of early discard at its own threshold, both at lag 1."""
    setting = Setting.of(methods.SIMINET, N_W, LAG)
    ours = live(context.outcomes([setting])[setting])
    return ahead([ours], [baseline(context, _how(context).threshold).live])


def compute(context: Context) -> list[Row]:
    """Models alone, early discard at each threshold, Clownfish at each interval."""
    own = _how(context).threshold
    streams = context.streams
    windows = sum(stream.dump.windows for stream in streams)
    cloud_bytes = sum(int(stream.dump.frame_bytes.sum()) for stream in streams)
    rows = []
    for name, matrices in fig7.alone(streams).items():
        if name in (style.EDGE, style.CLOUD):
            everything = float(name == style.CLOUD)
            rows.append(_row(name, 0, matrices, matrices, everything, 1 - everything))
    for threshold in sorted({own, *THRESHOLDS}):
        found = baseline(context, threshold)
        name = CHOSEN if threshold == own else OTHER
        saved = 1 - found.wire_bytes / cloud_bytes
        rows.append(_row(name, threshold, found.live, found.final, found.sent / windows, saved, found.recalled))
    for setting, each in context.outcomes(Setting.of(methods.SIMINET, n_w, LAG) for n_w in fig7.INTERVALS).items():
        sent = sum(len(outcome.sent) for outcome in each) / windows
        saved = 1 - sum(outcome.wire_bytes for outcome in each) / cloud_bytes
        rows.append(_row(methods.SIMINET, dict(setting.options)["n_w"], live(each), final(each), sent, saved))
    return rows


def _row(
    method: str,
    setting: float,
    live: Sequence[Ints],
    final: Sequence[Ints],
    sent: float,
    saved: float,
    recalled: Sequence[Ints] = (),
) -> Row:
    right = shared(live)
    recall = (share(np.sum(recalled, axis=0)), *bootstrap_interval(recalled, share)) if recalled else (None, None, None)
    return Row(
        method, float(setting), right.value, right.low, right.high, shared(final).value, sent, saved, *recall
    )  # fmt: skip


def draw(rows: Sequence[Row]) -> Figure:
    """Live accuracy over what is sent: windows left, bytes right."""
    figure = style.new_figure(3.8)
    panels = figure.subplots(1, 2, sharey=True)
    shares: tuple[tuple[Callable[[Row], float], str], ...] = (
        (lambda row: 100 * row.sent, "windows sent, %"),
        (lambda row: 100 * (1 - row.saved), "bytes sent, % of cloud-only"),
    )
    for axes, (share_of, label) in zip(panels, shares, strict=True):
        for name in (style.EDGE, style.CLOUD):
            style.level(axes, name, next(100 * row.live for row in rows if row.method == name))
        thresholds = [row for row in rows if row.method in (CHOSEN, OTHER)]
        look = style.LOOKS[style.DISCARD]
        axes.plot(
            [share_of(row) for row in thresholds], [100 * row.live for row in thresholds],
            color=look.colour, marker=".", linewidth=1.2, label="early discard, over thresholds",
        )  # fmt: skip
        for row in rows:
            if row.method == CHOSEN:
                axes.errorbar(
                    [share_of(row)], [100 * row.live],
                    yerr=[[100 * (row.live - row.live_low)], [100 * (row.live_high - row.live)]],
                    color=look.colour, marker=look.marker, markersize=9, capsize=3, linestyle="", label=CHOSEN,
                )  # fmt: skip
        ours = [row for row in rows if row.method == methods.SIMINET]
        style.line(axes, methods.SIMINET, [share_of(row) for row in ours], [100 * row.live for row in ours])
        style.tidy(axes, x=label, y="live frame accuracy, %" if axes is panels[0] else "")
        axes.set_xlim(-3, 103)
    style.legend_below(figure, *panels, columns=3)
    return figure


def table(rows: Sequence[Row]) -> Table:
    """Models alone, early discard at its own threshold, Clownfish at n_w = 6."""
    lines = []
    for row in rows:
        if row.method == OTHER or (row.method == methods.SIMINET and row.setting != N_W):
            continue
        name = f"Clownfish, n_w = {N_W}" if row.method == methods.SIMINET else row.method
        found = f"{percent(row.live)} ({percent(row.live_low)}–{percent(row.live_high)})"
        lines.append([name, found, percent(row.final), percent(row.sent), percent(row.saved), _recall(row)])
    columns = [f"lag {LAG}", "live accuracy, %", "final, %", "windows sent, %", "bytes saved, %", "recall, %"]
    return Table(columns, lines)


def _recall(row: Row) -> str:
    if row.recall is None or row.recall_low is None or row.recall_high is None:
        return "–"
    return f"{percent(row.recall)} ({percent(row.recall_low)}–{percent(row.recall_high)})"


FIGURE = Exhibit(
    "discard",
    "Early discard (§VI-G)",
    "Live accuracy over what is sent, at lag 1: early discard as its threshold moves, Clownfish (SimiNet) as n_w goes "
    "from 1 to 10. The cross is early discard at the threshold of its own description, chosen on its validation "
    "streams for a recall of 95 %. What early discard does not send counts as background where the pair has such a "
    "class; where it has none (ucf9), the last answer stands, and what is not worth sending is mostly answered "
    "wrongly.",
    Row,
    compute,
    draw,
    table,
)
