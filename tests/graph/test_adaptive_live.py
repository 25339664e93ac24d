"""Adaptive sending in a whole graph over a throttled link: less is sent at once, and more when there is room."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clownfish.evaluation.verify import verify_gate
from clownfish.ladder import Ladder, Rung, Way, tree_of
from clownfish.messages import Pace
from clownfish.records import SUFFIX, read_record
from tests.graph.harness import Endpoints, Graph, Material, cloud_tree, edge_tree, until
from tests.graph.throttle import throttled

LADDER = Ladder(
    (0.0, 1.0, 4.0),
    (
        Rung(Pace(1e-6, 0, 0, 12), Way("jpeg", (("quality", 30),), 0.5), 2_000, 5_000, (0.05, 0.04, 0.0), 0.05),
        Rung(Pace(1e-6, 0, 0, 3), Way("jpeg", (("quality", 90),)), 20_000, 10_000, (0.3, 0.2, 0.0), 0.3),
    ),
)


async def test_the_setting_goes_down_with_the_link_and_up_again(
    run_dir: Path, material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(run_dir / "state"))
    at = Endpoints.tcp()
    ladder = run_dir / "ladder.json"
    ladder.write_text(json.dumps(tree_of(LADDER)))
    async with throttled(int(at.data.rpartition(":")[2])) as (data, link):
        tree = edge_tree(run_dir, material, at) | cloud_tree(run_dir, material.remote, at)
        tree["uplink"] = {
            "control": at.control,
            "data": data,
            "codec": {"kind": "png"},
            "adaptive": {"ladder": str(ladder), "rise_s": 0.5, "gb_month": 100.0},
        }
        tree["record"] = {"folder": str(run_dir / "records")}
        tree["filter"] = {"policy": {"kind": "adaptive", "n_w": 12, "threshold": 1e-6, "follow": 0}}
        async with Graph(tree) as graph:
            await until(lambda: graph.gauge("uplink", "setting") == 1, "there is room for more")
            link.limit(4_000)
            await until(lambda: graph.gauge("uplink", "setting") == 0, "the link is full")
            await until(lambda: (graph.gauge("uplink", "link_mbit_s") or 1.0) < 0.2, "and known to be slow")
            answered = graph.counter("uplink", "windows_answered")
            await until(lambda: graph.counter("uplink", "windows_answered") >= answered + 2, "answers still come")
            link.limit(None)
            await until(lambda: graph.gauge("uplink", "setting") == 1, "and up again")
            workers = [name for name in graph.supervisor.children if name.startswith("worker")]
            assert sum(graph.counter(name, 'dropped{reason="undecodable"}') for name in workers) == 0
            spent = graph.gauge("uplink", "month_bytes")
            assert spent is not None
            assert 0 < spent <= graph.counter("uplink", "bytes_sent")
            await graph.stop(drain=True)
    (path,) = (run_dir / "records").glob(f"*{SUFFIX}")
    record = read_record(path)
    paces = [what for what in record.column("filter", "what").tolist() if what.startswith("pace ")]
    assert {Pace.from_words(what) for what in paces} == {rung.pace for rung in LADDER.rungs}
    gate = verify_gate(record)
    assert gate is not None
    assert gate.holds, gate
