"""What `Fusion.fuse` and `Fusion.reinforce` cost (§IV), beside the bare arithmetic of Eq. 1 in numpy.

The difference is everything that the arithmetic is not: checking what came over a socket, keeping the chain, and
building the results, which for `reinforce` are lag + 1 of both.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

import numpy as np

from clownfish.fusion import Float64, Fusion
from clownfish.lab.figures import Figure, Line, batches

CLASSES = (9, 51, 400)
"""ucf9, HMDB51, Kinetics-400."""
LAGS = (1, 4, 16)
ALPHA = 0.8


def fusion_lines(repeats: int, calls: int) -> list[Line]:
    """`repeats` batches of `calls` calls each; every figure is the time of one call."""
    lines = []
    for classes in CLASSES:
        bare = arithmetic(classes, repeats, calls)
        yardstick = "α·p + (1 − α)·q in numpy, once"
        lines.append(Line(f"fuse, {classes} classes", fuse(classes, repeats, calls), yardstick, bare))
        lines += [
            Line(
                f"reinforce, lag {lag} ({lag + 1} windows), {classes} classes",
                reinforce(classes, lag, repeats, calls),
                yardstick,
                bare,
            )
            for lag in LAGS
        ]
    return lines


def arithmetic(classes: int, repeats: int, calls: int) -> Figure:
    """The yardstick: one exponential smoothing of one vector."""
    p, q = vectors(classes, 2).astype(np.float64)

    def batch() -> None:
        for _ in range(calls):
            ALPHA * p + (1 - ALPHA) * q

    return _timed(repeats, calls, lambda: batch)


def fuse(classes: int, repeats: int, calls: int) -> Figure:
    """One window: its revision 0, and the closing revision of the one that leaves the horizon."""
    rows = list(vectors(classes, calls + 64))

    def prepare() -> Callable[[], None]:
        fusion = filled(rows)

        def batch() -> None:
            for t in range(fusion.horizon, fusion.horizon + calls):
                fusion.fuse(t, rows[t], ALPHA)
                fusion.closed()

        return batch

    return _timed(repeats, calls, prepare)


def reinforce(classes: int, lag: int, repeats: int, calls: int) -> Figure:
    """One remote result that is `lag` windows late, and the replay of what followed it."""
    rows = list(vectors(classes, 64))
    remote = np.eye(classes)[0]

    def prepare() -> Callable[[], None]:
        fusions = [filled(rows) for _ in range(calls)]
        t = len(rows) - 1 - lag

        def batch() -> None:
            for fusion in fusions:
                fusion.reinforce(t, remote)

        return batch

    return _timed(repeats, calls, prepare)


def filled(rows: list[Float64]) -> Fusion:
    """A chain as long as the horizon, without an anchor."""
    fusion = Fusion()
    for t in range(fusion.horizon):
        fusion.fuse(t, rows[t], ALPHA)
    return fusion


def vectors(classes: int, count: int) -> Float64:
    """`count` distributions over `classes`, shape (count, classes)."""
    return np.random.default_rng(0).dirichlet(np.ones(classes), count)


def _timed(repeats: int, calls: int, prepare: Callable[[], Callable[[], None]]) -> Figure:
    """Seconds of one call, batch by batch. `prepare` sets each batch up, untimed; the first batch warms up."""
    seconds = []
    for _ in range(repeats + 1):
        batch = prepare()
        gc.disable()  # as timeit does: the collector would be charged to whoever allocates when it is due
        try:
            begin = time.perf_counter()
            batch()
            seconds.append((time.perf_counter() - begin) / calls)
        finally:
            gc.enable()
    return batches(seconds[1:])
