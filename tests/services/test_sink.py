"""sink, with the test in the place of fusion: results and events to a file, what is still on its way at the end, a
target that hangs, and a process that is killed."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clownfish.bus import Bus, Outbox
from clownfish.config import validate
from clownfish.errors import ConfigError
from clownfish.messages import End, FusedResult
from clownfish.rates import UNKNOWN_FPS, read_rate, write_rate
from clownfish.settings import to_tree
from tests.graph.harness import Material, Tree, edge_tree, until
from tests.services.harness import neighbour, serving
from tests.sink_targets import HttpServer, Mosquitto, broker, server, subscribed

__all__ = ["broker", "server"]  # fixtures

CLASSES = ("bow", "clap", "wave")
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What sinks keep over a restart lies in the test's own folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def tree(run_dir: Path, material: Material, what: str = "events", mode: str = "revisions", **sink: Any) -> Tree:
    options = sink or {"kind": "jsonl", "path": str(run_dir / "out.jsonl")}
    made = edge_tree(run_dir, material, None)
    return {
        **made,
        "fusion": {"horizon": 8},
        "events": {"background": "bow", "min_s": 0.5, "gap_s": 0.0},
        "sinks": [{"name": "out", "what": what, "mode": mode, "sink": options}],
    }


def answer(t: int, label: str = "wave", revision: int = 0, final: bool = False) -> FusedResult:
    p = np.array([0.8 if name == label else 0.1 for name in CLASSES], np.float32)
    return FusedResult("cam", 7, t, revision, p, label, 0.8, None, 1.0, 0.0, None, "local", final)


def labels(*runs: tuple[str, int]) -> list[str]:
    return [label for label, length in runs for _ in range(length)]


def lines(run_dir: Path) -> list[dict[str, Any]]:
    path = run_dir / "out.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def to_sink(bus: Bus, run_dir: Path) -> Outbox:
    return bus.outbox(f"ipc://{run_dir}/sink-out.ipc", "out", hwm=1000)


async def give(outbox: Outbox, said: list[str]) -> None:
    """All windows, in real time's order, and then their closing answers."""
    for t, label in enumerate(said):
        await outbox.put(answer(t, label))
    for t, label in enumerate(said):
        await outbox.put(answer(t, label, 1, final=True))
    await outbox.put(End("cam", 7, 4 * len(said) + 12, "end"))


SAID = labels(("bow", 4), ("wave", 10), ("bow", 6), ("clap", 8), ("bow", 3))


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("live", [("4", "ongoing"), ("4", "ended"), ("20", "ongoing"), ("20", "ended")]),
        ("final", [("4", "ended"), ("20", "ended")]),
        ("revisions", [("4", "ongoing"), ("4", "ended"), ("20", "ongoing"), ("20", "ended"), ("4", "ended"),
                       ("20", "ended")]),
    ],
)  # fmt: skip
async def test_a_sink_of_events_gets_them_as_it_wants_them(
    run_dir: Path, local_only: Material, mode: str, expected: list[tuple[str, str]]
) -> None:
    write_rate(run_dir, "cam", 20.0)
    async with neighbour() as bus, serving("sink", tree(run_dir, local_only, mode=mode), "out") as process:
        outbox = to_sink(bus, run_dir)
        await give(outbox, SAID)
        await until(lambda: process.counters.get("streams_ended") == 1, "the end", 40)
        said = lines(run_dir)
    if mode == "revisions":  # the order in which the two epochs of saying them mix is not at stake here
        assert sorted((e["id"][6:], e["state"]) for e in said) == sorted(expected)
    else:
        assert [(e["id"][6:], e["state"]) for e in said] == expected
    if mode == "final":
        assert [(e["label"], e["start_s"], e["end_s"]) for e in said] == [
            ("wave", (4 * 4 + 12) / 20, (13 * 4 + 16) / 20), ("clap", (20 * 4 + 12) / 20, (27 * 4 + 16) / 20)
        ]  # fmt: skip
        assert all(e["final"] and e["said_at"].endswith("Z") for e in said)


async def test_what_is_still_on_its_way_when_the_process_is_told_to_end_is_written(
    run_dir: Path, local_only: Material
) -> None:
    async with neighbour() as bus:
        async with serving("sink", tree(run_dir, local_only, "results"), "out"):
            outbox = to_sink(bus, run_dir)
            for t in range(200):
                await outbox.put(answer(t))
        assert [line["t"] for line in lines(run_dir)] == list(range(200))


async def test_a_target_that_hangs_costs_no_answer_and_nobody_waits(
    run_dir: Path, local_only: Material, server: HttpServer
) -> None:
    server.hang.clear()
    asked = tree(run_dir, local_only, "results", kind="webhook", url=server.url, timeout_s=0.5)
    async with neighbour() as bus, serving("sink", asked, "out") as process:
        outbox = to_sink(bus, run_dir)
        for t in range(1500):  # more than all queues on the way hold
            await asyncio.wait_for(outbox.put(answer(t)), 10)
        await until(lambda: process.counters.get("written") == 1500, "all are taken", 40)
        process.publish()
        assert process.counters.gauges()["spool_messages"] >= 1499
        server.hang.set()


async def run_sink(config: Path) -> asyncio.subprocess.Process:
    command = [sys.executable, "-m", "services.sink", "--config", str(config), "--name", "out"]
    return await asyncio.create_subprocess_exec(*command, cwd=ROOT, stderr=asyncio.subprocess.DEVNULL)


async def test_a_sink_that_is_killed_again_and_again_loses_no_event_and_ends_each_once(
    run_dir: Path, local_only: Material, broker: Mosquitto
) -> None:
    """What the killed process had read and not yet written dies with it: so the test lets it write before each kill."""
    asked = tree(run_dir, local_only, kind="mqtt", host="127.0.0.1", port=broker.port, retry_s=0.05)
    asked["fusion"] = {"horizon": 8}
    config = run_dir / "config.json"
    config.write_text(json.dumps(to_tree(validate(asked, "test"))))
    said = labels(*[("wave", 6), ("bow", 4)] * 6)
    async with neighbour() as bus, subscribed(broker, "clownfish/edge/cam/event") as heard:
        outbox = to_sink(bus, run_dir)
        done = 0
        for part in range(3):
            process = await run_sink(config)
            upto = (part + 1) * len(said) // 3 - (3 if part < 2 else 0)  # in the middle of an event
            for t in range(done, upto):
                await outbox.put(answer(t, said[t]))
                if t >= 8:
                    await outbox.put(answer(t - 8, said[t - 8], 1, final=True))
            done = upto
            if part == 2:
                for t in range(done - 8, done):
                    await outbox.put(answer(t, said[t], 1, final=True))
                await outbox.put(End("cam", 7, 4 * done + 12, "end"))
            expected = [f"cam/7/{t}" for t in range(0, upto - 3, 10)]
            await until(lambda: {e["id"] for e in heard.on("/event")} >= set(expected), f"part {part}", 30)  # noqa: B023
            if part == 2:
                await until(lambda: len({e["id"] for e in heard.on("/event") if e["final"]}) == 6, "all final", 40)
            process.send_signal(signal.SIGKILL)
            await process.wait()
    events = heard.on("/event")
    finals = [(e["id"], e["state"], e["start_frame"], e["end_frame"]) for e in events if e["final"]]
    first = list(dict.fromkeys(finals))
    assert first == [(f"cam/7/{t}", "ended", 4 * t + 12, 4 * (t + 5) + 16) for t in range(0, 60, 10)]
    revisions = list(dict.fromkeys((e["id"], e["revision"]) for e in events))
    assert all(revisions.index((name, r - 1)) < revisions.index((name, r)) for name, r in revisions if r)


async def test_an_option_that_no_sink_has_is_told_with_those_there_are(run_dir: Path, local_only: Material) -> None:
    with pytest.raises(ConfigError, match=r"sink 'jsonl': .*'pth'.*path"):
        async with serving("sink", tree(run_dir, local_only, kind="jsonl", pth="x"), "out"):
            pass
    with pytest.raises(ConfigError, match="no such sink"):
        async with serving("sink", tree(run_dir, local_only), "other"):
            pass


def test_a_rate_that_is_not_there_or_not_sane_is_the_usual_one(tmp_path: Path) -> None:
    assert read_rate(tmp_path, "cam") == UNKNOWN_FPS
    write_rate(tmp_path, "cam", 12.5)
    assert read_rate(tmp_path, "cam") == 12.5
    for text in ("", "nan", "-3", "fast"):
        (tmp_path / "cam.fps").write_text(text)
        assert read_rate(tmp_path, "cam") == UNKNOWN_FPS
    write_rate(tmp_path / "none", "cam", 1.0)  # a run folder that is gone stops nobody
    assert not (tmp_path / "none").exists()
