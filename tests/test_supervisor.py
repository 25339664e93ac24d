"""What the supervisor decides by itself; that it starts, restarts and ends real processes is shown in tests/graph."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clownfish.bus import Bus
from clownfish.config import validate
from clownfish.messages import Status
from clownfish.process import STATUS_SOCKET
from clownfish.supervisor import Child, Supervisor, plan
from tests.graph import harness
from tests.graph.harness import until

EDGE: dict[str, Any] = {
    "streams": [{"name": "cam", "source": "x"}],
    "local": {"model": "x"},
    "sinks": [{"name": "a", "sink": {"kind": "console"}}, {"name": "b", "sink": {"kind": "console"}}],
}
CLOUD: dict[str, Any] = {"router": {}, "worker": {"model": "x", "count": 2}}


@pytest.fixture
def run_dir() -> Iterator[Path]:
    path = harness.folder()
    yield path
    harness.remove(path)


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.mark.parametrize(
    ("tree", "processes"),
    [
        (CLOUD, ["router", "worker-0", "worker-1"]),
        ({"worker": {"model": "x"}}, ["worker-0"]),
        (EDGE, ["sink-a", "sink-b", "fusion", "local", "window", "capture"]),
        (
            {**EDGE, "record": {"folder": "x"}},
            ["sink-a", "sink-b", "record", "fusion", "local", "window", "capture"],
        ),
        (
            {"router": {}, "metrics": {}, "trace": {}},
            ["metrics", "trace", "router"],
        ),
        (
            {**CLOUD, "page": {}},
            ["page", "router", "worker-0", "worker-1"],
        ),
        (
            {**EDGE, "uplink": {}, "router": {}},
            ["router", "sink-a", "sink-b", "fusion", "uplink", "filter", "local", "window", "capture"],
        ),
    ],
    ids=[
        "cloud",
        "worker",
        "edge without a cloud",
        "edge that is recorded",
        "watched router",
        "cloud with a page",
        "edge and router",
    ],
)
def test_the_sections_of_the_file_decide_what_starts(tree: dict[str, Any], processes: list[str]) -> None:
    assert [spec.process for spec in plan(validate(tree, "test"))] == processes


async def test_a_run_begins_with_no_counters_of_the_run_before(run_dir: Path) -> None:
    for name in ("fusion.counters", "fusion.watermarks", "fusion.model.histogram", "mine.txt"):
        (run_dir / name).write_text("x")
    supervisor = Supervisor(validate({**EDGE, "graph": {"run_dir": str(run_dir)}}, "test"))
    left = names(run_dir)
    assert "mine.txt" in left
    assert not [name for name in left if name.startswith("fusion.")]
    await supervisor.stop(drain=False)


async def test_what_is_not_a_process_of_this_graph_says_is_ignored(run_dir: Path) -> None:
    """A worker that is not told to start; one of an earlier process of the same name."""
    config = validate({"worker": {"model": "x", "count": 0}, "graph": {"run_dir": str(run_dir)}}, "test")
    supervisor = Supervisor(config)
    await supervisor.start()
    bus = Bus(lambda name: None)
    outbox = bus.outbox(config.ipc(STATUS_SOCKET), "status")
    heard, asked = asyncio.Event(), []

    class Children(dict[str, Child]):
        def get(self, name: str, default: object = None) -> Any:
            asked.append(name)
            return super().get(name, default)

    supervisor.on_status = heard.set
    supervisor.children = Children()
    await outbox.put(Status("worker-0", 1, "failed", "x" * 100, {}, {"g": 1.0}, {}))
    await outbox.put(Status("other", 1, "ready", "", {}, {}, {}))
    await until(lambda: asked == ["worker-0", "other"], "both are read")
    assert (supervisor.gauge("worker-0", "g"), supervisor.children, heard.is_set()) == (None, {}, False)
    await supervisor.stop(drain=False)
    bus.close(0)
