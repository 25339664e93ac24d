"""`clownfish lab run`: the real graph over a real link, and nothing left of it."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from tests.net.tools import CLI, alive, children, network_namespaces, run_cli, until


def test_edge_and_cloud_over_a_link_are_played_and_summed_up(tmp_path: Path) -> None:
    numbers = tmp_path / "numbers.json"
    done = run_cli(
        *("lab", "run", "shapes:test/0", "--seconds", "7", "--profile", "lan", "--method", "clownfish"),
        *("--method", "edge-only", "--json", str(numbers)),
    )
    assert done.returncode == 0, done.stderr
    clownfish, edge_only = json.loads(numbers.read_text())
    assert (clownfish["method"], edge_only["method"]) == ("clownfish", "edge-only")
    assert clownfish["profile"] == "lan"
    assert sum(clownfish["lags"].values()) > 2
    assert clownfish["up_bytes"] > 20_000  # a few windows, as JPEG
    assert edge_only["up_bytes"] == 0
    assert set(clownfish["accuracy"]) == {"live", "final"}
    assert set(edge_only["accuracy"]) == {"live"}
    assert "worker-0" in clownfish["cpu"]
    assert "worker-0" not in edge_only["cpu"]


def test_cloud_only_answers_with_the_large_model_alone_and_sends_every_window(tmp_path: Path) -> None:
    numbers = tmp_path / "numbers.json"
    arguments = ("--seconds", "7", "--profile", "regional", "--method", "cloud-only", "--json", str(numbers))
    done = run_cli("lab", "run", "shapes:test/0", *arguments)
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(numbers.read_text())
    windows = (7 * 30 - 16) // 4 + 1
    lost = sum(count for reason, count in result["lost"].items() if reason != "missing")
    assert sum(result["lags"].values()) + lost == windows
    assert set(result["accuracy"]) == {"final"}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_of_an_experiment_that_was_stopped_whatever_the_signal(number: signal.Signals) -> None:
    before = network_namespaces()
    command = [*CLI, "lab", "run", "shapes:test/0", "--profile", "lan"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        until(lambda: len(children(process.pid)) > 5, "the graph is starting")
        below = children(process.pid)
        process.send_signal(number)
    until(lambda: not any(map(alive, below)), "no process is left")
    until(lambda: not network_namespaces() - before, "no namespace is left, and with it no device")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("shapes:test/0", "--profile", "wifi"), "unknown network profile 'wifi'; known: abca"),
        (("shapes:test/0", "--method", "cloud"), "--method is 'cloud'; expected edge-only, cloud-only"),
        (("camera:0",), "camera:0 is live and never ends"),
        (("no-such.toml",), "no-such.toml: cannot be read"),
        (("no-such.mp4",), "no-such.mp4"),
    ],
)
def test_what_cannot_be_played_is_said(arguments: tuple[str, ...], says: str) -> None:
    done = run_cli("lab", "run", *arguments)
    assert done.returncode == 2
    assert says in done.stderr
