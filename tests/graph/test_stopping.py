"""The command `clownfish up`: the first Ctrl-C drains, the second stops at once, nothing outlives its supervisor."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.graph import harness
from tests.graph.harness import PATIENCE_S, Graph, Material, alive, assert_in_order, edge_tree, until


class Command:
    """A running `clownfish up`."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.graph: set[int] = set()
        """Pids of its processes, as far as they were noticed."""

    def answers(self) -> list[dict[str, Any]]:
        path = self.folder / "answers.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]

    async def answered(self, count: int) -> None:
        await until(lambda: len(self.answers()) >= count or self.process.returncode is not None, f"{count} answers")
        assert self.process.returncode is None, "it ended"
        self.graph |= {child.pid for child in psutil.Process(self.process.pid).children(recursive=True)}

    async def ended(self) -> int:
        return await asyncio.wait_for(self.process.wait(), PATIENCE_S)

    def survivors(self) -> list[int]:
        return [pid for pid in self.graph if alive(pid)]


Up = Callable[[dict[str, Any]], Any]


@pytest.fixture
def up() -> Up:
    """Start the command as a user does, from a file, in a folder that it makes."""

    @asynccontextmanager
    async def start(tree: dict[str, Any]) -> AsyncIterator[Command]:
        folder = harness.folder()
        file = folder / "up.toml"
        file.write_text(as_toml({**tree, "graph": {"run_dir": str(folder / "run")}}))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "clownfish", "up", str(file)), stderr=asyncio.subprocess.DEVNULL
        )
        command = Command(process, Path(tree["sinks"][0]["sink"]["path"]).parent)
        try:
            yield command
        finally:
            for pid in [process.pid, *command.graph]:
                with suppress(ProcessLookupError):
                    if alive(pid):
                        os.kill(pid, signal.SIGKILL)
            with suppress(ProcessLookupError):
                await process.wait()
            harness.remove(folder)

    return start


def as_toml(tree: dict[str, Any]) -> str:
    """The tree as dotted TOML: every table inline."""

    def value(node: Any) -> str:
        if isinstance(node, dict):
            return "{" + ", ".join(f"{key} = {value(each)}" for key, each in node.items()) + "}"
        if isinstance(node, list):
            return "[" + ", ".join(map(value, node)) + "]"
        return json.dumps(node)

    return "".join(f"{key} = {value(node)}\n" for key, node in tree.items())


async def test_the_first_ctrl_c_drains_the_graph_and_the_exit_status_is_0(
    up: Up, material: Material, run_dir: Path
) -> None:
    async with up(edge_tree(run_dir / "a", material, None)) as command:
        await command.answered(5)
        command.process.send_signal(signal.SIGINT)
        assert await command.ended() == 0
        answers = command.answers()
        assert_in_order(answers)
        newest = max(answer["t"] for answer in answers)
        assert {a["t"] for a in answers if a["final"]} == {a["t"] for a in answers} == set(range(newest + 1))
        await until(lambda: not command.survivors(), "no process is left")


@pytest.mark.parametrize("answers", [1, 9])
async def test_a_drain_answers_and_closes_every_window_that_was_formed(
    answers: int, material: Material, run_dir: Path
) -> None:
    """Also one that begins before anybody has told of the stream."""
    async with Graph(edge_tree(run_dir / f"drained-{answers}", material, None)) as graph:
        await graph.answers(answers)
        await graph.stop(drain=True)
        live = {result["t"] for result in graph.live()}
        assert {result["t"] for result in graph.results() if result["final"]} == live
        formed = graph.counter("window", "windows") + graph.counter("window", "incomplete")
        assert len(live) + graph.counter("fusion", "windows_missing") == formed


async def test_the_second_ctrl_c_stops_at_once(up: Up, material: Material, run_dir: Path) -> None:
    """The sink is stopped, so that draining would take its time."""
    async with up(edge_tree(run_dir / "b", material, None)) as command:
        await command.answered(5)
        for pid in command.graph:
            os.kill(pid, signal.SIGSTOP)
        command.process.send_signal(signal.SIGINT)
        await asyncio.wait([asyncio.ensure_future(command.process.wait())], timeout=0.3)
        assert command.process.returncode is None, "it drained a graph that is stopped"
        command.process.send_signal(signal.SIGINT)
        assert await command.ended() == 130
        await until(lambda: not command.survivors(), "no process is left")


async def test_no_process_outlives_a_supervisor_that_was_killed(up: Up, material: Material, run_dir: Path) -> None:
    async with up(edge_tree(run_dir / "c", material, None)) as command:
        await command.answered(5)
        command.process.kill()
        await command.ended()
        assert command.graph
        await until(lambda: not command.survivors(), "no process is left")


async def test_a_stopped_process_does_not_outlive_a_supervisor_that_was_killed(
    up: Up, material: Material, run_dir: Path
) -> None:
    """One that hangs hears no request to end."""
    async with up(edge_tree(run_dir / "d", material, None)) as command:
        await command.answered(5)
        for pid in command.graph:
            os.kill(pid, signal.SIGSTOP)
        command.process.kill()
        await command.ended()
        await until(lambda: not command.survivors(), "no process is left")
