"""A policy that looks at local answers, in the live graph: it is told them, and sends what replay says it sends."""

from __future__ import annotations

from pathlib import Path

import pytest

from clownfish.evaluation.liverun import dump_of, filter_of, live_sends, lives, rho_of
from clownfish.evaluation.replay import replay
from clownfish.evaluation.verify import verify_gate
from clownfish.filters import FILTERS
from clownfish.records import SUFFIX, read_record
from tests.graph.test_run import clownfish

pytestmark = pytest.mark.graph


def test_the_live_graph_sends_the_windows_that_replay_sends(tmp_path: Path) -> None:
    policy = 'filter.policy={ kind = "drift", threshold = 0.9, n_w = 20 }'
    done = clownfish(
        *("run", "shapes:test/0", "--seconds", "10", "--fast", "--no-baselines"),
        *("--record", str(tmp_path), "--set", policy),
    )
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob(f"*{SUFFIX}")
    record = read_record(path)
    gate = verify_gate(record)
    assert gate is not None
    assert gate.holds, gate
    section = filter_of(record)
    assert section.policy.kind == "drift"
    (life,) = lives(record)
    again = replay(dump_of(record, life), rho_of(record, life), lambda: section.policy.build(FILTERS), None)
    assert live_sends(record) == again.sent.tolist()
    assert len(again.sent) > 4, "more than the period: it was told the answers"
