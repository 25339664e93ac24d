"""The live page of a real graph: what a viewer is told, what a browser shows, and who is kept out."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import struct
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from clownfish.lab.graph import pids_of
from tests.graph import harness
from tests.graph.harness import PATIENCE_S, Endpoints, Graph, Material, Tree, edge_tree, free_ports, until

pytest.importorskip("starlette", reason="extra web")
websockets = pytest.importorskip("websockets.asyncio.client", reason="extra web")
pytestmark = pytest.mark.graph

JPEG = b"\xff\xd8"
NUMBER = re.compile("^[1-9][0-9]*$")


def tree_of(run_dir: Path, material: Material, port: int, cloud: bool = True) -> Tree:
    """An edge with a page, a cloud in the same box, and a link between them."""
    near_control, near_data, control, data = (f"tcp://127.0.0.1:{port}" for port in free_ports(4))
    workers = f"ipc://{run_dir}/router-workers.ipc"
    tree = edge_tree(run_dir, material, Endpoints(near_control, near_data, workers) if cloud else None)
    tree["page"] = {"listen": f"127.0.0.1:{port}", "windows": 100}
    if cloud:
        tree["router"] = {"control": control, "data": data, "workers": workers}
        tree["worker"] = {"router": workers, "model": material.remote, "device": "cpu"}
        tree["link"] = {"control": near_control, "data": near_data, "to_control": control, "to_data": data}
    return tree


class Viewer:
    """One that looks, without a browser."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self.said: dict[str, Any] = {}
        self.rows: dict[int, dict[str, Any]] = {}
        self.pictures = 0

    async def follow(self) -> None:
        async for message in self._socket:
            (length,) = struct.unpack_from("<I", message)
            said = json.loads(message[4 : 4 + length])
            streams = said.pop("streams", {})
            self.said |= said
            for news in streams.values():
                if news["fresh"]:
                    self.rows.clear()
                for row in news["rows"]:
                    self.rows[row[0]] = dict(zip(self.said["columns"], row, strict=True))
            rest = message[4 + length :]
            while rest:
                number, size = struct.unpack_from("<HI", rest)
                assert number == 0
                assert rest[6:8] == JPEG
                self.pictures += 1
                rest = rest[6 + size :]


@asynccontextmanager
async def viewer(port: int) -> AsyncIterator[Viewer]:
    async with websockets.connect(f"ws://127.0.0.1:{port}/live", origin=f"http://127.0.0.1:{port}") as socket:
        looking = Viewer(socket)
        following = asyncio.ensure_future(looking.follow())
        try:
            yield looking
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


def request(port: int, path: str, headers: Mapping[str, str], body: bytes | None = None) -> tuple[int, str]:
    asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, dict(headers))
    try:
        with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.fixture
def run_dir() -> Iterator[Path]:
    path = harness.folder()
    yield path
    harness.remove(path)


async def test_a_viewer_sees_the_past_rewritten_and_cuts_the_link(run_dir: Path, material: Material) -> None:
    (port,) = free_ports(1)
    origin = {"Origin": f"http://127.0.0.1:{port}"}

    async def steer(**change: Any) -> tuple[int, str]:
        return await asyncio.to_thread(request, port, "/link", origin, json.dumps(change).encode())

    async with Graph(tree_of(run_dir, material, port)) as graph, viewer(port) as looking:
        await until(lambda: looking.pictures > 3, "frames are shown")
        await until(lambda: any(row["remote"] is not None for row in looking.rows.values()), "the cloud's answers are")
        rows = looking.rows.values
        await until(lambda: any((row["revision"] or 0) > 0 for row in rows()), "answers are corrected since")
        assert looking.said["names"] == ["cam"]
        own = os.nice(0)
        nicer = {name: psutil.Process(pid).nice() - own for name, pid in pids_of(graph.supervisor).items()}
        assert {name for name, by in nicer.items() if by == 10} == {"page", "router", "worker-0", "sink-answers"}
        assert {name for name, by in nicer.items() if by == 0} >= {"capture", "window", "local", "fusion", "uplink"}
        await until(lambda: "fusion" in looking.said.get("services", {}), "statuses come")
        assert (await steer(rate_mbit=50, delay_ms=5))[0] == 200
        status, said = await steer(cut=True)
        assert (status, json.loads(said)["cut"]) == (200, True)
        await until(lambda: looking.said["link"]["cut"], "all are told that it is cut")
        await until(lambda: graph.text("uplink") != "connected", "the cloud is gone")
        newest = max(looking.rows)
        await until(lambda: max(looking.rows) > newest + 8, "the edge goes on")
        assert (await steer(cut=False))[0] == 200
        sent = graph.counter("uplink", "windows_answered")
        await until(lambda: graph.counter("uplink", "windows_answered") > sent + 2, "the cloud answers again")
        for wrong, why in (({"rate_mbit": 0}, "rate_mbit is 0"), ({"speed": 1}, "unknown key"), ({"cut": 1}, "cut is")):
            status, said = await steer(**wrong)
            assert status == 400
            assert why in said


async def test_who_should_not_look_does_not(run_dir: Path, material: Material) -> None:
    (port,) = free_ports(1)
    async with Graph(tree_of(run_dir, material, port, cloud=False)) as graph:
        ask = lambda *arguments: asyncio.to_thread(request, port, *arguments)  # noqa: E731
        assert (await ask("/", {}))[0] == 200
        assert graph.counter("page", 'refused{reason="access"}') == 0
        assert (await ask("/", {"Host": "evil.example"}))[0] == 403
        assert graph.counter("page", 'refused{reason="access"}') == 1
        assert (await ask("/link", {"Origin": f"http://127.0.0.1:{port}"}, b"{}"))[0] == 404  # there is none to steer
        assert (await ask("/../../etc/passwd", {}))[0] == 404
        with pytest.raises(Exception, match=r"rejected|403"):
            await websockets.connect(f"ws://127.0.0.1:{port}/live", origin="http://evil.example")


async def test_a_browser_shows_answers_and_survives_a_restart(run_dir: Path, material: Material) -> None:
    browsers = pytest.importorskip("playwright.async_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("there is no Chromium on this machine")
    (port,) = free_ports(1)
    tree = tree_of(run_dir, material, port, cloud=False)
    async with browsers.async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        try:
            page = await browser.new_page(viewport={"width": 390, "height": 844})
            wrong: list[str] = []
            page.on("pageerror", lambda error: wrong.append(str(error)))
            answer, state = page.locator(".badge"), page.locator("#state")
            expect, patience_ms = browsers.expect, 1000 * PATIENCE_S
            for visit in range(2):
                async with Graph(tree):
                    if not visit:
                        await page.goto(f"http://127.0.0.1:{port}/")
                    await expect(state).to_have_class(re.compile("good"), timeout=patience_ms)
                    await expect(answer).to_have_attribute("data-t", NUMBER, timeout=patience_ms)
                    shown = page.locator(".video")
                    await expect(shown).to_have_attribute("data-pictures", NUMBER, timeout=patience_ms)
                    assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "it fits"
                await expect(state).to_have_class(re.compile("bad"), timeout=patience_ms)
            assert wrong == []
        finally:
            await browser.close()
