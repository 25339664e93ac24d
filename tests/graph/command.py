"""Test tool: the command `clownfish up`, started as a user does, from a file, in a folder that it makes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from tests.graph import harness
from tests.graph.harness import PATIENCE_S, alive, until


class Command:
    """A running `clownfish up`."""

    def __init__(self, process: asyncio.subprocess.Process, file: Path, folder: Path) -> None:
        self.process = process
        self.file = file
        """The configuration."""
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

    def kill(self) -> None:
        """The whole graph, at once."""
        for pid in [self.process.pid, *self.graph]:
            with suppress(ProcessLookupError):
                if alive(pid):
                    os.kill(pid, signal.SIGKILL)


@asynccontextmanager
async def up(
    tree: dict[str, Any], *options: str, environment: Mapping[str, str] | None = None, log: Path | None = None
) -> AsyncIterator[Command]:
    """Of a tree whose first sink is `jsonl`. `environment`: what is added to ours; `log`: where it may write."""
    folder = harness.folder()
    file = folder / "up.toml"
    file.write_text(as_toml({**tree, "graph": {"run_dir": str(folder / "run")}}))
    with (log or Path(os.devnull)).open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "clownfish", "up", *options, str(file)),
            stderr=errors,
            env={**os.environ, **(environment or {})},
        )
    command = Command(process, file, Path(tree["sinks"][0]["sink"]["path"]).parent)
    try:
        yield command
    finally:
        command.kill()
        with suppress(ProcessLookupError):
            await process.wait()
        harness.remove(folder)


def as_toml(tree: dict[str, Any]) -> str:
    """The tree as dotted TOML: every table inline."""

    def value(node: Any) -> str:
        if isinstance(node, dict):
            return "{" + ", ".join(f"{key} = {value(each)}" for key, each in node.items()) + "}"
        if isinstance(node, list):
            return "[" + ", ".join(map(value, node)) + "]"
        return json.dumps(node)

    return "".join(f"{key} = {value(node)}\n" for key, node in tree.items())
