"""Fusion methods beside the paper's, on the same streams and the same windows sent: frame accuracy by lag and interval.

Gains are paired: they and their 95 % intervals are of the difference to the paper's method on the same streams, by
bootstrap over streams. What edge and cloud say alone stands beside them; the cloud's live answers at lag d are those
that have come by then, d + 1 windows old.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from clownfish.errors import ConfigError
from clownfish.evaluation.compare import score
from clownfish.evaluation.dump import Dump
from clownfish.evaluation.metrics import Ints, accuracy
from clownfish.evaluation.paper.style import legend_below, level, new_figure, tidy
from clownfish.evaluation.paper.sweep import ahead
from clownfish.evaluation.replay import Floats, fix_ma, replay
from clownfish.filters import FILTERS
from clownfish.fusions import build_fusion
from clownfish.settings import FusionSection, Plugin
from clownfish.sources.truth import Truth

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LAGS = tuple(range(9))
INTERVALS = (6, 20)
"""The paper's, and one that sends about a fifth of cloud-only's bytes."""

PAPER = "exponential"
EDGE, EDGE_FIX_MA, CLOUD, CLOUD_FIX_MA, CLOUD_LATE = (
    "edge-only", "edge + FixMA", "cloud-only", "cloud + FixMA", "cloud-only, late",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stream:
    """One labelled stream, what both models said of it, and ρ of each window."""

    dump: Dump
    truth: Truth
    rho: Floats


@dataclass(frozen=True, slots=True)
class Row:
    """One method at one interval and lag, over all streams. Shares, not percent."""

    method: str
    options: str
    n_w: int | None
    lag: int | None
    bytes_share: float
    """Of what cloud-only sends: every frame once, with the same codec."""
    live: float
    final: float
    live_gain: float | None
    """Over the paper's method at the same interval and lag."""
    live_gain_low: float | None
    live_gain_high: float | None
    final_gain: float | None
    final_gain_low: float | None
    final_gain_high: float | None


@dataclass(frozen=True, slots=True)
class _Outcome:
    """Confusions of each stream, see `metrics.confusion`."""

    live: list[Ints]
    final: list[Ints]
    bytes_share: float


def compute(
    streams: Sequence[Stream],
    fusion: FusionSection,
    methods: Sequence[Plugin],
    *,
    intervals: Sequence[int] = INTERVALS,
    lags: Sequence[int] = LAGS,
    policy: Plugin = Plugin("context_aware"),  # noqa: B008 - frozen
    said: Callable[[str], None] = lambda line: None,
) -> list[Row]:
    """Rows of edge and cloud alone, of the paper's method with `fusion`'s settings, and of each of `methods`.

    `policy` chooses windows, with n_w set to each of `intervals`. Raises ConfigError for no streams, and what building
    a method or policy raises.
    """
    if not streams:
        raise ConfigError("no streams to compare methods on")
    for method in methods:
        build_fusion(replace(fusion, method=method), classes=streams[0].dump.header.classes)
    rows = _alone(streams, lags)
    for n_w in intervals:
        chosen = Plugin(policy.kind, {**policy.options, "n_w": n_w})
        for lag in lags:
            section = replace(fusion, method=Plugin(PAPER))
            paper = _replayed(streams, section, chosen, lag)
            rows.append(_row(section, n_w, lag, paper, None))
            for method in methods:
                section = replace(fusion, method=method)
                rows.append(_row(section, n_w, lag, _replayed(streams, section, chosen, lag), paper))
            said(f"n_w {n_w}, lag {lag}")
    return rows


def _replayed(streams: Sequence[Stream], fusion: FusionSection, policy: Plugin, lag: int) -> _Outcome:
    live, final, sent, total = [], [], 0, 0
    for stream in streams:
        result = replay(stream.dump, stream.rho, lambda: policy.build(FILTERS), lag, fusion)
        live.append(_scored(stream, result.live))
        final.append(_scored(stream, result.final))
        sent += result.wire_bytes
        total += int(stream.dump.frame_bytes.sum())
    return _Outcome(live, final, sent / total)


def _alone(streams: Sequence[Stream], lags: Sequence[int]) -> list[Row]:
    """Edge and cloud without fusion; the cloud also as late as its answers are."""
    answers: list[tuple[str, int | None, float, Callable[[Dump], Ints]]] = [
        (EDGE, None, 0.0, lambda dump: dump.p_local.argmax(1)),
        (EDGE_FIX_MA, None, 0.0, lambda dump: fix_ma(dump.p_local).argmax(1)),
        (CLOUD, None, 1.0, lambda dump: dump.p_remote.argmax(1)),
        (CLOUD_FIX_MA, None, 1.0, lambda dump: fix_ma(dump.p_remote).argmax(1)),
    ]
    answers += [(CLOUD_LATE, lag, 1.0, lambda dump, lag=lag: _late(dump, lag)) for lag in lags]  # type: ignore[misc]
    rows = []
    for name, lag, share, of in answers:
        value = accuracy(np.sum([_scored(stream, of(stream.dump)) for stream in streams], axis=0))
        rows.append(Row(name, "", None, lag, share, value, value, None, None, None, None, None, None))
    return rows


def _late(dump: Dump, lag: int) -> Ints:
    """What the cloud's newest answer said when each window was formed; before the first, the edge's own."""
    if lag == 0:
        on_time: Ints = dump.p_remote.argmax(1)
        return on_time
    behind = lag + 1
    return np.concatenate([dump.p_local[:behind].argmax(1), dump.p_remote[:-behind].argmax(1)])[: dump.windows]


def _scored(stream: Stream, answers: Ints) -> Ints:
    matrix = score(stream.dump, stream.truth, answers)
    assert matrix is not None  # a Stream has its truth
    return matrix


def _row(fusion: FusionSection, n_w: int, lag: int, ours: _Outcome, paper: _Outcome | None) -> Row:
    method = fusion.method
    options = " ".join(f"{key}={value}" for key, value in method.options.items())
    nothing: tuple[float, float, float] | tuple[None, None, None] = (None, None, None)
    return Row(
        method.kind,
        options,
        n_w,
        lag,
        ours.bytes_share,
        accuracy(np.sum(ours.live, axis=0)),
        accuracy(np.sum(ours.final, axis=0)),
        *(nothing if paper is None else gain(ours.live, paper.live)),
        *(nothing if paper is None else gain(ours.final, paper.final)),
    )


def gain(ours: Sequence[Ints], theirs: Sequence[Ints]) -> tuple[float, float, float]:
    """(by how much our accuracy is above theirs, and its 95 % interval); confusions of the same streams in one order.

    Raises DatasetError where no frame is scored.
    """
    found = ahead([ours], [theirs])
    return found.value, found.low, found.high


def draw(rows: Sequence[Row]) -> Figure:
    """Live accuracy over the lag, a panel for each interval; final accuracy is dotted, and does not depend on it.

    From rows alone. Raises ConfigError without matplotlib.
    """
    intervals = sorted({row.n_w for row in rows if row.n_w is not None})
    figure = new_figure(3.8)
    panels = figure.subplots(1, len(intervals), sharey=True, squeeze=False)[0]
    names = list(dict.fromkeys((row.method, row.options) for row in rows if row.n_w is not None))
    for panel, n_w in zip(panels, intervals, strict=True):
        for n, name in enumerate(names):
            mine = [row for row in rows if (row.method, row.options, row.n_w) == (*name, n_w)]
            x = [row.lag for row in mine]
            label = " ".join(part for part in name if part)
            panel.plot(x, [100 * row.live for row in mine], color=f"C{n}", marker="o", markersize=4, label=label)
            panel.plot(x, [100 * row.final for row in mine], color=f"C{n}", linestyle=":")
        late = [row for row in rows if row.method == CLOUD_LATE]
        panel.plot([row.lag for row in late], [100 * row.live for row in late], color="black", label=CLOUD_LATE)
        for name_of in (EDGE_FIX_MA, CLOUD_FIX_MA):
            level(panel, name_of, next(100 * row.live for row in rows if row.method == name_of))
        share = next(row.bytes_share for row in rows if row.n_w == n_w)
        tidy(panel, f"n_w {n_w}: {100 * share:.0f} % of cloud-only's bytes", "lag, windows")
    panels[0].set_ylabel("frames right, %", fontsize=9)
    legend_below(figure, *panels, columns=3)
    return figure
