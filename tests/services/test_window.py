"""window, with the test as capture before it and as local behind it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from clownfish.config import validate
from clownfish.messages import End, Frame, Window
from clownfish.settings import to_tree
from tests.graph.harness import Material, edge_tree
from tests.services.harness import Collector, neighbour, serving


def frame(n: int, epoch: int = 1) -> Frame:
    return Frame("cam", epoch, n, n, False, np.zeros((32, 32, 3), np.uint8))


async def test_the_end_of_an_epoch_that_capture_could_not_say_goes_before_the_next_epoch(
    run_dir: Path, local_only: Material
) -> None:
    """A killed capture: what is lost of its last windows is counted downstream, which needs to know where they end."""
    async with neighbour() as bus, serving("window", edge_tree(run_dir, local_only, None)) as process:
        came = Collector(bus.inbox(process.config.ipc("local"), "local", (Window, End)))
        frames = bus.outbox(process.config.ipc("window"), "window")
        for n in range(22):
            await frames.put(frame(n))
        for n in range(16):
            await frames.put(frame(n, epoch=2))
        await frames.put(frame(22, epoch=1))  # was on its way
        await frames.put(End("cam", 2, 16, "end of the source"))
        messages = await came.count(5)
        assert [(type(m), m.epoch) for m in messages] == [(Window, 1), (Window, 1), (End, 1), (Window, 2), (End, 2)]
        assert messages[2] == End("cam", 1, 22, "capture restarted")
        assert process.counters.get("old_epoch") == 1
        came.close()


async def test_a_sink_that_draws_gets_copies_of_a_live_stream_and_holds_nothing_up_when_it_takes_none(
    run_dir: Path, local_only: Material
) -> None:
    tree = edge_tree(run_dir, local_only, None)
    tree["streams"] = [{"name": "cam", "source": "camera:0"}, {"name": "file", "source": "a.mp4"}]
    tree["sinks"] = [{"name": each, "sink": {"kind": "video", "folder": str(run_dir)}} for each in ("film", "hung")]
    async with neighbour() as bus, serving("window", tree) as process:
        windows = Collector(bus.inbox(process.config.ipc("local"), "local", (Window,)))
        film = Collector(bus.inbox(process.config.ipc("sink-film"), "film", (Frame,)))
        frames = bus.outbox(process.config.ipc("window"), "window")
        for n in range(100):
            await frames.put(frame(n))
            await frames.put(Frame("file", 1, n, n, False, np.zeros((32, 32, 3), np.uint8)))
        assert len(await windows.count(2 * 22)) == 2 * 22
        assert {(each.stream, each.n) for each in await film.count(100)} == {("cam", n) for n in range(100)}
        assert process.counters.get('dropped{socket="frames-hung",reason="full"}') == 100 - 32
        windows.close()
        film.close()


async def test_a_stream_that_was_removed_while_its_capture_was_dead_ends_all_the_same(
    run_dir: Path, local_only: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody says its End: downstream it would stay open for ever. One that was added since is none of those."""
    monkeypatch.setattr("services.window._GONE_S", 0.3)
    tree = edge_tree(run_dir, local_only, None)
    file = run_dir / "config.json"

    def write(*names: str) -> None:
        tree["streams"] = [{"name": name, "source": "a.mp4"} for name in names]
        file.with_suffix(".new").write_text(json.dumps(to_tree(validate(tree, "test"))))
        file.with_suffix(".new").replace(file)

    def of(name: str, n: int) -> Frame:
        return Frame(name, 3, n, n, False, np.zeros((32, 32, 3), np.uint8))

    write("cam", "gone")
    async with neighbour() as bus, serving("window", tree, config=str(file)) as process:
        came = Collector(bus.inbox(process.config.ipc("local"), "local", (Window, End)))
        frames = bus.outbox(process.config.ipc("window"), "window")
        for n in range(20):
            await frames.put(frame(n))
            await frames.put(of("gone", n))
        await came.count(4)
        write("cam")
        process.publish()  # as each second
        write("cam", "new")
        for n in range(16):
            await frames.put(of("new", n))
        assert await came.of(End) == [End("gone", 3, 20, "removed")]
        await frames.put(End("gone", 3, 40, "stopped"))  # from a capture that was only slow: it has ended already
        for n in range(16, 20):
            await frames.put(of("new", n))
        await frames.put(End("new", 3, 20, "stopped"))
        assert (await came.of(End, 2))[1:] == [End("new", 3, 20, "stopped")]
        assert [each.t for each in came.each(Window) if each.stream == "new"] == [0, 1]
        process.publish()
        assert process.counters.gauges()["streams_open"] == 1
        came.close()
