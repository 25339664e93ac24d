"""capture, with the test as the supervisor that changes the streams and as window behind it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from clownfish.config import validate
from clownfish.control import CAPTURE_SOCKET, Asker
from clownfish.messages import End, Frame
from clownfish.process import Process
from clownfish.settings import to_tree
from tests.graph.harness import Material, Tree, edge_tree, until
from tests.services.harness import Collector, neighbour, serving


class Changing:
    """A capture at its work, whose streams can be changed."""

    def __init__(self, tree: Tree, process: Process, came: Collector, asker: Asker) -> None:
        self.process, self.came = process, came
        self._tree, self._asker = tree, asker

    def write(self, *streams: dict[str, Any]) -> None:
        self._tree["streams"] = list(streams)
        write(self._tree, self.process.run_dir)

    async def ask(self) -> dict[str, Any]:
        reply = await self._asker.ask("streams", "", 20)
        assert reply is not None
        return dict(json.loads(reply.text))

    def ends(self, name: str) -> list[End]:
        return [end for end in self.came.each(End) if end.stream == name]

    def frames(self, name: str) -> list[Frame]:
        return [frame for frame in self.came.each(Frame) if frame.stream == name]


def write(tree: Tree, run_dir: Path) -> str:
    """As the supervisor does: at one stroke."""
    new = run_dir / "config.new"
    new.write_text(json.dumps(to_tree(validate(tree, "test"))))
    return str(new.replace(run_dir / "config.json"))


@asynccontextmanager
async def changing(run_dir: Path, material: Material) -> AsyncIterator[Changing]:
    tree = edge_tree(run_dir, material, None)
    tree["streams"] = [stream("cam")]
    async with neighbour() as bus:
        came = Collector(bus.inbox(f"ipc://{run_dir}/window.ipc", "window", (Frame, End)))
        async with serving("capture", tree, config=write(tree, run_dir)) as process:
            asker = Asker(bus, process.config.ipc(CAPTURE_SOCKET))
            yield Changing(tree, process, came, asker)
            await asker.close()
        came.close()


def stream(name: str, source: str = "shapes:test/0", **more: Any) -> dict[str, Any]:
    return {"name": name, "source": source, **more}


async def test_a_stream_is_begun_and_let_go_and_its_epoch_ends_after_its_last_frame(
    run_dir: Path, local_only: Material
) -> None:
    async with changing(run_dir, local_only) as capture:
        capture.write(stream("cam"), stream("new"))
        assert set(await capture.ask()) == {"cam", "new"}
        await until(lambda: len(capture.frames("new")) > 5, "its frames come", 20)
        assert (await capture.ask())["new"]["state"] == "delivers"
        capture.write(stream("cam"))
        assert set(await capture.ask()) == {"cam"}
        await until(lambda: bool(capture.ends("new")), "its epoch ends", 20)
        (end,) = capture.ends("new")
        frames = capture.frames("new")
        assert {frame.epoch for frame in frames} == {end.epoch}
        assert [frame.n for frame in frames] == list(range(end.frames)), "none after its end, and none is missing"
        await until(lambda: not (run_dir / "new.fps").exists(), "nothing is left of it", 20)
        assert not [name for name in capture.process.counters.as_dict() if "new" in name]
        assert capture.ends("cam") == []
        assert len({frame.epoch for frame in capture.frames("cam")}) == 1


async def test_who_is_not_asked_looks_once_a_second(run_dir: Path, local_only: Material) -> None:
    """A command that was lost on its way does no harm."""
    async with changing(run_dir, local_only) as capture:
        capture.write(stream("cam"), stream("new"))
        capture.process.publish()  # as each second
        await until(lambda: bool(capture.frames("new")), "its frames come", 20)


async def test_one_that_is_another_one_now_is_begun_anew(run_dir: Path, local_only: Material) -> None:
    async with changing(run_dir, local_only) as capture:
        await until(lambda: bool(capture.frames("cam")), "frames come", 20)
        capture.write(stream("cam", fps=5.0))
        await capture.ask()
        await until(lambda: len({frame.epoch for frame in capture.frames("cam")}) == 2, "another epoch begins", 20)
        assert len(capture.ends("cam")) == 1
        assert (run_dir / "cam.fps").exists()


async def test_a_source_that_hangs_is_let_go_and_one_that_waits_goes_at_once(
    run_dir: Path, local_only: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clownfish.capturing._LEAVE_S", 0.2)
    os.mkfifo(tmp_path / "hangs.mp4")  # nobody ever writes into it: opening does not return
    hangs, waits = stream("hangs", str(tmp_path / "hangs.mp4")), stream("waits", "rtsp://127.0.0.1:1/x")
    async with changing(run_dir, local_only) as capture:
        capture.write(stream("cam"), hangs, waits)
        await capture.ask()
        retries = lambda: capture.process.counters.get("source_retries")  # noqa: E731
        await until(lambda: retries() > 0, "it cannot be opened", 20)
        fares = await capture.ask()
        assert fares["hangs"]["state"] == "opens"
        assert fares["waits"]["state"] in ("waits", "opens"), "again"
        capture.write(stream("cam"))
        assert set(await capture.ask()) == {"cam"}
        await until(lambda: bool(capture.ends("hangs")), "the hung one is given up", 20)
        assert [end.reason for end in capture.ends("hangs")] == ["stopped"]
        tried = retries()
        capture.write(stream("cam"), stream("hangs"))
        await capture.ask()
        await until(lambda: bool(capture.frames("hangs")), "another one of that name is read", 20)
        assert retries() == tried, "it is tried no more"
        assert capture.ends("waits") == [], "what never delivered has no epoch"


async def test_the_windows_of_files_that_begin_together_do_not_come_together(
    run_dir: Path, local_only: Material
) -> None:
    """The first one at once, others by the golden ratio: 0.62, 0.24, 0.85, 0.47 … of the time between two windows."""
    async with changing(run_dir, local_only) as capture:
        await until(lambda: bool(capture.frames("cam")), "it has begun", 20)
        names = [f"file-{n}" for n in range(4)]
        began_ns = time.monotonic_ns()
        capture.write(stream("cam"), *(stream(name, fps=10.0) for name in names))
        assert {fare["state"] for fare in (await capture.ask()).values()} <= {"opens", "delivers"}
        await until(lambda: all(capture.frames(name) for name in names), "all have begun", 20)
        after_s = [(capture.frames(name)[0].capture_ns - began_ns) / 1e9 for name in names]
        period_s = capture.process.config.window.stride / 10.0
    assert all(after > phase * period_s for after, phase in zip(after_s, (0.61, 0.23, 0.85, 0.47), strict=True))
