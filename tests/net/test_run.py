"""`clownfish lab run`: the real graph over a real link, and nothing left of it."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from tests.graph.harness import alive
from tests.net.tools import CLI, children, made_by, network_namespaces, run_cli, until


def test_edge_and_cloud_over_a_link_are_played_and_summed_up(tmp_path: Path) -> None:
    numbers = tmp_path / "numbers.json"
    done = run_cli("lab", "run", "shapes:test/0", "--seconds", "4", "--profile", "lan", "--json", str(numbers))
    assert done.returncode == 0, done.stderr
    assert "lan (" in done.stdout
    (result,) = json.loads(numbers.read_text())
    assert (result["method"], result["profile"], result["interrupted"]) == ("clownfish", "lan", False)
    assert sum(result["lags"].values()) > 1
    assert result["up_bytes"] > 20_000  # a few windows, as JPEG
    assert result["down_bytes"] > 1000
    assert set(result["accuracy"]) == {"live", "final"}
    assert {"local", "fusion", "router", "worker-0"} <= set(result["cpu"])
    assert result["latency_ms"]["p99"] >= result["latency_ms"]["p50"] > 0
    assert result["age_ms"]["p50"] > 0
    assert result["age_bound_ms"]["p50"] > 0


def test_cloud_only_answers_with_the_large_model_alone_and_sends_every_window(tmp_path: Path) -> None:
    numbers = tmp_path / "numbers.json"
    arguments = ("--seconds", "4", "--profile", "regional", "--method", "cloud-only", "--json", str(numbers))
    done = run_cli("lab", "run", "shapes:test/0", *arguments)
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(numbers.read_text())
    windows = (4 * 30 - 16) // 4 + 1
    lost = sum(count for reason, count in result["lost"].items() if reason != "missing")
    assert sum(result["lags"].values()) + lost == windows
    assert set(result["accuracy"]) == {"final"}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_of_an_experiment_that_was_stopped_whatever_the_signal(number: signal.Signals) -> None:
    command = [*CLI, "lab", "run", "shapes:test/0", "--profile", "lan"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        until(lambda: len(children(process.pid)) > 5, "the graph is starting")
        below = children(process.pid)
        spaces = made_by(process.pid, below)
        assert len(spaces) == 2
        process.send_signal(number)
    until(lambda: not any(map(alive, below)), "no process is left")
    until(lambda: not network_namespaces() & spaces, "no namespace is left, and with it no device")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("shapes:test/0", "--profile", "wifi"), "unknown network profile 'wifi'; known: abca"),
        (("shapes:test/0", "--method", "cloud"), "--method is 'cloud'; expected edge-only, cloud-only"),
        (("shapes:test/0", "--by", "hour"), "--by is 'hour'; expected time, video"),
        (("camera:0",), "camera:0 is live and never ends"),
    ],
)
def test_what_cannot_be_played_is_said(arguments: tuple[str, ...], says: str) -> None:
    done = run_cli("lab", "run", *arguments)
    assert done.returncode == 2
    assert says in done.stderr
