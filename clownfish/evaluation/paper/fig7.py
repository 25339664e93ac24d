"""Figure 7 (§VI-C): accuracy over the filter interval n_w at several lags, for each similarity; bytes saved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from clownfish.evaluation.compare import score
from clownfish.evaluation.metrics import Ints
from clownfish.evaluation.paper import methods, style
from clownfish.evaluation.paper.base import Exhibit, Table
from clownfish.evaluation.paper.context import Context
from clownfish.evaluation.paper.sweep import Outcome, Score, Setting, Stream, ahead, shared
from clownfish.evaluation.replay import fix_ma

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INTERVALS = tuple(range(1, 11))
LAGS = (0, 1, 2, 4)


@dataclass(frozen=True, slots=True)
class Row:
    """One method at one interval and lag; of what no cloud answers or every window does, both are None. Shares."""

    method: str
    n_w: int | None
    lag: int | None
    live: float
    live_low: float
    live_high: float
    final: float
    above_cloud: float
    """Live accuracy less cloud-only's."""
    above_cloud_low: float
    above_cloud_high: float
    sent: float
    """Of all windows."""
    saved: float
    """Of cloud-only's bytes."""


def settings(compared: Sequence[str] = methods.FUSED) -> list[Setting]:
    """All of the figure: the product of methods, intervals and lags."""
    return [Setting.of(method, n_w, lag) for method in compared for lag in LAGS for n_w in INTERVALS]


def alone(streams: Sequence[Stream]) -> dict[str, list[Ints]]:
    """Confusion of each model alone and smoothed (§VI-B), a matrix a stream."""
    found: dict[str, list[Ints]] = {}
    for stream in streams:
        dump = stream.dump
        answers: dict[str, npt.NDArray[np.floating]] = {
            style.EDGE: dump.p_local,
            style.EDGE_FIX_MA: fix_ma(dump.p_local),
            style.CLOUD: dump.p_remote,
            style.CLOUD_FIX_MA: fix_ma(dump.p_remote),
        }
        for name, p in answers.items():
            matrix = score(dump, stream.truth, p.argmax(1))
            assert matrix is not None  # a Stream has its truth
            found.setdefault(name, []).append(matrix)
    return found


def live(outcomes: Sequence[Outcome]) -> list[Ints]:
    """Confusion of the live answers, a matrix a stream."""
    return [each.live_confusion for each in outcomes]


def final(outcomes: Sequence[Outcome]) -> list[Ints]:
    """Of the closing ones."""
    return [each.final_confusion for each in outcomes]


def compute(context: Context, compared: Sequence[str] = methods.FUSED) -> list[Row]:
    """Baselines first, then methods, lags and intervals in order."""
    outcomes = context.outcomes(settings(compared))
    streams = context.streams
    windows = sum(stream.dump.windows for stream in streams)
    cloud_bytes = sum(int(stream.dump.frame_bytes.sum()) for stream in streams)
    baselines = alone(streams)
    rows = []
    for name, matrices in baselines.items():
        sent = 1.0 if name in (style.CLOUD, style.CLOUD_FIX_MA) else 0.0
        gap = ahead([matrices], [baselines[style.CLOUD]])
        rows.append(_row(name, None, None, shared(matrices), shared(matrices).value, gap, sent, 1 - sent))
    for setting, each in outcomes.items():
        gap = ahead([live(each)], [baselines[style.CLOUD]])
        sent = sum(len(outcome.sent) for outcome in each) / windows
        saved = 1 - sum(outcome.wire_bytes for outcome in each) / cloud_bytes
        n_w = int(dict(setting.options)["n_w"])
        rows.append(
            _row(setting.method, n_w, setting.lag, shared(live(each)), shared(final(each)).value, gap, sent, saved)
        )
    return rows


def _row(
    method: str, n_w: int | None, lag: int | None, live: Score, final: float, gap: Score, sent: float, saved: float
) -> Row:
    return Row(
        method, n_w, lag, live.value, live.low, live.high, final, gap.value, gap.low, gap.high, sent, saved
    )  # fmt: skip


def draw(rows: Sequence[Row]) -> Figure:
    """Live accuracy at each lag; final accuracy; bytes saved."""
    figure = style.new_figure(6.4)
    panels = figure.subplots(2, 3, sharex=True).flatten()
    *live_panels, final_panel, saved_panel = panels
    for axes, lag in zip(live_panels, LAGS, strict=True):
        _accuracy(axes, rows, lag, lambda row: row.live, f"live, lag {lag}")
        points = _of(rows, methods.SIMINET, lag)
        low, high = [100 * row.live_low for row in points], [100 * row.live_high for row in points]
        style.band(axes, methods.SIMINET, [float(row.n_w or 0) for row in points], low, high)
    _accuracy(final_panel, rows, LAGS[-1], lambda row: row.final, f"final, lag {LAGS[-1]}")
    _lines(saved_panel, rows, LAGS[0], lambda row: row.saved)
    style.tidy(saved_panel, "bytes saved, at any lag", y="less than cloud-only, %")
    saved_panel.set_ylim(-3, 103)
    limits = [axes.get_ylim() for axes in panels[:5]]
    for axes in panels[:5]:
        axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
    for axes in panels:
        style.whole(axes)
    for axes in panels[3:]:
        axes.set_xlabel("filter interval n_w, windows", fontsize=9)
    style.legend_below(figure, *panels)
    return figure


def _of(rows: Sequence[Row], method: str, lag: int) -> list[Row]:
    return [row for row in rows if row.method == method and row.lag == lag and row.n_w is not None]


def _accuracy(axes: Axes, rows: Sequence[Row], lag: int, value: Callable[[Row], float], title: str) -> None:
    for row in rows:
        if row.n_w is None:
            style.level(axes, row.method, 100 * row.live)
    _lines(axes, rows, lag, value)
    style.tidy(axes, title, y="frame accuracy, %")


def _lines(axes: Axes, rows: Sequence[Row], lag: int, value: Callable[[Row], float]) -> None:
    for method in methods.FUSED:
        points = _of(rows, method, lag)
        if points:
            style.line(axes, method, [float(row.n_w or 0) for row in points], [100 * value(row) for row in points])


def table(rows: Sequence[Row]) -> Table:
    """The paper's setting, n_w = 6, beside the baselines."""
    lines = []
    for row in rows:
        if row.n_w is None:
            lines.append([row.method, *[percent(row.live)] * len(LAGS), percent(row.final), percent(row.sent)])
    for method in methods.FUSED:
        points = {row.lag: row for row in rows if row.method == method and row.n_w == 6}
        if points:
            first = points[LAGS[0]]
            cells = [percent(points[lag].live) for lag in LAGS]
            lines.append([method, *cells, percent(first.final), percent(first.sent)])
    columns = ["n_w = 6, frames right, %", *(f"live, lag {lag}" for lag in LAGS), "final", "windows sent"]
    return Table(columns, lines)


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


FIGURE = Exhibit(
    "fig7",
    "Figure 7: accuracy over the filter interval",
    "Share of frames answered right. Each panel is one lag of the cloud's answers, in windows; the shade is "
    "SimiNet's 95 % interval over streams. FixMA is Alg. 1 with α = 0.5 in place of a similarity, FixMA 0.9 with "
    "0.9; OptSim knows where contexts change. Below right: bytes that are not sent, against sending every frame "
    "once.",
    Row,
    compute,
    draw,
    table,
)  # fmt: skip
