"""A box that lost its power comes back: whatever is left of its state, the graph answers, and says what was lost."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

from tests.graph.command import up
from tests.graph.harness import Endpoints, Material, edge_tree, free_ports, until


def tree(folder: Path, material: Material) -> dict[str, Any]:
    """Everything that keeps something: answers, events, a spool whose target is away, a month's count."""
    edge = edge_tree(folder, material, Endpoints(*(f"tcp://127.0.0.1:{port}" for port in free_ports(3))))
    edge["uplink"]["adaptive"] = {"gb_month": 1.0}
    edge["events"] = {"min_s": 0.1, "gap_s": 0.0, "background": "", "enter": 0.01, "leave": 0.01}
    nowhere = f"http://127.0.0.1:{free_ports(1)[0]}/"
    edge["sinks"] += [
        {"name": "seen", "what": "events", "sink": {"kind": "jsonl", "path": str(folder / "events.jsonl")}},
        {"name": "away", "sink": {"kind": "webhook", "url": nowhere}},
    ]
    return edge


def half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def noise(path: Path) -> None:
    path.write_bytes(bytes(255 - byte for byte in path.read_bytes()))


DAMAGE = {"*.allowance": half, "*.events": noise, "*.segment": half, "acked": noise, "*.jsonl": half}


async def test_after_a_cut_of_power_the_graph_comes_back_whatever_is_left(material: Material, run_dir: Path) -> None:
    state, log, notify = run_dir / "state", run_dir / "log", run_dir / "notify"
    state.mkdir()
    async with up(tree(state, material), environment={"XDG_STATE_HOME": str(state)}) as command:
        await command.answered(8)
        await until(lambda: all(any(state.rglob(each)) for each in DAMAGE), "all have kept something")
        command.kill()
    for pattern, damage in DAMAGE.items():
        for path in state.rglob(pattern):
            damage(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(notify))
        systemd.setblocking(False)
        heard: list[str] = []

        def says(words: str) -> bool:
            while True:
                try:
                    heard.append(systemd.recv(10_000).decode())
                except BlockingIOError:
                    return any(words in each for each in heard)

        told = {"XDG_STATE_HOME": str(state), "NOTIFY_SOCKET": str(notify), "WATCHDOG_USEC": "1500000"}
        async with up(tree(state, material), environment=told, log=log) as command:
            await until(lambda: says("READY=1"), "systemd hears that it is ready")
            await until(lambda: says("STATUS=all is well"), "every process does its work")
            await command.answered(len(command.answers()) + 3)
            heard.clear()
            await until(lambda: says("WATCHDOG=1"), "the watchdog is fed")
    said = log.read_text()
    for never in ("process ended", "bug", "cannot go on"):
        assert f'"event": "{never}' not in said, said
    for lost in ("allowance", "events"):
        assert f'"what": "{lost}"' in said, said
