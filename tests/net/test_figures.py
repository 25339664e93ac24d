"""A short experiment over a real link, recorded, and the figures that are made of it."""

from __future__ import annotations

from pathlib import Path

from clownfish.evaluation.paper import fig14, fig15
from clownfish.lab.recorded import read_recorded
from tests.net.tools import run_cli
from tests.test_lab_recorded import context_of


def test_what_the_lab_records_can_be_drawn(tmp_path: Path) -> None:
    numbers = tmp_path / "numbers.json"
    done = run_cli("lab", "run", "shapes:test/0", "--seconds", "4", "--profile", "lan", "--json", str(numbers))
    assert done.returncode == 0, done.stderr
    (run,) = read_recorded(numbers)
    assert run.sources == ("shapes:test/0",)
    assert sum(part.up_bytes for part in run.parts) == run.up_bytes > 0
    assert run.codec == "h264"
    context = context_of(numbers)
    assert sum(row.windows for row in fig14.compute(context)) == sum(run.answers.values()) > 0
    (row,) = fig15.compute(context)
    assert row.up_mbit > 0
    assert row.p99_ms is not None
