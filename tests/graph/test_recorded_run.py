"""A real run is recorded by real processes, its worker killed meanwhile, and replayed bit for bit."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from clownfish.evaluation.liverun import live_sends
from clownfish.evaluation.verify import verify_fusion, verify_gate
from clownfish.records import SUFFIX, read_record
from tests.graph.harness import PATIENCE_S, Endpoints, Graph, Material, cloud_tree, edge_tree, until
from tests.graph.killing import remote_results
from tests.graph.test_run import clownfish


async def test_a_run_whose_worker_was_killed_is_replayed_bit_for_bit(
    run_dir: Path, material: Material, tmp_path: Path
) -> None:
    at = Endpoints.ipc(run_dir)
    tree = {
        **cloud_tree(run_dir, material.remote, at),
        **edge_tree(run_dir, material, at),
        "record": {"folder": str(tmp_path)},
    }
    async with Graph(tree) as graph:
        await until(lambda: remote_results(graph) >= 3, "remote answers arrive")
        dead = graph.signal("worker-0", signal.SIGKILL)
        await until(lambda: graph.is_back("worker-0", dead), "the worker is back", PATIENCE_S)
        before = remote_results(graph)
        await until(lambda: remote_results(graph) >= before + 3, "remote answers arrive again")
        await graph.stop(drain=True)
        (path,) = await asyncio.to_thread(lambda: list(tmp_path.glob(f"*{SUFFIX}")))
        record = read_record(path)
        results = graph.results()
        assert not record.lost
        assert record.rows("local") == len(graph.live())
        # the record is what the sink was given, in the same order
        assert [r["t"] for r in results] == record.column("answer", "t").tolist()
        assert [r["revision"] for r in results] == record.column("answer", "revision").tolist()
        assert record.rows("remote") >= 6
        assert record.rows("feature") == record.rows("local")
        sent = 'sent{why="periodic"}'
        assert len(live_sends(record)) == graph.counter("filter", sent)
        fusion, gate = verify_fusion(record), verify_gate(record)
        assert fusion.holds, fusion
        assert gate is not None
        assert gate.holds, gate


def test_a_run_of_the_command_line_is_recorded_and_checked_by_it(tmp_path: Path) -> None:
    run = clownfish(
        "run", "shapes:test/0", "--seconds", "5", "--fast", "--no-baselines", "--record", str(tmp_path / "records")
    )
    assert run.returncode == 0, run.stderr
    check = clownfish("eval", "replay", str(tmp_path / "records"))
    assert check.returncode == 0, check.stdout + check.stderr
    assert "bit-identical: " in check.stdout
    assert "answers of 34 windows" in check.stdout
    assert "as the policy chooses" in check.stdout
