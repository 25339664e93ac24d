"""Test tool: what systemd says of a unit."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def verify(unit: str, name: str, folder: Path) -> str:
    """What `systemd-analyze verify` complains of; empty where nothing."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    program = folder / "clownfish"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    path = folder / name.replace("@.", "@0.")
    path.write_text(unit.replace("/opt/clownfish/bin/clownfish", str(program)))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(path)],
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    said = "\n".join(line for line in done.stderr.splitlines() if str(path) in line or path.name in line)
    return said or ("" if done.returncode == 0 else done.stderr)
