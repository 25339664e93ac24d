"""`python -m tests.graph.chaos [KILLS] [SEED]`: kill -9 of one process after the other, and a table of recovery times.

Exit status 1 where a process was not back within 2 s (6 s where a model is loaded), or an answer was said twice or lost
uncounted. On a machine that is busy with other things the bounds say little.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
from pathlib import Path

from tests.graph import harness
from tests.graph.conftest import make_material
from tests.graph.harness import Graph, until
from tests.graph.killing import CLOUD, EDGE, MODELS, assert_accounted, kill, remote_results, whole_tree

BOUND_S, MODEL_BOUND_S = 2.0, 6.0


async def chaos(kills: int, seed: int) -> bool:
    chance = random.Random(seed)
    order = [process for _ in range(-(-kills // 10)) for process in chance.sample((*EDGE, *CLOUD), 10)][:kills]
    run_dir = harness.folder()
    well = True
    print(f"{'kill -9':14}  {'ready s':>8}  {'answers s':>9}  {'bound s':>8}")
    with tempfile.TemporaryDirectory() as where:
        try:
            async with Graph(whole_tree(run_dir, make_material(Path(where)))) as graph:
                await until(lambda: remote_results(graph) > 0, "remote answers arrive")
                for process in order:
                    bound_s = MODEL_BOUND_S if process in MODELS else BOUND_S
                    recovery = await kill(graph, process, harness.PATIENCE_S)
                    within = recovery.answers_s <= bound_s
                    well &= within
                    print(
                        f"{process:14}  {recovery.ready_s:8.2f}  {recovery.answers_s:9.2f}  {bound_s:8.0f}"
                        + ("" if within else "  LATE"),
                        flush=True,
                    )
                await graph.answers(3)
                await graph.stop(drain=True)
                assert_accounted(graph)
                fusion = graph.counters("fusion")
                print(
                    f"{len(order)} kills; {fusion['windows_answered']} windows answered, {fusion['windows_missing']} "
                    f"counted as missing, {fusion['finals_missing']} closed by nobody; none said twice"
                )
        finally:
            harness.remove(run_dir)
    return well


if __name__ == "__main__":
    arguments = [int(argument) for argument in sys.argv[1:3]]
    kills, seed = (*arguments, *(20, 1)[len(arguments) :])
    sys.exit(0 if asyncio.run(chaos(kills, seed)) else 1)
