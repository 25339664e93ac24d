"""What the graph adds to the model for each window, beside a blocking gRPC call and beside a bare model loop.

The graph's figure is fusion's own histogram `graph_overhead`: from the capture of a window's newest frame to its fused
answer, less the time the model took. The call's is its round trip less the time the model took in the server. Both
get a window every 4 frames of a 30 FPS stream, as a camera would give them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from clownfish.lab import rpc
from clownfish.lab.figures import Line, Use, latencies
from clownfish.lab.graph import measure_graph
from clownfish.lab.workload import PERIOD_S, Pair, graph, read_windows
from clownfish.messages import Pixels

Windows = Sequence[Sequence[Pixels]]
EDGE = ("capture", "window", "local", "fusion", "sink")
EDGE_AND_CLOUD = (*EDGE, "filter", "uplink", "router", "worker")


@dataclass(frozen=True)
class Answered:
    """How long each window took, in ns, shape (windows,): in all, and the model's own share."""

    total_ns: npt.NDArray[np.float64]
    model_ns: npt.NDArray[np.float64]


def overhead_lines(
    folder: Path, source: str, pair: Pair, settle_s: float, sample_s: float, say: Callable[[str], None]
) -> tuple[list[Line], list[Use]]:
    """Two lines for the graph's own cost, two for the model inside it, with what each process used."""
    windows = read_windows(source, round(sample_s / PERIOD_S))
    say("the same windows through a blocking gRPC call …")
    with rpc.served(pair.local) as client:
        called = answer_all(windows, client.answer, PERIOD_S)
    say("the same windows in a bare model loop …")
    infer = model_loop(pair.local)
    paced = answer_all(windows, infer, PERIOD_S)
    unpaced = answer_all(windows, infer, 0)
    added_by_call = latencies(called.total_ns - called.model_ns)
    lines: list[Line] = []
    uses: list[Use] = []
    for cloud in (False, True):
        run = "edge and cloud" if cloud else "edge alone"
        say(f"the graph, {run} …")
        place = folder / f"graph-{int(cloud)}"
        config = graph(place, source, pair, cloud=cloud)
        sample = measure_graph(config, place, settle_s=settle_s, sample_s=sample_s, run=run)
        uses += sample.uses
        lost = sample.lost(EDGE_AND_CLOUD if cloud else EDGE)
        answered = sample.counters["fusion"].get("windows_answered", 0)
        note = f"{answered} windows, " + ("none lost" if not lost else _words(lost))
        lines.append(
            Line(
                f"what the graph adds per window, {run}",
                sample.latency("fusion", "graph_overhead"),
                "what PNG in a blocking gRPC call adds",
                added_by_call,
                note,
            )
        )
        lines.append(
            Line(
                f"the model in the graph, {run}",
                sample.latency("local", "model"),
                "the model alone in a paced loop",
                latencies(paced.total_ns),
                f"back to back it takes {latencies(unpaced.total_ns)}",
            )
        )
    return lines, uses


def answer_all(windows: Windows, answer: Callable[[Sequence[Pixels]], int], period_s: float) -> Answered:
    """Give `answer` (which returns the model's ns) a window every `period_s`, or as fast as it can where that is 0."""
    answer(windows[0])  # the first call is not like the others
    total, model = [], []
    begin_s = time.monotonic()
    for i, window in enumerate(windows):
        time.sleep(max(0.0, begin_s + i * period_s - time.monotonic()) if period_s else 0)
        begin = time.monotonic_ns()
        model.append(answer(window))
        total.append(time.monotonic_ns() - begin)
    return Answered(np.array(total, np.float64), np.array(model, np.float64))


def model_loop(name: str) -> Callable[[Sequence[Pixels]], int]:
    """The model in this process, with nothing around it."""
    from clownfish.models.load import load_model

    model = load_model(name)

    def answer(window: Sequence[Pixels]) -> int:
        begin = time.monotonic_ns()
        model.infer([window])
        return time.monotonic_ns() - begin

    return answer


def _words(lost: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in lost.items())
