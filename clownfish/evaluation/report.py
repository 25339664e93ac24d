"""A comparison over streams as a table for people and as numbers for machines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from clownfish.evaluation.behaviour import Measure
from clownfish.evaluation.compare import METHODS, Intervals, Row, Settings, intervals, pooled
from clownfish.evaluation.dump import Header
from clownfish.evaluation.metrics import share

Streams = Sequence[tuple[Header, Sequence[Row]]]


def percent(share: float | None) -> str:
    """A share with one digit behind the point; `-` where there is none."""
    return "-" if share is None or math.isnan(share) else f"{100 * share:.1f}"


def settings_line(settings: Settings) -> str:
    """What was compared, in one line."""
    policy, similarity = (
        " ".join([plugin.kind, *(f"{key}={value}" for key, value in plugin.options.items())])
        for plugin in (settings.policy, settings.similarity)
    )
    lag = "never" if settings.lag is None else settings.lag
    return (
        f"{policy}, similarity {similarity}, lag {lag}, θ {settings.fusion.theta:g}, FixMA α {settings.fix_ma_alpha:g}"
        + ("" if settings.discard is None else f", discard p < {settings.discard.threshold:g}")
    )


def discard_line(streams: Streams) -> str | None:
    """What early discard finds, in one line; None without it, or where nothing says what is worth sending."""
    last = pooled([rows for _, rows in streams])[-1]
    if last.recall is None or not last.recall[1]:
        return None
    return (
        f"early discard sends {percent(share(last.recall))} % of the {last.recall[1]} windows worth sending, "
        f"{percent(last.sent_share)} % of all"
    )


def comparison_tables(streams: Streams) -> list[Table]:
    """Frame accuracy of each stream; then, over all streams, accuracy and weighted F1 with their 95 % intervals, and
    what each method sends: all in percent, bytes in MB. Both fit a terminal of 80 columns."""
    each = _table(["accuracy, %", *_SHORT, "sent", "saved"])
    for header, rows in streams:
        ours = rows[: len(METHODS)]
        each.add_row(header.stream, *(percent(row.accuracy) for row in ours), *_sent(ours[-1]))
    columns = ["all streams", "acc.", "95 %", "F1", "95 %", "MB", "sent", "saved"]
    total = _table(columns)
    rows_of_streams = [rows for _, rows in streams]
    for row, spread in zip(pooled(rows_of_streams), intervals(rows_of_streams), strict=True):
        scores = [percent(row.accuracy), _span(spread.accuracy), percent(row.weighted_f1), _span(spread.weighted_f1)]
        total.add_row(row.method, *scores, f"{row.wire_bytes / 1e6:.1f}", *_sent(row))
    return [each, total]


def measures_table(found: Sequence[Measure]) -> Table:
    """What the cloud changes, over all streams: each metric with its 95 % interval, where it has one."""
    table = _table(["all streams", "", "95 %", ""])
    for measure in found:
        scale = 100 if measure.unit in ("%", "points") else 1
        span = "" if measure.interval is None else " to ".join(f"{scale * each:.1f}" for each in measure.interval)
        table.add_row(measure.name, f"{scale * measure.value:.1f}", span, measure.unit)
    return table


def measures_numbers(found: Sequence[Measure]) -> list[dict[str, Any]]:
    """The same as plain values (JSON), shares from 0 to 1; null for what is not finite."""
    return [
        {
            "name": each.name,
            "unit": each.unit,
            "value": _finite(each.value),
            "interval": None if each.interval is None else [_finite(bound) for bound in each.interval],
        }
        for each in found
    ]


_SHORT = ("edge", "+ FixMA", "cloud", "+ FixMA", "live", "final")
"""METHODS, for columns."""


def _table(columns: Sequence[str]) -> Table:
    table = Table(show_edge=False, pad_edge=False)
    for n, name in enumerate(columns):
        table.add_column(name, justify="right" if n else "left", no_wrap=True)
    return table


def comparison_numbers(streams: Streams, settings: Settings) -> dict[str, Any]:
    """The same as plain values (JSON), with what they were made from. Shares are from 0 to 1."""
    rows = [rows for _, rows in streams]
    return {
        "settings": {
            "policy": settings.policy.table(),
            "similarity": settings.similarity.table(),
            "fusion": {
                name: getattr(settings.fusion, name) for name in ("theta", "remote_weight", "horizon", "anchor_beta")
            },
            "lag": settings.lag,
            "fix_ma_alpha": settings.fix_ma_alpha,
            "discard": None if settings.discard is None else asdict(settings.discard),
        },
        "streams": [
            {"header": asdict(header), "methods": {row.method: _numbers(row) for row in each}}
            for header, each in streams
        ],
        "all": {
            row.method: _numbers(row) | _bounds(spread)
            for row, spread in zip(pooled(rows), intervals(rows), strict=True)
        },
    }


def _sent(row: Row) -> tuple[str, str]:
    return percent(row.sent_share), percent(row.reduction)


def _span(span: tuple[float, float] | None) -> str:
    return "-" if span is None else f"{percent(span[0])}–{percent(span[1])}"


def _numbers(row: Row) -> dict[str, Any]:
    return {
        "accuracy": _finite(row.accuracy),
        "weighted_f1": _finite(row.weighted_f1),
        "frames_scored": None if row.confusion is None else int(row.confusion.sum()),
        "windows": row.windows,
        "windows_sent": row.sent,
        "sent_share": row.sent_share,
        "wire_bytes": row.wire_bytes,
        "bandwidth_reduction": row.reduction,
        **({} if row.recall is None else {"recall": _finite(share(row.recall))}),
    }


def _bounds(spread: Intervals) -> dict[str, Any]:
    return {"accuracy_interval": spread.accuracy, "weighted_f1_interval": spread.weighted_f1}


def _finite(score: float | None) -> float | None:
    return None if score is None or not math.isfinite(score) else score
