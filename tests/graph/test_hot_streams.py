"""Streams are added to a running graph and removed from it: the others miss nothing, and nothing of them is left."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from typer.testing import CliRunner

from clownfish.cli.app import app
from clownfish.control import ask
from clownfish.errors import ClownfishError
from tests.graph.harness import Endpoints, Graph, Material, Tree, assert_in_order, edge_tree, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

STAYS = ("cam", "door")
HOLDERS = ("window", "filter", "fusion")
"""Processes that keep something of a stream until it is over."""


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder))
        yield folder


def tree_of(run_dir: Path, material: Material) -> Tree:
    """Two streams that lose nothing on a busy machine, an uplink without a cloud, and a sink of events."""
    tree = edge_tree(run_dir, material, Endpoints.ipc(run_dir), pace="patient")
    tree["streams"] = [{**tree["streams"][0], "name": name} for name in STAYS]
    tree["fusion"] |= {"drain_ms": 500}
    tree["events"] = {"background": "", "enter": 0.01, "leave": 0.01, "min_s": 0}
    path = str(run_dir / "events.jsonl")
    tree["sinks"].append({"name": "events", "what": "events", "sink": {"kind": "jsonl", "path": path}})
    return tree


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def graph(run_dir: Path, material: Material, state: Path) -> AsyncIterator[Graph]:
    async with Graph(tree_of(run_dir, material), changeable=True) as graph:
        await graph.answers(4)
        yield graph


def answers_of(graph: Graph, *names: str) -> list[dict[str, Any]]:
    return [result for result in graph.live() if result["stream"] in names]


def holes(graph: Graph, name: str) -> int:
    """Of a stream that has had one epoch only."""
    answers = answers_of(graph, name)
    assert len({answer["epoch"] for answer in answers}) == 1, f"{name} was begun anew"
    return max(answer["t"] for answer in answers) + 1 - len({answer["t"] for answer in answers})


def left(graph: Graph) -> dict[str, Any]:
    """What is kept of streams beyond those that stay."""
    kept = {each: graph.gauge(each, "streams_open") for each in HOLDERS}
    figures = {
        f"{each}: {name}"
        for each in ("capture", "fusion")
        for name in graph.counters(each)
        if 'stream="' in name and not any(f'stream="{stay}"' in name for stay in STAYS)
    }
    return {"open": {each: count for each, count in kept.items() if count != len(STAYS)}, "figures": figures}


async def gone(graph: Graph) -> None:
    """Wait until nothing is left of streams that were removed."""
    try:
        await until(lambda: left(graph) == {"open": {}, "figures": set()}, "nothing is left of them")
    except AssertionError as error:
        raise AssertionError(f"{error}: {left(graph)}") from None


@contextmanager
def undisturbed(graph: Graph) -> Iterator[None]:
    """The streams that stay go on as if nothing happened; no process is started again."""
    restarts = {name: child.restarts for name, child in graph.supervisor.children.items()}
    before = {name: len(answers_of(graph, name)) for name in STAYS}
    yield
    assert {name: child.restarts for name, child in graph.supervisor.children.items()} == restarts
    assert {name: holes(graph, name) for name in STAYS} == dict.fromkeys(STAYS, 0)
    assert all(len(answers_of(graph, name)) > before[name] for name in STAYS)
    assert graph.counter("window", "frames_missing") == graph.counter("window", "incomplete") == 0
    assert graph.counter("fusion", "windows_missing") == 0
    assert_in_order(graph.results())


async def test_a_stream_is_added_and_removed_and_the_others_do_not_notice(graph: Graph, material: Material) -> None:
    with undisturbed(graph):
        new = {"name": "new", "source": str(material.video), "loop": True, "pace": "patient"}
        assert await ask(graph.folder, "add", new) == {"added": ["new"], "removed": [], "told": True}
        await until(lambda: len(answers_of(graph, "new")) > 4, "the new one is answered")
        said = (await ask(graph.folder, "list"))["streams"]
        assert [(each["name"], each["from"], each["state"]) for each in said] == [
            ("cam", "configured", "delivers"), ("door", "configured", "delivers"), ("new", "added", "delivers"),
        ]  # fmt: skip
        await until(lambda: (graph.gauge("fusion", "streams_open") or 0) == 3, "a status")
        assert graph.counter("fusion", 'stream_answers{stream="new"}') > 4
        assert await ask(graph.folder, "remove", {"name": "new"}) == {"added": [], "removed": ["new"], "told": True}
        await gone(graph)
        await graph.answers(6, "the others go on")
        # what was said of it is closed: every answer, and every event
        assert holes(graph, "new") == 0
        final = {result["t"] for result in graph.results() if result["stream"] == "new" and result["final"]}
        assert final == {answer["t"] for answer in answers_of(graph, "new")}
        events: dict[str, dict[str, Any]] = {}
        for line in (graph.folder / "events.jsonl").read_text().splitlines():
            event = json.loads(line)
            events[event["id"]] = event
        mine = [event for event in events.values() if event["stream"] == "new"]
        assert mine
        assert all(event["final"] for event in mine)


async def test_what_cannot_be_opened_is_added_and_says_why_and_what_is_wrong_is_refused(
    graph: Graph, run_dir: Path
) -> None:
    """By the command, as a user gives it."""
    with undisturbed(graph):
        config = run_dir / "again.json"
        config.write_text(json.dumps({**tree_of(run_dir, Material(Path("x"), "zoo:x/local", "", ""))}))

        async def stream(*arguments: str) -> str:
            """What the command says; raises what `main` would say in red."""
            invoke = partial(CliRunner().invoke, app, ["stream", *arguments, "--config", str(config)])
            result = await asyncio.to_thread(invoke)
            if result.exception is not None:
                raise result.exception
            return " ".join(result.output.split())

        said = await stream("add", "ip", "rtsp://me:secret@127.0.0.1:1/x")
        assert "ip is added ip delivers nothing yet and is tried again and again: cannot open" in said
        assert "file is over: cannot read the video file nowhere.mp4" in await stream("add", "file", "nowhere.mp4")
        with pytest.raises(ClownfishError, match="two streams are called 'cam'; each needs a name of its own"):
            await stream("add", "cam", "nowhere.mp4", "--option", "fps=10")
        states: set[tuple[str, str]] = set()
        while ("waits", "ended") not in states:  # but while it tries again
            said = await stream("list", "--json")
            assert "secret" not in said
            listed = {each["name"]: each for each in json.loads(said)["streams"]}
            states.add((listed["ip"]["state"], listed["file"]["state"]))
            assert states <= {("waits", "ended"), ("opens", "ended")}
        assert "ip is removed" in await stream("rm", "ip")
        assert "file is removed" in await stream("rm", "file")
        await gone(graph)


async def test_nothing_is_left_of_many_streams_that_came_and_went(graph: Graph, material: Material) -> None:
    """Ten at a time, each of which has frames under way; names come again. `tests.graph.hot_streams` takes hundreds."""
    with undisturbed(graph):
        threads = lambda: len(list(Path(f"/proc/{graph.pid('capture')}/task").iterdir()))  # noqa: E731
        before = threads()
        for turn in range(3):
            names = [f"hot-{number}-{turn % 2}" for number in range(10)]
            tables = [{"name": name, "source": str(material.video), "pace": "fast", "seconds": 1} for name in names]
            await asyncio.gather(*(ask(graph.folder, "add", table) for table in tables))
            await asyncio.gather(*(ask(graph.folder, "remove", {"name": name}) for name in names))
        await gone(graph)
        await until(lambda: threads() <= before, "no thread is left")
        assert not list(graph.folder.glob("hot-*"))
        await graph.answers(4, "the others go on")


async def test_what_was_changed_outlives_a_capture_and_a_graph_that_are_killed(
    graph: Graph, material: Material, run_dir: Path
) -> None:
    """Last, because the graph is gone then."""
    new = {"name": "kept", "source": str(material.video), "loop": True, "pace": "patient"}
    await ask(graph.folder, "add", new)
    await ask(graph.folder, "remove", {"name": "door"})
    await until(lambda: bool(answers_of(graph, "kept")), "it is answered")
    dead = graph.signal("capture", signal.SIGKILL)
    await until(lambda: graph.is_back("capture", dead), "capture is back")
    epochs = lambda name: {answer["epoch"] for answer in answers_of(graph, name)}  # noqa: E731
    await until(lambda: len(epochs("kept")) == len(epochs("cam")) == 2, "both are read anew")
    assert len(epochs("door")) == 1
    for process in list(graph.supervisor.children):
        graph.signal(process, signal.SIGKILL)
    await graph.stop(drain=False)
    async with Graph(tree_of(run_dir, material), changeable=True) as again:
        assert [stream.name for stream in again.config.streams] == ["cam", "kept"]
        seen = {name: epochs(name) for name in ("cam", "kept")}
        await until(lambda: all(epochs(name) - seen[name] for name in seen), "they are read again")
        said = await ask(again.folder, "list")
        assert {each["name"]: each["from"] for each in said["streams"]} == {"cam": "configured", "kept": "added"}
        assert said["removed"] == ["door"]
        assert await ask(again.folder, "reset") == {"added": ["door"], "removed": ["kept"], "told": True}
        await until(lambda: len(epochs("door")) == 2, "what was removed is read again")
