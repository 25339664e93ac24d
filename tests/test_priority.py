"""A process gives way: by itself, and with its session where it is one of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest

from clownfish.priority import AUTOGROUP

_SCRIPT = """
import os
from clownfish.priority import AUTOGROUP, give_way
give_way(7)
print(os.nice(0), AUTOGROUP.read_text())
"""
_BESIDE = f"""
import os, subprocess, sys
from clownfish.priority import AUTOGROUP
before = AUTOGROUP.read_text()
print(subprocess.run([sys.executable, "-c", {_SCRIPT!r}], check=True, text=True, stdout=subprocess.PIPE).stdout)
assert AUTOGROUP.read_text() == before
"""


def _shared() -> bool:
    """Whether Linux shares the processor among sessions here: a new one is in a group."""
    if not AUTOGROUP.exists():
        return False
    return bool(subprocess.run(["cat", AUTOGROUP], check=True, stdout=subprocess.PIPE, start_new_session=True).stdout)


needs_autogroup = pytest.mark.skipif(not _shared(), reason=f"this system says nothing in {AUTOGROUP}")


def _unprivileged() -> tuple[str, ...]:
    """What starts a process that may not administer the machine."""
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv (util-linux) is not on this machine")
    wrapper = ("setpriv", "--bounding-set=-sys_admin")
    tried = subprocess.run([*wrapper, "true"], check=False, text=True, stderr=subprocess.PIPE)
    if tried.returncode:
        pytest.skip(tried.stderr)
    return wrapper


def _start(script: str, *wrapper: str) -> subprocess.Popen[str]:
    """In a session of its own: the tests' may be the machine's first, which is in no group at all."""
    return subprocess.Popen(
        [*wrapper, sys.executable, "-c", script], text=True, stdout=subprocess.PIPE, start_new_session=True
    )


def _said(process: subprocess.Popen[str]) -> tuple[int, int]:
    """By how much the process, and its session, are nicer than the tests."""
    said, _ = process.communicate(timeout=60)
    found = re.fullmatch(r"(-?\d+) /autogroup-\d+ nice (-?\d+)\s*", said)
    assert process.returncode == 0
    assert found is not None, said
    return int(found[1]) - os.nice(0), int(found[2])


@needs_autogroup
def test_a_session_of_its_own_gives_way_as_a_whole() -> None:
    assert _said(_start(_SCRIPT)) == (7, 7 + os.nice(0))


@needs_autogroup
def test_a_session_of_others_is_left_as_it_is() -> None:
    assert _said(_start(_BESIDE)) == (7, 0)


@needs_autogroup
def test_all_that_start_together_give_way_without_being_administrators() -> None:
    """Linux takes one change in 0.1 s from such processes, and tells the others to try again."""
    wrapper = _unprivileged()
    assert [_said(process) for process in [_start(_SCRIPT, *wrapper) for _ in range(6)]] == [(7, 7 + os.nice(0))] * 6


def test_without_sessions_that_share_the_process_is_nice_all_the_same() -> None:
    elsewhere = "import clownfish.priority as it; it.AUTOGROUP = it.Path('/none/autogroup')"
    script = _SCRIPT.replace("give_way(7)", f"{elsewhere}; give_way(7)").replace(", AUTOGROUP.read_text()", "")
    said, _ = _start(script).communicate(timeout=60)
    assert int(said) == 7 + os.nice(0)
