"""kill -9 of one process of a running graph, and what must hold afterwards."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from pathlib import Path

from tests.graph.harness import Endpoints, Graph, Material, Tree, assert_in_order, cloud_tree, edge_tree, holes, until

EDGE = ("capture", "window", "local", "filter", "uplink", "fusion", "sink-answers")
CLOUD = ("router", "worker-0", "worker-1")
MODELS = ("local", "worker-0", "worker-1")
"""Processes that load a model."""


def whole_tree(run_dir: Path, material: Material) -> Tree:
    """Edge and cloud in one graph: every kind of process, and two workers."""
    at = Endpoints.tcp()
    return {**edge_tree(run_dir, material, at), **cloud_tree(run_dir, material.remote, at, workers=2)}


@dataclass(frozen=True)
class Recovery:
    """Seconds from the kill."""

    ready_s: float
    """Until the new process did its work."""
    answers_s: float
    """Until new answers came: of the edge's processes local ones, of the others remote ones."""


def remote_results(graph: Graph) -> int:
    return graph.counter("fusion", "remote_applied") + graph.counter("fusion", "remote_late")


async def kill(graph: Graph, process: str, patience_s: float) -> Recovery:
    """Kill it with -9, and wait until all is back."""
    if process in (*CLOUD, "filter", "uplink"):
        measure = remote_results
    else:

        def measure(graph: Graph) -> int:
            return len(graph.live())

    await graph.answers(3, f"answers before {process} is killed")
    restarts = graph.supervisor.children[process].restarts
    begin = time.monotonic()
    dead = graph.signal(process, signal.SIGKILL)
    await until(lambda: graph.is_back(process, dead), f"{process} is ready again", patience_s)
    ready_s = time.monotonic() - begin
    if process in ("worker-0", "worker-1"):
        await until(lambda: (graph.gauge("router", "workers") or 0) >= 2, f"{process} is known again", patience_s)
    # what was under way before the kill proves nothing; what comes after the new process was ready does
    before = measure(graph)
    await until(lambda: measure(graph) > before, f"answers go on after {process} was killed", patience_s)
    answers_s = time.monotonic() - begin
    assert graph.supervisor.children[process].restarts == restarts + 1
    return Recovery(ready_s, answers_s)


def lost_in_sink(graph: Graph) -> int:
    """Results that fusion has sent and no sink has read: killed with it, or on their way."""
    sent, read = 'sent{socket="sink-answers"}', 'received{socket="results"}'
    return max(0, graph.counter("fusion", sent) - graph.counter("sink-answers", read))


def assert_accounted(graph: Graph) -> None:
    """Drained: every answer came once, in order, and what did not come is counted."""
    results = graph.results()
    lost = lost_in_sink(graph)
    assert_in_order(results, lost)
    fusion = graph.counters("fusion")
    not_written = fusion["windows_answered"] - len(graph.live())
    assert 0 <= not_written <= lost, "an answer is neither written nor counted as lost with its sink"
    # windows lost at the very end of an epoch are counted too, and are no holes
    assert fusion["windows_missing"] >= holes(results) - not_written
    assert not [name for name in graph.supervisor.children if '"bug"' in graph.log(name)]
