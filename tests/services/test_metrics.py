"""The metrics process by itself: a token, a port that is taken, a supervisor that is silent."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from clownfish.bus import Bus
from clownfish.config import validate
from clownfish.errors import ConfigError
from clownfish.health import SUPERVISOR, Seen, judge, verdict_gauges
from clownfish.messages import Status
from clownfish.process import STATUS_SOCKET, WATCH_SOCKET
from clownfish.settings import Config, to_tree
from tests.graph import harness
from tests.graph.harness import free_ports
from tests.graph.http import fetch


@pytest.fixture
def run_dir() -> Iterator[Path]:
    path = harness.folder()
    yield path
    harness.remove(path)


def configured(run_dir: Path, **metrics: Any) -> Config:
    return validate({"graph": {"run_dir": str(run_dir)}, "worker": {"model": "x"}, "metrics": metrics}, "test")


@asynccontextmanager
async def started(config: Config) -> AsyncIterator[tuple[asyncio.subprocess.Process, Any, Any]]:
    """The process, where its statuses come, and where it hears others' from."""
    run_dir = config.run_dir()
    (run_dir / "config.json").write_text(json.dumps(to_tree(config)))
    bus = Bus(lambda name: None)
    inbox = bus.inbox(config.ipc(STATUS_SOCKET), "status", (Status,))
    watch = bus.publisher(config.ipc(WATCH_SOCKET), "watch")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.metrics", "--config", str(run_dir / "config.json"),
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process, inbox.__aiter__(), watch
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        bus.close(0)


async def said(statuses: Any, text: str) -> Status:
    """Its next status with that text."""

    async def wait() -> Status:
        while True:
            status: Status = await statuses.__anext__()
            if text in status.text:
                return status

    return await asyncio.wait_for(wait(), 45)


def supervisor(process: str) -> Status:
    seen = {process: Seen("ready", 0.1)}
    return Status(SUPERVISOR, 1, "ready", "", {}, verdict_gauges(seen, judge(seen)), {})


async def test_a_token_guards_what_is_measured_and_why_it_is_unwell(run_dir: Path) -> None:
    (run_dir / "token").write_text("secret\n")
    port = free_ports(1)[0]
    config = configured(run_dir, listen=f"127.0.0.1:{port}", token_file=str(run_dir / "token"))
    async with started(config) as (_, statuses, watch):
        await said(statuses, "/metrics")
        url = f"http://127.0.0.1:{port}"
        assert (await fetch(f"{url}/metrics"))[0] == 401
        assert "clownfish_build_info" in (await fetch(f"{url}/metrics", token="secret"))[1]
        assert await fetch(f"{url}/other", token="secret") == (404, "/metrics, /livez or /readyz\n")
        status, text = await fetch(f"{url}/livez")
        assert (status, json.loads(text)) == (503, {"live": False})
        _, text = await fetch(f"{url}/livez", token="secret")
        assert json.loads(text)["reasons"] == {SUPERVISOR: "says nothing"}
        for _ in range(100):
            watch.publish(supervisor("window"))
            if (await fetch(f"{url}/readyz"))[0] == 200:
                break
            await asyncio.sleep(0.1)
        assert await fetch(f"{url}/readyz") == (200, '{"ready": true}\n')


async def test_a_port_that_is_taken_is_waited_for_and_nothing_else_is_disturbed(run_dir: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        async with started(configured(run_dir, listen=listen)) as (process, statuses, _):
            status = await said(statuses, f"cannot listen on {listen}")
            assert status.state == "ready"
            assert process.returncode is None
            other.close()
            assert (await said(statuses, f"http://{listen}/metrics")).state == "ready"


@pytest.mark.parametrize("content", [None, "", "\n"])
async def test_a_token_file_that_holds_none_is_for_a_user_to_mend(run_dir: Path, content: str | None) -> None:
    if content is not None:
        (run_dir / "token").write_text(content)
    async with started(configured(run_dir, token_file=str(run_dir / "token"))) as (process, statuses, _):
        assert "metrics.token_file" in (await said(statuses, "token")).text
        assert await process.wait() == 2


@pytest.mark.parametrize(
    ("metrics", "right"),
    [
        ({}, True),
        ({"listen": "[::1]:9464"}, True),
        ({"listen": "localhost:9464"}, True),
        ({"listen": "0.0.0.0:9464"}, False),
        ({"listen": "0.0.0.0:9464", "insecure": True}, True),
        ({"listen": "edge.example:9464"}, False),
        ({"listen": "0.0.0.0:9464", "token_file": "x"}, True),
        ({"listen": "9464"}, False),
    ],
)
def test_other_hosts_need_a_token_unless_told_otherwise(run_dir: Path, metrics: dict[str, Any], right: bool) -> None:
    if right:
        assert configured(run_dir, **metrics).metrics is not None
    else:
        with pytest.raises(ConfigError, match=r"metrics"):
            configured(run_dir, **metrics)
