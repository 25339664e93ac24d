"""What `clownfish model bench` found, for people and for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.table import Table

from clownfish.lab.engines import EngineBench, Score

INT8 = "torch-int8"

_COLUMNS = ("on", "load s", "median ms", "p95 ms", "CPU ms", "of fp32's", "same top-1", "mean |Δp|", "accuracy", "MB")


def engine_table(bench: EngineBench) -> Table:
    """One line an engine and precision, fastest first; those that are not here stand below with the reason."""
    options = bench.options
    table = Table(
        title=f"{options.model} on {bench.windows} windows of {options.source}, one thread", title_justify="left"
    )
    table.add_column("engine", no_wrap=True)
    for column in _COLUMNS:
        table.add_column(column, justify="left" if column == "on" else "right")
    for score in sorted(bench.scores, key=lambda each: each.ratio):
        colour = "red" if score in bench.refused else "bold green" if score == bench.recommended else ""
        table.add_row(
            name(score),
            score.runs_on,
            f"{score.load_s:.1f}",
            f"{score.median_ms:.2f}",
            f"{score.p95_ms:.2f}",
            f"{score.cpu_ms:.2f}",
            f"{score.ratio:.2f}",
            f"{1 - bench.share(score):.1%}",
            f"{score.difference:.4f}",
            "–" if score.accuracy is None else f"{score.accuracy:.1%}",
            f"{score.weights_mb:.1f}",
            style=colour,
        )
    return table


def verdict(bench: EngineBench) -> list[str]:
    """Sentences: who is not here and why, who is refused, and what to write into the configuration."""
    lines = [
        f"not measured: {each.engine} {each.precision or ''}".rstrip() + f": {each.reason}" for each in bench.absent
    ]
    if any(each.engine == INT8 for each in bench.scores):
        lines.append(f"{INT8} is calibrated on {bench.calibrated_on}")
    allowed = bench.options.max_changed
    lines += [
        f"refused: {name(each)} changes {bench.share(each):.1%} of the answers ({each.changed} of {bench.windows}); "
        f"{allowed:.1%} may change"
        for each in bench.refused
    ]
    best = bench.recommended
    setting = f'engine = "{best.engine}", precision = "{best.precision}"'
    if best.engine == INT8:
        setting += f', calibration = "{bench.options.calibration or bench.options.source}"'
    lines.append(
        f"recommended: {setting}: {best.ratio:.2f} of fp32's time, {bench.share(best):.1%} of the answers changed"
    )
    return lines


def failures(bench: EngineBench) -> list[str]:
    """The engines that were asked for by name and are refused, or absent in every precision."""
    named = set(bench.options.engines)
    usable = {each.engine for each in bench.scores if each not in bench.refused}
    return sorted(named - usable)


def name(score: Score) -> str:
    """`openvino bf16`; torch-int8 has its precision in its name."""
    return score.engine if score.engine == INT8 else f"{score.engine} {score.precision}"


def engine_numbers(bench: EngineBench) -> dict[str, Any]:
    """As JSON values."""
    refused = bench.refused
    return {
        "options": asdict(bench.options),
        "windows": bench.windows,
        "calibrated_on": bench.calibrated_on,
        "scores": [
            {**asdict(each), "changed_share": bench.share(each), "refused": each in refused} for each in bench.scores
        ],
        "absent": [asdict(each) for each in bench.absent],
        "recommended": {"engine": bench.recommended.engine, "precision": bench.recommended.precision},
    }
