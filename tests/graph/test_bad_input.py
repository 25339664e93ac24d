"""What is wrong from outside: each fault is said in words or counted, and stops no more than it must."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clownfish.errors import ClownfishError, ConfigError
from tests.graph import harness
from tests.graph.harness import Endpoints, Graph, Material, Tree, assert_in_order, cloud_tree, edge_tree, until
from tests.graph.ip_camera import ip_camera
from tests.videos import cut, write_video

Spoil = Callable[[Tree, Path], Any]


def wrong_weights(tree: Tree, folder: Path) -> None:
    """A description that names more classes than its weights answer."""
    source = Path(tree["local"]["model"])
    description = json.loads(source.with_suffix(".json").read_text())
    description["classes"] = [*description["classes"], "fall"]
    (folder / "spoiled.json").write_text(json.dumps(description))
    (folder / "spoiled.safetensors").write_bytes(source.with_suffix(".safetensors").read_bytes())
    tree["local"]["model"] = str(folder / "spoiled")


def cut_weights(tree: Tree, folder: Path) -> None:
    source = Path(tree["local"]["model"])
    (folder / "spoiled.json").write_bytes(source.with_suffix(".json").read_bytes())
    (folder / "spoiled.safetensors").write_bytes(source.with_suffix(".safetensors").read_bytes()[:1000])
    tree["local"]["model"] = str(folder / "spoiled")


def other_window(tree: Tree, folder: Path) -> None:
    tree["window"] = {"size": 8, "stride": 4}


def missing_video(tree: Tree, folder: Path) -> None:
    tree["streams"][0]["source"] = str(folder / "none.mp4")


def unwritable_sink(tree: Tree, folder: Path) -> None:
    tree["sinks"][0]["sink"]["path"] = str(folder)


def port_taken(tree: Tree, folder: Path) -> socket.socket:
    at = Endpoints.tcp()
    tree |= {name: cloud_tree(folder, tree["local"]["model"], at)[name] for name in ("router", "worker")}
    listener = socket.socket()
    listener.bind(("127.0.0.1", int(at.control.rpartition(":")[2])))
    listener.listen()
    return listener


def open_router(tree: Tree, folder: Path) -> None:
    at = Endpoints("tcp://0.0.0.0:1", "tcp://0.0.0.0:2", "tcp://0.0.0.0:3")
    tree |= {name: cloud_tree(folder, tree["local"]["model"], at)[name] for name in ("router", "worker")}


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (missing_video, "capture cannot start.*none.mp4"),
        (wrong_weights, "local cannot start.*answers 3 classes, the description names 4"),
        (cut_weights, "local cannot start.*not a whole safetensors file"),
        (other_window, "local cannot start.*expects windows of 16 frames.*is 8"),
        (unwritable_sink, "sink-answers cannot start.*cannot open"),
        (port_taken, "router cannot start.*is taken"),
        (open_router, "router cannot start.*other hosts reach it without authentication"),
    ],
)
async def test_a_graph_that_cannot_start_says_which_process_and_why(
    spoil: Spoil, says: str, fresh: Path, material: Material
) -> None:
    tree = edge_tree(fresh, material, None)
    held = spoil(tree, fresh)
    with pytest.raises(ClownfishError, match=says):
        async with Graph(tree) as graph:
            await asyncio.wait_for(graph.supervisor.run_until(lambda: False), harness.PATIENCE_S)
    if held is not None:
        held.close()


def test_a_run_folder_that_others_may_enter_is_refused(fresh: Path, material: Material) -> None:
    fresh.chmod(0o755)
    with pytest.raises(ConfigError, match=r"mode 755; expected user .* mode 700"):
        Graph(edge_tree(fresh, material, None))


async def test_a_second_graph_in_the_same_run_folder_is_refused(fresh: Path, material: Material) -> None:
    first = Graph(edge_tree(fresh, material, None))
    with pytest.raises(ConfigError, match="a graph runs already in"):
        Graph(edge_tree(fresh, material, None))
    await first.stop(drain=False)


async def test_a_service_that_runs_already_is_refused_its_run_folder(fresh: Path, material: Material) -> None:
    """Also beside the supervisor: `python -m services.window` by hand."""
    async with Graph(edge_tree(fresh, material, None)) as graph:
        await graph.answers(1)
        config = fresh / "config.json"
        process = await asyncio.create_subprocess_exec(
            *(os.sys.executable, "-m", "services.window", "--config", str(config)),
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await asyncio.wait_for(process.communicate(), harness.PATIENCE_S)
        assert process.returncode == 2
        assert b"window runs already" in said
        await graph.answers(3)


async def test_a_truncated_video_is_answered_up_to_where_it_breaks_off(fresh: Path, material: Material) -> None:
    """The stream beside it does not notice."""
    broken = cut(write_video(fresh / "broken.mp4", 120), 0.6)
    tree = edge_tree(fresh, material, None, pace="patient")
    tree["streams"] += [
        {"name": "broken", "source": str(broken), "pace": "patient"},
        {"name": "none", "source": str(fresh / "none.mp4")},
    ]
    async with Graph(tree) as graph:
        await until(lambda: graph.counter("capture", "source_errors") == 2, "both faults are seen")
        await until(
            lambda: any(r["final"] for r in graph.results() if r["stream"] == "broken"), "the broken stream is over"
        )
        assert "breaks off" in graph.log("capture")
        assert "none.mp4" in graph.log("capture")
        await graph.answers(5)
        assert_in_order(graph.results())
        answered = {r["t"] for r in graph.results() if r["stream"] == "broken"}
        assert answered == set(range(max(answered) + 1))


async def test_a_truncated_video_alone_is_not_played_again_and_again(fresh: Path, material: Material) -> None:
    tree = edge_tree(fresh, material, None, loop=False, pace="fast")
    tree["streams"][0]["source"] = str(cut(write_video(fresh / "broken.mp4", 120), 0.6))
    async with Graph(tree) as graph:
        await until(lambda: graph.counter("sink-answers", "streams_ended") == 1, "the stream is over")
        await asyncio.wait_for(graph.supervisor.run_until(lambda: graph.gauge("capture", "sources_open") == 0), 30)
        status = graph.supervisor.children["capture"]
        seen = status.status
        await until(lambda: status.status is not seen, "capture lives on")
        assert status.restarts == 0
        assert len({result["epoch"] for result in graph.results()}) == 1


async def test_a_camera_that_stops_delivering_is_reported_and_one_that_hangs_up_is_opened_again(
    fresh: Path, material: Material
) -> None:
    async with ip_camera() as camera:
        tree = edge_tree(fresh, material, None, source=camera.url, loop=False)
        tree["capture"] |= {"stall_s": 0.5, "retry_s": 0.1}
        async with Graph(tree) as graph:
            await graph.answers(3, "the camera is seen")
            camera.flowing.clear()
            await until(lambda: graph.counter("capture", "stalls") == 1, "the silence is noticed")
            assert "source delivers nothing" in graph.log("capture")
            camera.flowing.set()
            await graph.answers(3, "it delivers again")
            epochs = {result["epoch"] for result in graph.live()}
            camera.hang_up()
            await until(lambda: {r["epoch"] for r in graph.live()} > epochs, "it is opened again, in a new epoch")
            assert graph.counter("capture", "source_retries") >= 1
            assert "stopped delivering after" in graph.log("capture")
            await until(
                lambda: all(any(r["final"] for r in graph.results() if r["epoch"] == e) for e in epochs),
                "the old epoch is closed",
            )
            assert_in_order(graph.results())
