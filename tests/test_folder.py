"""Folders of runs, and what is left of killed ones."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from clownfish.lab.folder import run_folder

HOLDER = """
import sys
from clownfish.lab.folder import run_folder
with run_folder() as folder:
    (folder / "something").touch()
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_a_folder_is_gone_after_its_run(temporary: Path) -> None:
    with run_folder() as folder:
        assert folder.parent == temporary
        assert folder.is_dir()
    assert list(temporary.iterdir()) == []


def test_what_a_killed_run_has_left_the_next_one_removes_and_a_live_one_s_it_leaves() -> None:
    command = [sys.executable, "-c", HOLDER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        theirs = Path(process.stdout.readline().strip())
        with run_folder():
            assert (theirs / "something").exists()
        process.kill()
    assert theirs.exists()
    with run_folder():
        assert not theirs.exists()


def test_a_folder_that_is_just_being_made_is_left(temporary: Path) -> None:
    other = temporary / "clownfish-lab-other"
    other.mkdir()
    with run_folder():
        assert other.exists()
