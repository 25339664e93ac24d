"""Figure 1 (§II): accuracy over latency of the complete and the optimised model, in each engine that is here.

Latency is measured by the code of `clownfish model bench`, on windows of one of the streams. Accuracy is that over all
streams as recorded in fp32, moved by what the engine changed on the windows that were timed: those are too few for an
accuracy of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from clownfish.evaluation.paper import style
from clownfish.evaluation.paper.base import Exhibit, Table
from clownfish.evaluation.paper.context import Context
from clownfish.evaluation.paper.fig7 import alone, percent
from clownfish.evaluation.paper.sweep import shared
from clownfish.lab.engine_report import name
from clownfish.lab.engines import EngineBench, EngineBenchOptions, bench_engines

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WINDOWS = 48
"""Timed in each engine."""
OPTIMISED, COMPLETE = "optimised (edge)", "complete (cloud)"


@dataclass(frozen=True, slots=True)
class Row:
    """One model in one engine; of one that is not here, the numbers are None."""

    role: str
    model: str
    engine: str
    """With its precision."""
    runs_on: str = ""
    median_ms: float | None = None
    """Of `infer` on one window, one thread, as the machine was."""
    cpu_ms: float | None = None
    """Processor time of that."""
    time_ms: float | None = None
    """What is drawn: processor time where the CPU computes, which on one thread is an idle machine's latency and does
    not grow when the machine is busy; else the median."""
    accuracy: float | None = None
    changed: float | None = None
    """Share of the timed windows that are answered otherwise than in fp32."""
    windows: int | None = None
    """Timed."""
    absent: str = ""
    """Why it is not here; empty where it is."""


def compute(context: Context) -> list[Row]:
    """Both models, each on windows of the first stream."""
    found = alone(context.streams)
    device: Literal["cpu", "cuda"] = "cuda" if context.models.record.device == "cuda" else "cpu"
    rows = []
    for role, model, matrices in (
        (OPTIMISED, context.models.record.local, found[style.EDGE]),
        (COMPLETE, context.models.record.remote, found[style.CLOUD]),
    ):
        options = EngineBenchOptions(model, context.streams[0].source, context.engines, WINDOWS, device=device)
        rows += _rows(role, bench_engines(options, context.say), shared(matrices).value)
    return rows


def _rows(role: str, bench: EngineBench, accuracy: float) -> list[Row]:
    model, base = bench.options.model, bench.scores[0].accuracy
    rows = []
    for score in bench.scores:
        moved = 0.0 if score.accuracy is None or base is None else score.accuracy - base
        took = score.cpu_ms if score.runs_on == "cpu" else score.median_ms
        times = (score.median_ms, score.cpu_ms, took)
        right = accuracy + moved
        rows.append(Row(role, model, name(score), score.runs_on, *times, right, bench.share(score), bench.windows))
    for each in bench.absent:
        engine = f"{each.engine} {each.precision or ''}".rstrip()
        rows.append(Row(role, model, engine, absent=each.reason))
    return rows


ENGINES = (
    ("torch-int8", "#D55E00", "v"),
    ("torch", "#0072B2", "o"),
    ("openvino", "#009E73", "s"),
    ("onnxruntime", "#CC79A7", "D"),
)
"""Prefix of an engine's name, its colour and marker."""


def draw(rows: Sequence[Row]) -> Figure:
    """A point for each model and engine; the complete model's markers are filled."""
    figure = style.new_figure(3.9)
    axes = figure.subplots()
    whole: dict[str, float] = {}
    for row in rows:
        if row.time_ms is None or row.accuracy is None or row.changed is None:
            continue
        base = whole.setdefault(row.role, row.accuracy)  # the first of each is fp32
        colour, marker = next(
            ((colour, marker) for prefix, colour, marker in ENGINES if row.engine.startswith(prefix)), ("#56B4E9", "P")
        )
        axes.vlines(
            row.time_ms, 100 * (base - row.changed), 100 * (base + row.changed), color=colour, linewidth=1, alpha=0.6
        )
        reduced = not row.engine.endswith("fp32")
        axes.plot(
            [row.time_ms], [100 * row.accuracy],
            marker=marker, color=colour, markersize=6 if reduced else 9, linestyle="",
            fillstyle="none" if reduced else "full", label=row.engine,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.margins(0.12, 0.25)
    for role in (OPTIMISED, COMPLETE):
        points = [(row.time_ms, row.accuracy) for row in rows if row.role == role and row.accuracy is not None]
        if points:
            x, y = min(each[0] or 0.0 for each in points), max(100 * each[1] for each in points)
            axes.annotate(role, (x, y), xytext=(0, 10), textcoords="offset points", fontsize=9)
    style.tidy(axes, x="time for one window on one thread, ms (logarithmic)", y="frame accuracy, %")
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks([t for t in (1, 2, 5, 10, 20, 50, 100, 200, 500) if _within(t, axes.get_xlim())])
    style.legend_below(figure, axes, columns=6)
    return figure


def _within(value: float, limits: tuple[float, float]) -> bool:
    return limits[0] <= value <= limits[1]


def table(rows: Sequence[Row]) -> Table:
    """All numbers, and why an engine is not among them."""
    lines = []
    for row in rows:
        if row.median_ms is None or row.cpu_ms is None or row.accuracy is None or row.changed is None:
            lines.append([f"{row.role}, {row.engine}", "–", "–", "–", f"not here: {row.absent}"])
        else:
            times = [f"{row.median_ms:.1f}", f"{row.cpu_ms:.1f}"]
            lines.append([f"{row.role}, {row.engine}", *times, percent(row.accuracy), percent(row.changed)])
    return Table(["model, engine", "median ms", "CPU ms", "accuracy, %", "answers changed, %"], lines)


FIGURE = Exhibit(
    "fig1",
    "Figure 1: accuracy over latency of each model and engine",
    "Time of one window on one thread of this machine against frame accuracy over all streams; filled markers are "
    "fp32, hollow ones have fewer bits. Time is processor time, which is an idle machine's latency; the table has what "
    "the clock said beside it, on a machine that may have been busy. "
    "An engine's accuracy is fp32's, moved by what it changed on the few windows timed; the line shows how far that "
    "many changes could move it.",
    Row,
    compute,
    draw,
    table,
)
