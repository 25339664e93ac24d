"""page, with the test as the supervisor that changes the streams and as one that looks."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clownfish.config import validate
from clownfish.errors import ConfigError
from clownfish.messages import Frame, LocalResult, Note
from clownfish.notes import PAGE
from clownfish.process import Process
from clownfish.settings import to_tree
from tests.graph.harness import Material, edge_tree, free_ports, until
from tests.services.harness import neighbour, serving

pytest.importorskip("starlette", reason="extra web")
websockets = pytest.importorskip("websockets.asyncio.client", reason="extra web")


class Looking:
    """What one who looks was told."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.rows: set[tuple[str, int]] = set()
        self.pictures: set[str] = set()

    async def follow(self, socket: Any) -> None:
        async for message in socket:
            (length,) = struct.unpack_from("<I", message)
            said = json.loads(message[4 : 4 + length])
            if "names" in said:
                self.names = said["names"]
                self.rows.clear()
                self.pictures.clear()
            for name, news in said.get("streams", {}).items():
                self.rows |= {(name, row[0]) for row in news["rows"]}
            rest = message[4 + length :]
            while rest:
                number, size = struct.unpack_from("<HI", rest)
                self.pictures.add(self.names[number])
                rest = rest[6 + size :]


async def test_who_looks_is_shown_streams_that_come_and_none_that_have_gone(
    run_dir: Path, local_only: Material
) -> None:
    (port,) = free_ports(1)
    tree = {**edge_tree(run_dir, local_only, None), "page": {"listen": f"127.0.0.1:{port}"}}
    file = run_dir / "config.json"

    def write(*names: str) -> None:
        tree["streams"] = [{"name": name, "source": "shapes:test/0"} for name in names]
        file.with_suffix(".new").write_text(json.dumps(to_tree(validate(tree, "test"))))
        file.with_suffix(".new").replace(file)

    write("cam", "old")
    sequence = iter(range(1000))
    pixels = np.zeros((32, 32, 3), np.uint8)
    async with neighbour() as bus, serving("page", tree, config=str(file)) as process:
        notes = bus.outbox(process.config.ipc(PAGE), "notes")
        frames = bus.outbox(process.config.ipc("page-frames"), "frames", large=True)

        async def show(name: str, t: int) -> None:
            result = LocalResult(name, 1, t, np.array([0.5, 0.5], np.float32), None, 0, 0)
            await notes.put(Note("fusion", 1, next(sequence), (result,)))
            await frames.put(Frame(name, 1, t, t, True, pixels))

        url = f"ws://127.0.0.1:{port}/live"
        looking = Looking()
        async with websockets.connect(url, origin=f"http://127.0.0.1:{port}") as socket:
            following = asyncio.ensure_future(looking.follow(socket))
            await until(lambda: looking.names == ["cam", "old"], "it is told all")
            for name in ("cam", "old"):
                await show(name, 0)
            await until(lambda: looking.rows == {("cam", 0), ("old", 0)}, "rows are drawn")
            await until(lambda: looking.pictures == {"cam", "old"}, "pictures are shown")
            write("new", "cam")
            await show("new", 0)  # its picture makes the page look
            await until(lambda: looking.names == ["new", "cam"], "it is told which streams there are")
            await show("new", 1)
            await show("old", 1)  # was on its way
            await show("cam", 1)
            await until(lambda: {("new", 1), ("cam", 1)} <= looking.rows, "both are drawn")
            assert looking.rows >= {("cam", 0)}, "what stays keeps its past"
            assert "old" not in {name for name, _ in looking.rows}
            await until(lambda: looking.pictures == {"new", "cam"}, "and shown, each in its place")
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        assert process.state == "ready"


async def test_a_page_that_cannot_listen_never_says_that_it_is_ready(
    run_dir: Path, local_only: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(Process, "ready", lambda process, text="": said.append(text))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        tree = {**edge_tree(run_dir, local_only, None), "page": {"listen": listen}}
        with pytest.raises(ConfigError, match=f"page.listen {listen}: cannot be listened on"):
            async with serving("page", tree):
                pass
    assert said == []
