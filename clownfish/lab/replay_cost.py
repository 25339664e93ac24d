"""What replay costs a window: Gate, network and Fusion, and the columns that it fills (`evaluation.replay`).

Processor time, so that it is the same on a busy machine; 10,000 windows a second are 100 µs each. The yardstick is
FUSE by itself, which is the part that cannot be spared.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from clownfish.evaluation.dump import Dump, Header, ModelIdentity
from clownfish.evaluation.network import Network
from clownfish.evaluation.replay import replay
from clownfish.evaluation.trace import Trace
from clownfish.filters.context_aware import ContextAware
from clownfish.fusion import Fusion
from clownfish.lab.figures import Figure, Line, batches
from clownfish.lab.fusion_cost import vectors

WINDOWS = 2000
CLASSES = 9
NETWORKS: dict[str, Network | int] = {
    "lag 0": 0,
    "lag 1": 1,
    "lag 8": 8,
    "trace of 60 ms and 5 Mbit/s": Trace(rtt_ms=60, rate_mbit=5),
}


def replay_lines(repeats: int) -> list[Line]:
    """Every figure is the time of one window, over `repeats` replays of a stream of WINDOWS windows."""
    dump, rho = drawn_dump(WINDOWS, CLASSES)
    bare = timed(repeats, WINDOWS, lambda: fuse_alone(dump, rho))
    lines = []
    for name, network in NETWORKS.items():

        def once(network: Network | int = network) -> None:
            replay(dump, rho, ContextAware, network)

        cost = timed(repeats, WINDOWS, once)
        note = f"{1e6 / cost.value:,.0f} windows a second on one core"
        lines.append(Line(f"replay, {name}, {CLASSES} classes, a window", cost, "FUSE alone", bare, note))
    return lines


def drawn_dump(windows: int, classes: int) -> tuple[Dump, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """Random answers and ρ, the same each time; ρ rises by 0.5 in one window of eight, as a hard stream's may."""
    identity = ModelIdentity("drawn", "0" * 64, "0" * 64)
    names = tuple(f"class {n}" for n in range(classes))
    header = Header("drawn", "0" * 64, identity, identity, names, 16, 4, 172, 128, "none", "fp32")
    p_local, p_remote = vectors(classes, 2 * windows).astype(np.float32).reshape(2, windows, classes)
    rng = np.random.default_rng(1)
    dump = Dump(
        header,
        np.arange(windows),
        p_local,
        np.zeros((windows, 1), np.float32),
        p_remote,
        rng.integers(3000, 6000, 4 * windows + 12),
    )
    rho = rng.uniform(0, 1, windows)
    rho[0] = np.nan
    return dump, rho


def fuse_alone(dump: Dump, rho: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
    """The yardstick: the chain without gate, network or remote results."""
    machine = Fusion(classes=dump.header.classes)
    for t, p, rho_t in zip(dump.t.tolist(), dump.p_local, rho.tolist(), strict=True):
        machine.fuse(t, p, None if t == 0 else rho_t)
        machine.closed()


def timed(repeats: int, windows: int, work: Callable[[], None]) -> Figure:
    """Processor seconds of one window; the first of repeats + 1 runs warms up and does not count."""
    seconds = []
    for _ in range(repeats + 1):
        begin = time.process_time()
        work()
        seconds.append((time.process_time() - begin) / windows)
    return batches(seconds[1:])
