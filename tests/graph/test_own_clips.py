"""A new user's path: class folders with short clips → a pair → SimiNet → `clownfish run` on a long video, in five
commands, none of which needs a file to be edited."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import av
import pytest
from typer.testing import CliRunner

from clownfish import shapes
from clownfish.cli.app import app
from clownfish.messages import Pixels
from clownfish.models.description import read_description, read_siminet_description

ROOT = Path(__file__).parents[2]
CLASSES = ("bob", "clockwise", "swing")
CLIPS = 6
"""Of each class."""


def clownfish(*arguments: str) -> str:
    """What the command prints; those that train run here, where torch is loaded already."""
    if arguments[0] == "train":
        result = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output
    command = [sys.executable, "-m", "clownfish", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def write(path: Path, frames: Iterable[Pixels]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.width, stream.height = 172, 128
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Short clips in class folders, and a long video with its truth."""
    found: dict[str, int] = defaultdict(int)
    index = 0
    while len(found) < len(CLASSES) or min(found.values()) < CLIPS:
        drawn = shapes.stream("train", index)
        for start, _, label in drawn.intervals:
            if label in CLASSES and found[label] < CLIPS:
                found[label] += 1
                write(tmp_path / "clips" / label / f"{found[label]}.avi", drawn.frames(start, start + 40))
        index += 1
    long = shapes.stream("test", 0)
    shown = [each for each in long.intervals if each.label in CLASSES][:3]
    write(tmp_path / "long.mp4", (frame for each in shown for frame in long.frames(each.start, each.start + 40)))
    rows = [f"{40 * n},{40 * n + 40},{each.label}" for n, each in enumerate(shown)]
    (tmp_path / "long.csv").write_text("\n".join(["start_frame,end_frame,label", *rows]))
    return tmp_path


def test_class_folders_become_a_pair_that_runs_in_five_commands(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))))
    said = clownfish("train", "init", "clips", "--output", "my", "--quick")
    assert "18 clips of 3 classes: bob 6, clockwise 6, swing 6" in said
    for role in ("remote", "local", "siminet"):
        assert f"clownfish train {role} --config my/{role}.toml" in said
        clownfish("train", role, "--config", f"my/{role}.toml")
    said = clownfish("run", "long.mp4", "--pair", "my/pair.toml", "--fast", "--no-baselines")
    for method in ("fused live", "fused final", "27 / 27 / 0 / 0"):
        assert method in said
    local = read_description(str(folder / "my" / "local"))
    assert local.classes == read_description(str(folder / "my" / "remote")).classes == CLASSES
    assert read_siminet_description(str(folder / "my" / "siminet")).classifier == local.name
    assert "terms: those of your data" in (folder / "my" / "local.md").read_text()
