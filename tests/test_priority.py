"""A process gives way: by itself, and with its session where it is one of its own."""

from __future__ import annotations

import re
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

needs_autogroup = pytest.mark.skipif(not AUTOGROUP.exists(), reason=f"this system has no {AUTOGROUP}")


def _said(*, session: bool) -> tuple[int, int]:
    """Niceness of the process and of its session."""
    said = subprocess.run(
        [sys.executable, "-c", _SCRIPT], check=True, text=True, stdout=subprocess.PIPE, start_new_session=session
    ).stdout
    found = re.fullmatch(r"(-?\d+) /autogroup-\d+ nice (-?\d+)\s*", said)
    assert found is not None, said
    return int(found[1]), int(found[2])


@needs_autogroup
def test_a_session_of_its_own_gives_way_as_a_whole() -> None:
    assert _said(session=True) == (7, 7)


@needs_autogroup
def test_a_session_of_others_is_left_as_it_is() -> None:
    before = re.search(r"nice (-?\d+)", AUTOGROUP.read_text())
    assert before is not None
    assert _said(session=False) == (7, int(before[1]))


def test_without_sessions_that_share_the_process_is_nice_all_the_same() -> None:
    elsewhere = "import clownfish.priority as it; it.AUTOGROUP = it.Path('/none/autogroup')"
    script = _SCRIPT.replace("give_way(7)", f"{elsewhere}; give_way(7)").replace(", AUTOGROUP.read_text()", "")
    said = subprocess.run(
        [sys.executable, "-c", script], check=True, text=True, stdout=subprocess.PIPE, start_new_session=True
    )
    assert said.stdout == "7\n"
