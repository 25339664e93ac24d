"""`clownfish eval dump`, end to end: streams one by one and side by side, killed and gone on with."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from clownfish.errors import ClownfishError, ConfigError, DatasetError, ModelError, SourceError
from clownfish.evaluation.cli import eval_app
from clownfish.evaluation.cli.progress import WindowsBar
from clownfish.evaluation.dump import KINDS, TIMES, Dump, load_dump
from clownfish.evaluation.jobs import dump_all
from clownfish.evaluation.recorder import RecordSettings
from tests.test_evaluation import write_model
from tests.test_evaluation_journal import same_answers
from tests.videos import write_video

PATIENCE_S = 120


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three videos with ground truth, and models without training."""
    root = tmp_path_factory.mktemp("jobs")
    for name, frames in (("a", 60), ("b", 42), ("c", 31)):
        write_video(root / f"{name}.mp4", frames)
        (root / f"{name}.csv").write_text(f"start_frame,end_frame,label\n0,30,bow\n30,{frames},wave\n")
    write_model(root / "local", 1)
    write_model(root / "remote", 2)
    write_model(root / "discard", 3, classes=("discard", "send"), threshold=0.4)
    return root


def command(folder: Path, dumps: Path, *arguments: str) -> list[str]:
    models = [part for name in ("local", "remote", "discard") for part in (f"--{name}", str(folder / name))]
    return ["dump", *models, "--device", "cpu", "--dumps", str(dumps), *arguments]


def invoke(folder: Path, dumps: Path, *arguments: str) -> str:
    result = CliRunner().invoke(eval_app, command(folder, dumps, *arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def videos(folder: Path, names: str = "abc") -> list[str]:
    return [str(folder / f"{name}.mp4") for name in names]


def dumps_in(folder: Path) -> dict[str, Dump]:
    found = {dump.header.stream: dump for dump in map(load_dump, folder.glob("*.npz"))}
    assert not list(folder.glob("*.part"))
    return found


def test_streams_side_by_side_are_dumped_as_one_by_one(folder: Path, tmp_path: Path) -> None:
    said = invoke(folder, tmp_path / "one", *videos(folder))
    assert "a.mp4: 12 windows of 60 frames, 0.0 MB, made, " in said
    both = invoke(folder, tmp_path / "two", *videos(folder), "--jobs", "2")
    assert both.count("made, ") == 3
    first, second = dumps_in(tmp_path / "one"), dumps_in(tmp_path / "two")
    assert set(first) == {"a", "b", "c"}
    for name, dump in first.items():
        same_answers(dump, second[name])
        assert dump.discards
        assert set(dump.label) == {0, 2}
        assert np.isfinite(dump.local_ms).all()
    again = invoke(folder, tmp_path / "two", *videos(folder), "--jobs", "2")
    assert again.count("was there") == 3


def test_the_comparison_takes_the_same_dumps(folder: Path, tmp_path: Path) -> None:
    invoke(folder, tmp_path, *videos(folder, "a"))
    (path,) = tmp_path.iterdir()
    before = path.stat().st_mtime_ns
    arguments = command(folder, tmp_path, str(folder / "a.mp4"), "--similarity", "cosine")
    result = CliRunner().invoke(eval_app, ["streams", *arguments[1:]], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "discard live" in result.output
    assert "discard p < 0.4" in result.output
    assert [each.stat().st_mtime_ns for each in tmp_path.iterdir()] == [before]


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def long(folder: Path) -> tuple[list[str], dict[str, Dump]]:
    """Two videos of many chunks, and their dumps from a run that nothing interrupted."""
    names = [str(write_video(folder / f"{name}.mp4", frames)) for name, frames in (("long", 540), ("other", 300))]
    invoke(folder, folder / "whole", *names)
    return names, dumps_in(folder / "whole")


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_killed_command_leaves_nobody_behind_and_goes_on_where_it_was(
    folder: Path, tmp_path: Path, jobs: str, long: tuple[list[str], dict[str, Dump]]
) -> None:
    """Killed with SIGKILL once the first chunk is on the disk."""
    names, whole = long
    dumps = tmp_path / "dumps"
    line = [sys.executable, "-m", "clownfish", "eval", *command(folder, dumps, *names, "--jobs", jobs)]
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: any(size(part) > 2_000 for part in dumps.glob("*.part")))
        assert process.poll() is None, "it was done before it could be killed: use a longer video"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE_S)
    # whoever still had a journal would keep the next command from it
    wait_until(lambda: all(free(part) for part in dumps.glob("*.part")))
    assert "gone on from window " in invoke(folder, dumps, *names)
    for name, dump in dumps_in(dumps).items():
        same_answers(dump, whole[name])


def size(part: Path) -> int:
    """Bytes; 0 where it has its final name by now."""
    try:
        return part.stat().st_size
    except FileNotFoundError:
        return 0


def free(part: Path) -> bool:
    import fcntl

    with contextlib.suppress(FileNotFoundError), part.open("rb") as file:  # it is whole by now: nobody writes
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def test_the_answers_of_both_runs_are_told_apart_only_by_their_times() -> None:
    assert set(TIMES) < set(KINDS)


def test_what_fails_in_one_process_is_said_by_the_command(folder: Path, tmp_path: Path) -> None:
    """A video that breaks off is found by the process that reads it; what the others did stays."""
    whole = Path(write_video(tmp_path / "whole.mp4", 300))
    broken = tmp_path / "broken.avi"
    data = Path(write_video(tmp_path / "b.avi", 300)).read_bytes()
    broken.write_bytes(data[: len(data) * 3 // 5])
    settings = RecordSettings(str(folder / "local"), str(folder / "remote"), device="cpu")
    with pytest.raises(SourceError, match="breaks off"):
        list(dump_all(settings, tmp_path / "dumps", {str(broken): None, str(whole): None}, 2))


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        ([], ConfigError, "nothing to measure on: name videos, an evaluation set"),
        (["--data", "puppets", "a.mp4"], ConfigError, "--data puppets is all that is measured on"),
        (["--data", "puppets", "--dataset", "ucf9"], ConfigError, "--data puppets is all that is measured on"),
        (["--data", "none"], ConfigError, "no evaluation set 'none'; known: puppets, ucf9"),
        (["--part", "test", "a.mp4"], ConfigError, "--part test is of an evaluation set: say --data, too"),
        (["--dataset", "ucf9"], ConfigError, "--dataset ucf9: its folder is missing; say --root FOLDER"),
        (["none.mp4"], SourceError, "cannot read none.mp4"),
        (["jump.mp4"], DatasetError, "names 'jump' (frame 0); the models know bow, clap, wave"),
        (["a.mp4", "--discard", "local"], ModelError, "has no threshold"),
        (["a.mp4", "--discard", "short"], ModelError, "takes windows of 8 frames"),
        (["a.mp4", "--discard", "other"], ModelError, "answers yes, no; an early-discard model answers discard, send"),
    ],
)
def test_what_cannot_be_used_is_named_before_any_model_runs(
    folder: Path, tmp_path: Path, arguments: list[str], kind: type[ClownfishError], said: str
) -> None:
    write_video(tmp_path / "jump.mp4", 30)
    (tmp_path / "jump.csv").write_text("start_frame,end_frame,label\n0,30,jump\n")
    write_model(tmp_path / "short", 3, classes=("discard", "send"), threshold=0.4, window_size=8)
    write_model(tmp_path / "other", 3, classes=("yes", "no"), threshold=0.4)
    places = {"a.mp4": folder, "local": folder, "jump.mp4": tmp_path, "short": tmp_path, "other": tmp_path}
    arguments = [str(places[each] / each) if each in places else each for each in arguments]
    with pytest.raises(kind) as caught:
        invoke(folder, tmp_path / "dumps", *arguments)
    assert said in str(caught.value)
    assert not list((tmp_path / "dumps").glob("*"))


def test_the_bar_counts_only_windows_that_are_still_to_do() -> None:
    bar = WindowsBar(Console(quiet=True), {"a": 10, "b": 5, "c": 8})
    with bar:
        task = bar._progress.tasks[0]
        assert (task.completed, task.total) == (0, 23)
        bar.window("a", 6)  # gone on with: six were there
        assert (task.completed, task.total) == (1, 17)
        bar.done("b")  # was there
        assert (task.completed, task.total) == (1, 12)
        for t in range(7, 12):  # its header promised less than there is
            bar.window("a", t)
        assert (task.completed, task.total) == (6, 12 + 2)
        bar.done("a")
        for t in range(8):
            bar.window("c", t)
        bar.done("c")
        assert task.completed == task.total == 14
