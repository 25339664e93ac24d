"""`clownfish stream` without a graph that runs: what it says then, and what it can do all the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from clownfish.cli.app import app
from clownfish.cli.stream import from_here
from clownfish.config import load_config
from clownfish.errors import ConfigError
from clownfish.kept_streams import KeptStreams

CONFIG = """
graph = {{run_dir = "{run_dir}"}}
streams = [{{name = "cam", source = "camera:0"}}, {{name = "door", source = "a.mp4"}}]
local = {{model = "zoo:x/local"}}
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    file = tmp_path / "edge.toml"
    file.write_text(CONFIG.format(run_dir=tmp_path / "run"))
    return file


def changed(config: Path) -> None:
    """Something was added and removed while the graph ran."""
    kept = KeptStreams(load_config(config))
    kept.keep(kept.adding({"name": "new", "source": "rtsp://me:secret@host/1"}, "test"))
    kept.keep(kept.removing("door", "test"))


@pytest.mark.parametrize("command", [["add", "new", "b.mp4"], ["rm", "cam"], ["list"], ["reset"]])
def test_without_a_graph_one_line_says_so(command: list[str], config: Path) -> None:
    with pytest.raises(ConfigError, match=r"no graph runs in .*; name its configuration file"):
        CliRunner().invoke(app, ["stream", *command], catch_exceptions=False)
    if command[0] in ("add", "rm"):
        with pytest.raises(ConfigError, match=r"no graph runs in .*; start it with `clownfish up .*edge.toml`"):
            CliRunner().invoke(app, ["stream", *command, "--config", str(config)], catch_exceptions=False)


def test_the_exit_status_is_that_of_what_a_user_can_mend(config: Path) -> None:
    command = [sys.executable, "-m", "clownfish", "stream", "rm", "cam", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: no graph runs in ")


def test_the_streams_that_a_graph_will_have_are_listed(config: Path) -> None:
    changed(config)
    said = CliRunner().invoke(app, ["stream", "list", "--json", "--config", str(config)], catch_exceptions=False)
    listed = json.loads(said.output)
    assert [(each["name"], each["from"], each["source"]) for each in listed["streams"]] == [
        ("cam", "configured", "camera:0"),
        ("new", "added", "rtsp://***@host/1"),
    ]
    assert listed["removed"] == ["door"]
    said = CliRunner().invoke(app, ["stream", "list", "--config", str(config)], catch_exceptions=False)
    assert "configured, and removed since: door" in said.output


def test_back_to_the_configuration(config: Path) -> None:
    changed(config)
    invoke = ["stream", "reset", "--config", str(config)]
    assert CliRunner().invoke(app, invoke, catch_exceptions=False).output == "as configured\n"
    assert [stream.name for stream in KeptStreams(load_config(config)).config.streams] == ["cam", "door"]
    assert "nothing was added or removed" in CliRunner().invoke(app, invoke, catch_exceptions=False).output


def test_what_was_kept_and_cannot_be_read_is_reset_too(config: Path) -> None:
    changed(config)
    load_config(config).state_dir().joinpath("streams.json").write_text("{")
    invoke = ["stream", "reset", "--config", str(config)]
    assert CliRunner().invoke(app, invoke, catch_exceptions=False).output == "as configured\n"


@pytest.mark.parametrize("option", ["fps", ""])
def test_an_option_that_is_none_is_told(option: str, config: Path) -> None:
    with pytest.raises(ConfigError, match="expected KEY=VALUE"):
        CliRunner().invoke(app, ["stream", "add", "new", "b.mp4", "--option", option], catch_exceptions=False)


def test_a_path_that_is_there_from_here_is_one_from_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.mp4").touch()
    (tmp_path / "pictures").mkdir()
    assert from_here("a.mp4") == from_here("video:a.mp4") == str(tmp_path / "a.mp4")
    assert from_here("images:pictures") == f"images:{tmp_path / 'pictures'}"
    for source in ("b.mp4", "camera:0", "rtsp://host/1", "webcam:0", str(tmp_path / "a.mp4"), "puppets:test/0"):
        assert from_here(source) == source
