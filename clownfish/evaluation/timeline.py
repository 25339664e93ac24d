"""The picture of one stream: truth, edge, cloud, fused live and fused final as coloured bars over time; ρ and β below.

Windows that were sent are marked where they end, and joined to the moment their answer came: so one sees how late it
was, and that the bar "fused final" is right from the window sent on (extra `plot`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clownfish.errors import ConfigError
from clownfish.sources.truth import Truth

_COLOURS = ("tab20", "tab20b")
_SECONDS_PER_INCH = 4.0


@dataclass(frozen=True)
class Timeline:
    """What is drawn. Answers are labels by window index t; a window's answer belongs to its last `stride` frames."""

    title: str
    classes: Sequence[str]
    fps: float
    frames: int
    size: int
    stride: int
    answers: Mapping[str, Mapping[int, str]]
    """Bars, top to bottom: name → label by t."""
    truth: Truth | None = None
    rho: Mapping[int, float] = field(default_factory=dict)
    beta: Mapping[int, float] = field(default_factory=dict)
    theta: float = 0.5
    arrivals: Mapping[int, int] = field(default_factory=dict)
    """Window sent → newest window when its answer was applied."""

    def end_s(self, t: int) -> float:
        """When window t ends, in seconds of the stream."""
        return (t * self.stride + self.size) / self.fps

    def spans(self, labels: Mapping[int, str]) -> list[tuple[float, float, str]]:
        """(start, length, label) in seconds, neighbours with one label joined."""
        spans: list[tuple[float, float, str]] = []
        step = self.stride / self.fps
        for t in sorted(labels):
            start = self.end_s(t) - step
            if spans and spans[-1][2] == labels[t] and abs(spans[-1][0] + spans[-1][1] - start) < step / 2:
                spans[-1] = (spans[-1][0], spans[-1][1] + step, labels[t])
            else:
                spans.append((start, step, labels[t]))
        return spans


def draw(timeline: Timeline, path: Path) -> None:
    """Write the picture as PNG. Raises ConfigError where matplotlib is not installed."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.patches import Patch
    except ImportError as error:
        raise ConfigError("drawing needs matplotlib: pip install 'clownfish[plot]'") from error
    seconds = timeline.frames / timeline.fps
    figure = Figure(figsize=(min(24.0, max(9.0, seconds / _SECONDS_PER_INCH)), 5.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    bars, lines = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.5))
    colour = _palette(timeline.classes)
    rows = ([("truth", None)] if timeline.truth is not None else []) + list(timeline.answers.items())
    shown: set[str] = set()
    for row, (_, labels) in enumerate(rows):
        for start, length, label in _truth_spans(timeline) if labels is None else timeline.spans(labels):
            bars.broken_barh([(start, length)], (row - 0.4, 0.8), facecolors=colour[label], linewidth=0)
            shown.add(label)
    bars.set_yticks(range(len(rows)), [name for name, _ in rows])
    bars.invert_yaxis()
    bars.set_title(timeline.title, loc="left")
    for context in timeline.truth.contexts if timeline.truth is not None else ():
        if context.start <= timeline.frames:
            bars.axvline(context.start / timeline.fps, color="black", linewidth=0.4, alpha=0.5)
    _draw_lines(lines, timeline)
    handles = [Patch(color=colour[label], label=label) for label in timeline.classes if label in shown]
    columns = max(1, min(len(handles), int(figure.get_figwidth() / 1.6)))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def _draw_lines(lines: Any, timeline: Timeline) -> None:
    for values, name, colour in (
        (timeline.rho, "ρ similarity", "tab:gray"),
        (timeline.beta, "β remote influence", "tab:blue"),
    ):
        t = sorted(values)
        lines.plot([timeline.end_s(i) for i in t], [values[i] for i in t], color=colour, linewidth=1.0, label=name)
    lines.axhline(timeline.theta, color="tab:blue", linewidth=0.6, linestyle=":", label="θ")
    for sent, applied in timeline.arrivals.items():
        x = (timeline.end_s(sent), timeline.end_s(max(sent, applied)))
        lines.plot(x, (1.12, 1.12), color="tab:red", linewidth=1.2, solid_capstyle="butt")
        lines.plot(x[:1], (1.12,), "|", color="tab:red", markersize=7)
    lines.plot([], [], "|-", color="tab:red", label="window sent … answer applied")
    lines.set_ylim(-0.03, 1.22)
    lines.set_xlim(0, timeline.frames / timeline.fps)
    lines.set_xlabel("seconds")
    lines.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)


def _truth_spans(timeline: Timeline) -> list[tuple[float, float, str]]:
    assert timeline.truth is not None  # the caller has looked
    fps = timeline.fps
    ends = [(c.start, min(c.end, timeline.frames), c.label) for c in timeline.truth.contexts]
    return [(start / fps, (end - start) / fps, label) for start, end, label in ends if end > start]


def _palette(classes: Sequence[str]) -> dict[str, Any]:
    """A colour for each class; the first class of a list that begins with "idle" is pale."""
    from matplotlib import colormaps

    colours = [colour for name in _COLOURS for colour in colormaps[name].colors]  # type: ignore[attr-defined]
    palette = {label: colours[i % len(colours)] for i, label in enumerate(classes)}
    return palette | ({"idle": (0.88, 0.88, 0.88)} if "idle" in palette else {})
