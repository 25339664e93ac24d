"""A process that can never do its work ends the graph with its reason; it is not started for ever. But for one that the
edge can do without, where that was asked for."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from clownfish.cli.app import app
from clownfish.config import validate
from clownfish.errors import ClownfishError
from clownfish.supervisor import Supervisor
from tests.graph import harness
from tests.graph.command import up
from tests.graph.harness import Material, edge_tree, until

pytestmark = pytest.mark.graph


async def test_a_process_that_crashes_again_and_again_before_it_is_ready_ends_the_graph() -> None:
    folder = harness.folder()
    tree = {
        "graph": {"run_dir": str(folder)},
        "streams": [{"name": "cam", "source": "shapes:test/0"}],
        "local": {"model": "tests.graph.broken:Broken"},
    }
    supervisor = Supervisor(validate(tree, "test"), log_dir=folder)
    try:
        with pytest.raises(ClownfishError, match="local ended 5 times before it was ready: ZeroDivisionError"):
            await asyncio.wait_for(supervisor.start(), 60)
    finally:
        await supervisor.stop(drain=False)
        harness.remove(folder)


def rows(table: Path) -> int:
    with contextlib.closing(sqlite3.connect(table)) as database, contextlib.suppress(sqlite3.OperationalError):
        (count,) = database.execute("SELECT count(*) FROM results").fetchone()
        return int(count)
    return 0  # it is being made


async def test_the_edge_goes_on_without_a_sink_that_cannot_start_and_the_sink_comes_when_it_can(
    material: Material, fresh: Path
) -> None:
    """As after a cut of power that damaged a database, on a box that nobody looks after."""
    table = fresh / "answers.sqlite"
    table.write_bytes(b"SQLite format 3" + bytes(100) + b"no more than that")
    tree = edge_tree(fresh / "run", material, None)
    tree["sinks"].append({"name": "table", "sink": {"kind": "sqlite", "path": str(table)}})
    async with up(tree, "--keep-going") as command:
        await command.answered(3)
        said = await asyncio.to_thread(CliRunner().invoke, app, ["health", "ready", str(command.file)])
        assert said.exit_code == 1
        assert "sink-table" in said.output
        assert "cannot be used as a database" in " ".join(said.output.split())
        table.unlink()
        await until(table.exists, "the sink is tried again")
        await until(lambda: rows(table) > 0, "and takes answers")
        said = await asyncio.to_thread(CliRunner().invoke, app, ["health", "live", str(command.file)])
        assert said.exit_code == 0, said.output
