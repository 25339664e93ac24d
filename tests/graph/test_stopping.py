"""The command `clownfish up`: the first Ctrl-C drains, the second stops at once, nothing outlives its supervisor."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.graph.command import up
from tests.graph.harness import Graph, Material, assert_in_order, edge_tree, until


async def test_the_first_ctrl_c_drains_the_graph_and_the_exit_status_is_0(material: Material, run_dir: Path) -> None:
    async with up(edge_tree(run_dir / "a", material, None, pace="patient")) as command:
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


async def test_the_second_ctrl_c_stops_at_once(material: Material, run_dir: Path) -> None:
    """The sink is stopped, so that draining would take its time."""
    async with up(edge_tree(run_dir / "b", material, None)) as command:
        await command.answered(5)
        for pid in command.graph:
            os.kill(pid, signal.SIGSTOP)
        command.process.send_signal(signal.SIGINT)
        await asyncio.wait([asyncio.ensure_future(command.process.wait())], timeout=1.0)
        assert command.process.returncode is None, "it drained a graph that is stopped"
        command.process.send_signal(signal.SIGINT)
        assert await command.ended() == 130
        await until(lambda: not command.survivors(), "no process is left")


async def test_no_process_outlives_a_supervisor_that_was_killed(material: Material, run_dir: Path) -> None:
    async with up(edge_tree(run_dir / "c", material, None)) as command:
        await command.answered(5)
        command.process.kill()
        await command.ended()
        assert command.graph
        await until(lambda: not command.survivors(), "no process is left")


async def test_a_stopped_process_does_not_outlive_a_supervisor_that_was_killed(
    material: Material, run_dir: Path
) -> None:
    """One that hangs hears no request to end."""
    async with up(edge_tree(run_dir / "d", material, None)) as command:
        await command.answered(5)
        for pid in command.graph:
            os.kill(pid, signal.SIGSTOP)
        command.process.kill()
        await command.ended()
        await until(lambda: not command.survivors(), "no process is left")
