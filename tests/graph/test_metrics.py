"""A real Prometheus scrapes a real graph; dashboard and rules ask only for what is there; kill -9 turns no counter
back; a process that hangs is told of, to systemd and to Kubernetes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import urllib.parse
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from typer.testing import CliRunner

from clownfish import health
from clownfish.cli.app import app
from clownfish.measures import MEASURES
from tests.graph import harness
from tests.graph.harness import Graph, Material, free_ports, until
from tests.graph.http import fetch
from tests.graph.killing import remote_results, whole_tree

parser = pytest.importorskip("prometheus_client.parser", reason="needs prometheus-client: pip install -e .[dev]")
pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "deploy" / "grafana" / "clownfish.json"
RULES = ROOT / "deploy" / "prometheus" / "clownfish.rules.yml"
VARIABLES = {"$instance": ".*", "$stream": ".*", "$__rate_interval": "10s", "$__range": "1m"}
SILENT_S = 2.5
"""In place of the true one, so that a test sees a process hang."""


@dataclass
class Watched:
    """A graph, where its metrics are, and what systemd would hear."""

    graph: Graph
    url: str
    said: list[str]
    """What systemd has heard since it was last cleared."""
    config: Path

    async def samples(self) -> dict[str, float]:
        """Every counter and every part of a histogram."""
        _, page = await fetch(f"{self.url}/metrics")
        found = {}
        for family in parser.text_string_to_metric_families(page):
            for sample in family.samples if family.type in ("counter", "histogram") else ():
                found[f"{sample.name} {sorted(sample.labels.items())}"] = sample.value
        return found


async def until_status(url: str, status: int) -> None:
    for _ in range(300):
        with contextlib.suppress(OSError):  # it does not listen yet
            if (await fetch(url))[0] == status:
                return
        await asyncio.sleep(0.1)
    raise AssertionError(f"{url} does not answer {status} after 30 s")


async def until_reasons(url: str, expected: list[str]) -> None:
    """A machine that stands still for seconds makes them all silent, for a moment."""
    reasons: list[str] = []
    for _ in range(300):
        reasons = list(json.loads((await fetch(url))[1])["reasons"])
        if reasons == expected:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"{url} gives {reasons} for reasons, and not {expected} after 30 s")


@pytest.fixture(scope="module")
def systemd() -> Iterator[tuple[socket.socket, str]]:
    folder = harness.folder()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(folder / "notify"))
        listener.setblocking(False)
        yield listener, str(folder / "notify")
    harness.remove(folder)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def watched(run_dir: Path, material: Material, systemd: tuple[socket.socket, str]) -> AsyncIterator[Watched]:
    port = free_ports(1)[0]
    tree = whole_tree(run_dir, material) | {"metrics": {"listen": f"127.0.0.1:{port}"}}
    config = run_dir / "graph.json"
    config.write_text(json.dumps(tree))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(health, "SILENT_S", SILENT_S)
        patch.setenv("NOTIFY_SOCKET", systemd[1])
        patch.setenv("WATCHDOG_USEC", "3000000")
        said: list[str] = []
        asyncio.get_running_loop().add_reader(systemd[0], lambda: said.append(systemd[0].recv(10_000).decode()))
        async with Graph(tree) as graph:
            await until(lambda: remote_results(graph) > 0, "remote answers arrive")
            yield Watched(graph, f"http://127.0.0.1:{port}", said, config)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def prometheus(watched: Watched, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("needs prometheus on the PATH (apt install prometheus)")
    folder, port = tmp_path_factory.mktemp("prometheus"), free_ports(1)[0]
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [
            {"job_name": "clownfish", "static_configs": [{"targets": [watched.url.removeprefix("http://")]}]}
        ],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    server = await asyncio.create_subprocess_exec(
        program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}", "--log.level=error",
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    await until_status(f"{url}/-/ready", 200)
    yield url
    server.terminate()
    await server.wait()


async def query(prometheus: str, expression: str) -> list[Any]:
    status, text = await fetch(f"{prometheus}/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
    said = json.loads(text)
    assert status == 200, f"{expression}: {said.get('error')}"
    assert said["status"] == "success"
    assert not said.get("warnings")
    result: list[Any] = said["data"]["result"]
    return result


async def scraped(prometheus: str, names: str = "clownfish_.+") -> set[str]:
    """Names of all that Prometheus has of the graph now."""
    found = await query(prometheus, f'count by (__name__) ({{__name__=~"{names}"}})')
    return {each["metric"]["__name__"] for each in found}


async def until_scraped(prometheus: str, name: str) -> set[str]:
    for _ in range(200):
        names = await scraped(prometheus)
        if name in names:
            return names
        await asyncio.sleep(0.2)
    raise AssertionError(f"Prometheus has no {name} after 40 s")


def expressions(text: str) -> list[str]:
    """Every expression of a dashboard, its variables filled in."""
    found = re.findall(r'"expr": ("(?:[^"\\]|\\.)*")', text)
    expressions = [json.loads(each) for each in found]
    for name, value in VARIABLES.items():
        expressions = [each.replace(name, value) for each in expressions]
    return expressions


async def test_a_drop_a_restart_and_all_that_the_dashboard_and_the_rules_ask_for_is_in_prometheus(
    watched: Watched, prometheus: str
) -> None:
    """`local` is stopped until windows are dropped for it, so that drops are seen, too."""
    dropped = 'dropped{socket="local",reason="full"}'
    watched.graph.signal("local", signal.SIGSTOP)
    try:
        await until(lambda: watched.graph.counter("window", dropped) > 0, "windows are dropped")
    finally:
        watched.graph.signal("local", signal.SIGCONT)
    names = await until_scraped(prometheus, "clownfish_messages_dropped_total")
    rules = re.sub(r"\$\w+|{{.*?}}", "", RULES.read_text(encoding="utf-8"))
    dashboard = expressions(DASHBOARD.read_text(encoding="utf-8"))
    assert len(dashboard) > 40
    asked = set(re.findall(r"\bclownfish_[a-z0-9_]+", " ".join([*dashboard, rules])))
    assert asked - names == set(), "asked for, and in no scrape"
    empty = [each for each in dashboard if "changes(" not in each]  # restarts are shown when there are any
    for _ in range(100):  # a rate needs two scrapes
        empty = [each for each in empty if not await query(prometheus, each)]
        if not empty:
            break
        await asyncio.sleep(0.2)
    assert empty == [], "these panels show nothing"
    status, text = await fetch(f"{prometheus}/api/v1/rules")
    groups = json.loads(text)["data"]["groups"]
    assert status == 200
    assert [rule["lastError"] for group in groups for rule in group["rules"] if rule.get("lastError")] == []
    assert {"ClownfishHangs", "ClownfishCloudGone"} <= {rule["name"] for group in groups for rule in group["rules"]}


async def test_every_metric_of_a_running_graph_is_described(watched: Watched) -> None:
    _, page = await fetch(f"{watched.url}/metrics")
    families = list(parser.text_string_to_metric_families(page))
    assert [family.name for family in families if not family.documentation] == []
    assert next(f for f in families if f.name == "clownfish_unreadable_samples").samples[0].value == 0
    known = {"_".join(filter(None, ("clownfish", who, m.metric))) for m in MEASURES for who in m.services or ("",)}
    own = {"clownfish_build_info", "clownfish_unreadable_samples"}
    assert {family.name for family in families} <= known | own


async def test_no_counter_and_no_histogram_goes_back_when_a_process_is_killed(watched: Watched) -> None:
    graph, before = watched.graph, await watched.samples()
    assert any("_bucket" in name for name in before)
    for process in ("fusion", "local", "metrics"):
        dead = graph.signal(process, signal.SIGKILL)
        await until(lambda process=process, dead=dead: graph.is_back(process, dead), f"{process} is back")  # type: ignore[misc]
        await graph.answers(2)
        await until_read(watched, f"clownfish_supervisor_restarts_total [('process', '{process}')]", 1)
        after = await watched.samples()
        back = {name: (count, after.get(name)) for name, count in before.items() if after.get(name, -1) < count}
        assert back == {}, f"went back, or are gone, after {process} was killed"
        before = after


async def until_read(watched: Watched, name: str, value: float) -> None:
    for _ in range(100):
        try:
            if (await watched.samples()).get(name, -1) >= value:
                return
        except OSError:  # it has just been killed
            pass
        await asyncio.sleep(0.1)
    raise AssertionError(f"{name} is not {value} after 10 s")


async def command(*arguments: str) -> Any:
    """The command line, in a thread of this process: its start is tested elsewhere, and takes a second each time."""
    return await asyncio.get_running_loop().run_in_executor(None, CliRunner().invoke, app, list(arguments))


async def test_the_terminal_is_told_how_the_graph_fares(watched: Watched) -> None:
    await until(lambda: watched.graph.supervisor.gauge("fusion", 'beta{stream="cam"}') is not None, "β is known")
    done = await command("status", str(watched.config), "--json", "--seconds", "1.1")
    assert done.exit_code == 0, done.output
    said = json.loads(done.output)
    assert {line["process"] for line in said["processes"]} == set(watched.graph.supervisor.children)
    (stream,) = said["streams"]
    assert stream["stream"] == "cam"
    assert stream["answers_per_s"] > 0
    assert 0 <= stream["beta"] <= 1
    assert said["cloud"]["windows_sent"] >= said["cloud"]["windows_answered"] > 0
    done = await command("status", str(watched.config), "--seconds", "1.1")
    assert done.exit_code == 0, done.output
    for word in ("Processes", "Streams", "Cloud", "cam", "worker-0", "connected"):
        assert word in done.output


async def test_a_process_that_hangs_makes_the_graph_not_live_and_the_watchdog_hungry(watched: Watched) -> None:
    assert sum("READY=1" in each for each in watched.said) == 1
    await until_status(f"{watched.url}/livez", 200)
    assert json.loads((await fetch(f"{watched.url}/livez"))[1]) == {"live": True, "reasons": {}}
    assert (await command("health", "live", str(watched.config))).exit_code == 0
    watched.graph.signal("window", signal.SIGSTOP)
    try:
        await until_reasons(f"{watched.url}/livez", ["window"])
        watched.said.clear()
        assert (await fetch(f"{watched.url}/livez"))[0] == 503
        assert (await fetch(f"{watched.url}/readyz"))[0] == 503
        done = await command("health", "live", str(watched.config))
        assert (done.exit_code, "window has said nothing" in done.output) == (1, True)
        heard = "; ".join(watched.said)
        assert "WATCHDOG" not in heard
        assert "STATUS=window: has said nothing" in heard
    finally:
        watched.graph.signal("window", signal.SIGCONT)
    await until_status(f"{watched.url}/livez", 200)
    await until_status(f"{watched.url}/readyz", 200)
    assert "WATCHDOG=1" in watched.said


def environment(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


async def test_children_do_not_speak_to_systemd_in_the_graphs_place(watched: Watched) -> None:
    assert b"NOTIFY_SOCKET" not in environment(watched.graph.pid("window"))
    assert "NOTIFY_SOCKET" in os.environ
