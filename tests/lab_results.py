"""Small results of the network lab, as `clownfish lab run --json` writes them, without a network."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from clownfish.cli.experiment import Method, Part, Result

FRAMES = 100
RATES = (None, 7.5, 5.0, None)
"""Of the sections of Fig. 13."""


def result(
    method: Method,
    profile: str,
    n_w: int | None = 6,
    codec: str = "png",
    right: Sequence[int] = (80, 90),
    fps: float = 30.0,
    sources: Sequence[str] = ("a", "b", "c", "d"),
) -> Result:
    """Of `right` frames right in 100: live, final. Each source with two samples of throughput."""
    rates = RATES if profile == "abca" else (None,) * 4
    kinds = {"edge-only": ("live",), "cloud-only": ("final",), "early-discard": ("final",)}.get(
        method, ("live", "final")
    )
    matrices = {
        kind: np.array([[count, FRAMES - count], [0, 0]], np.int64)
        for kind, count in zip(("live", "final"), right, strict=True)
        if kind in kinds
    }
    parts = [
        Part(source, rate, [fps, fps - 1], 1_000_000, 10_000, 10.0, matrices)
        for source, rate in zip(sources, rates, strict=False)
    ]
    made = Result(method, profile, "link", "small", n_w, codec, parts, [rate for part in parts for rate in part.fps])
    made.confusions = {kind: len(parts) * matrix for kind, matrix in matrices.items()}
    made.up_bytes = sum(part.up_bytes for part in parts)
    made.down_bytes = sum(part.down_bytes for part in parts)
    made.seconds = sum(part.seconds for part in parts)
    made.cpu = {"local": 0.25, "fusion": 0.125, "router": 0.0625, "worker-0": 0.5, "link": 0.1}
    made.lags = {} if method == "edge-only" else {"0": 6, "2": 3, "16+": 1}
    return made


def write_results(path: Path, results: Iterable[Result]) -> Path:
    """As the command does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([each.numbers() for each in results], indent=2) + "\n", encoding="utf-8")
    return path


def write_experiments(folder: Path) -> Path:
    """All that the figures of the network are made of, in two files."""
    baselines: tuple[tuple[Method, str, str], ...] = (("edge-only", "", "lan"), ("cloud-only", "png", "lan"))
    steady = [result(method, network, None, codec) for method, codec, network in baselines]
    steady += [
        result("clownfish", network, right=(80 - n, 90 - n))
        for n, network in enumerate(("lan", "regional", "intercontinental", "capped-7.5", "capped-5"))
    ]
    steady += [result("clownfish", "capped-5", 8), result("early-discard", "lan", None)]
    changing = [
        result("edge-only", "abca", codec=""),
        result("cloud-only", "abca", None, fps=14.0),
        result("early-discard", "abca", None, fps=25.0),
        *(result("clownfish", "abca", n_w, codec) for n_w, codec in ((6, "jpeg"), (8, "png"), (6, "png"))),
    ]
    write_results(folder / "fig13.json", changing)
    write_results(folder / "fig14.json", steady)
    return folder
