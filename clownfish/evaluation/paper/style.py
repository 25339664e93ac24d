"""How figures look: a method has one colour in all of them, of Okabe and Ito's, which colour-blind eyes tell apart."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from clownfish.errors import ConfigError
from clownfish.evaluation.paper import methods

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 110
COLOURS = 96
WIDTH = 9.0
"""Inches: a figure is as wide as a page's column, its letters as large."""


class Look(NamedTuple):
    colour: str
    marker: str = ""
    line: str = "-"


EDGE, EDGE_FIX_MA, CLOUD, CLOUD_FIX_MA = "edge-only", "edge + FixMA", "cloud-only", "cloud + FixMA"
LIVE, FINAL, DISCARD = "fused live", "fused final", "early discard"

LOOKS: Mapping[str, Look] = {
    methods.SIMINET: Look("#0072B2", "o"),
    methods.COSINE: Look("#E69F00", "s"),
    methods.EUCLIDEAN: Look("#56B4E9", "P"),
    methods.FIX_MA: Look("#D55E00", "^"),
    methods.FIX_MA_STRONG: Look("#CC79A7", "v"),
    methods.OPT_SIM: Look("#009E73", "D"),
    EDGE: Look("#666666"),
    EDGE_FIX_MA: Look("#666666", line="--"),
    CLOUD: Look("#000000"),
    CLOUD_FIX_MA: Look("#000000", line="--"),
    LIVE: Look("#0072B2", "o"),
    FINAL: Look("#0072B2", "o", "--"),
    DISCARD: Look("#D55E00", "X"),
}


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """Raises ConfigError where matplotlib is not installed."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError("drawing needs matplotlib: pip install 'clownfish[plot]'") from error
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def tidy(axes: Axes, title: str = "", x: str = "", y: str = "") -> None:
    """Labels, a pale grid behind, and no frame where there is no axis."""
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def whole(axes: Axes) -> None:
    """Ticks of x at whole numbers: windows have no halves."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))


def line(axes: Axes, method: str, x: Sequence[float], y: Sequence[float], **more: Any) -> None:
    """One method's line."""
    look = LOOKS[method]
    axes.plot(
        x, y, color=look.colour, marker=look.marker, linestyle=look.line, linewidth=1.4, markersize=4, label=method,
        **more,
    )  # fmt: skip


def band(axes: Axes, method: str, x: Sequence[float], low: Sequence[float], high: Sequence[float]) -> None:
    """Its spread."""
    axes.fill_between(x, low, high, color=LOOKS[method].colour, alpha=0.13, linewidth=0)


def level(axes: Axes, method: str, y: float) -> None:
    """A horizontal line, for what does not depend on x."""
    look = LOOKS[method]
    axes.axhline(y, color=look.colour, linestyle=look.line, linewidth=1.1, label=method)


def legend_below(figure: Figure, *axes: Axes, columns: int = 5) -> None:
    """One legend for all panels, below them, each name once."""
    found: dict[str, Any] = {}
    for each in axes:
        for handle, label in zip(*each.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    figure.legend(
        list(found.values()), list(found), loc="outside lower center", ncols=columns, frameon=False, fontsize=8.5
    )


def save(figure: Figure, path: Path) -> None:
    """As PNG, without what would make the same figure another file tomorrow."""
    from PIL import Image  # comes with matplotlib

    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png")
    # a palette: a third of the bytes, and no eye sees it
    picture = Image.open(drawn).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    picture.save(path, optimize=True)
