"""A camera that dies, freezes and changes, by GStreamer's RTSP server; longer: `clownfish bench --only cameras`."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import pytest

from clownfish.lab.cameras import Strike, missing, trial
from tests.graph.harness import Graph, Material, alive, edge_tree, until
from tests.graph.ip_camera import ip_camera

WHY_NOT = missing()
STRIKES: tuple[Strike, ...] = ("killed", "frozen", "changed")


@pytest.mark.skipif(WHY_NOT != "", reason=WHY_NOT)
async def test_a_camera_that_dies_freezes_and_changes_is_answered_in_new_epochs_and_no_event_goes_over_a_gap(
    fresh: Path, material: Material
) -> None:
    async with trial(fresh, material.local, width=32, height=32, stall_s=2.5, retry_s=0.1) as camera:
        for what in STRIKES:
            await camera.strike(what, frozen_s=0.0)
        assert len(camera.told.first) >= 4
        assert await camera.settle() == []
        assert camera.counter("stalls") >= 1
        assert camera.counter("source_retries") >= 2
        for epoch in camera.told.first:
            live = [answer["t"] for answer in camera.told.answers if answer["epoch"] == epoch]
            assert live == sorted(set(live))


async def test_a_read_that_hangs_is_given_up_whatever_it_hangs_in_and_another_process_reads_on(
    fresh: Path, material: Material
) -> None:
    """Its process is stopped, as one in a driver that hangs: no time-out of a library helps there. Nor is the password
    in the camera's address ever shown."""
    async with ip_camera() as camera:
        url = camera.url.replace("http://", "http://ann:swordfish@")
        tree = edge_tree(fresh, material, None, source=url, loop=False)
        tree["capture"] |= {"stall_s": 2.0, "retry_s": 0.1}
        async with Graph(tree) as graph:
            await graph.answers(3, "the camera is seen")
            epochs = {result["epoch"] for result in graph.live()}
            await until(lambda: len(children(graph.pid("capture"))) == 1, "one process reads it")
            [hung] = children(graph.pid("capture"))
            os.kill(hung, signal.SIGSTOP)
            await until(lambda: {r["epoch"] for r in graph.live()} > epochs, "it is seen again, in a new epoch")
            await until(lambda: not alive(hung), "who hung is killed")
            await until(lambda: graph.counter("capture", "readers_killed") >= 1, "and counted")
            assert graph.counter("capture", "stalls") >= 1
            assert graph.counter("capture", 'epochs{reason="stall"}') >= 1
            assert "is given up" in graph.log("capture")
            camera.hang_up()
            await until(lambda: graph.counter("capture", "source_errors") >= 2, "its end is said")
            logs = [path.read_text(errors="replace") for path in graph.folder.glob("*.log")]
            assert any("***@127.0.0.1" in log for log in logs)
            assert not any("swordfish" in log for log in logs)
            statuses = [child.status for child in graph.supervisor.children.values()]
            assert "swordfish" not in repr(statuses)


def children(pid: int) -> list[int]:
    """Processes that this one started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[1]) == pid and fields[0] not in "ZX":
                found.append(int(path.parent.name))
    return found
