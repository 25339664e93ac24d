"""`clownfish bench`: costs, each beside its yardstick in the same run, in one table."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clownfish.lab.cameras import camera_lines
from clownfish.lab.fickle import fickle_lines
from clownfish.lab.figures import Line, Use, numbers
from clownfish.lab.fusion_cost import fusion_lines
from clownfish.lab.hostile import hostile_lines
from clownfish.lab.overhead import overhead_lines
from clownfish.lab.page_age import browser_lines
from clownfish.lab.page_cost import page_lines
from clownfish.lab.pool_cost import pool_lines, pool_model
from clownfish.lab.replay_cost import replay_lines
from clownfish.lab.router_cost import router_lines
from clownfish.lab.rpc import require_grpc
from clownfish.lab.streams import stream_lines
from clownfish.lab.workload import REAL_VIDEO, Pair, draw_clip, pick_pair
from clownfish.runfolder import remove_folder


@dataclass(frozen=True)
class Effort:
    """How long to measure. The defaults are the full bench, about five minutes."""

    fusion_repeats: int = 15
    fusion_calls: int = 100
    settle_s: float = 3.0
    graph_s: float = 20.0
    streams_s: float = 10.0
    hostile_messages: int = 1_000_000
    fickle_sessions: int = 10_000
    router_s: float = 8.0
    router_edges: int = 1000
    pool_s: float = 15.0
    page_s: float = 10.0
    page_repeats: int = 6
    camera_kills: int = 20
    camera_others: int = 5
    """Freezes, and changes of the picture's size."""
    resolution: float = 0.0
    """Gap between the number of streams that is held and the one that is not, as a share of the first."""


QUICK = Effort(
    fusion_repeats=5,
    fusion_calls=50,
    settle_s=2.0,
    graph_s=6.0,
    streams_s=3.0,
    hostile_messages=20_000,
    fickle_sessions=500,
    router_s=3.0,
    pool_s=5.0,
    page_s=3.0,
    page_repeats=1,
    camera_kills=3,
    camera_others=1,
    resolution=0.5,
)
"""A minute or two; its percentiles rest on few windows."""


@dataclass(frozen=True)
class BenchOptions:
    """The options of `clownfish bench`; an empty name means what is at hand."""

    effort: Effort = Effort()
    source: str = ""
    local: str = ""
    remote: str = ""
    cores: int = 2
    parts: tuple[str, ...] = ("fusion", "replay", "graph", "streams")


@dataclass(frozen=True)
class BenchResult:
    """What the table shows, and where it comes from."""

    lines: list[Line]
    uses: list[Use]
    settings: dict[str, Any]

    def numbers(self) -> dict[str, Any]:
        """As JSON values."""
        return numbers(self.lines, self.uses, self.settings)


def bench(options: BenchOptions, say: Callable[[str], None]) -> BenchResult:
    """Measure. `say` is told what is going on. Raises ClownfishError."""
    if "graph" in options.parts:
        require_grpc()  # before minutes are spent
    folder = Path(tempfile.mkdtemp(prefix="clownfish-bench-"))
    effort = options.effort
    lines: list[Line] = []
    uses: list[Use] = []
    try:
        with on_cores(options.cores) as cores:
            clip = draw_clip(folder / "clip.mp4", 10.0)
            source = options.source or (str(REAL_VIDEO) if REAL_VIDEO.exists() else clip)
            picked = pick_pair(folder)
            pair = Pair(options.local or picked.local, options.remote or picked.remote)
            if pair.local == picked.local:
                pair = Pair(pair.local, pair.remote, picked.siminet)
            if "fusion" in options.parts:
                say("fuse and reinforce …")
                lines += fusion_lines(effort.fusion_repeats, effort.fusion_calls)
            if "replay" in options.parts:
                say("replay …")
                lines += replay_lines(effort.fusion_repeats)
            if "graph" in options.parts:
                more, used = overhead_lines(folder, source, pair, effort.settle_s, effort.graph_s, say)
                lines, uses = lines + more, uses + used
            if "streams" in options.parts:
                more, used = stream_lines(
                    folder, clip, cores, effort.settle_s, effort.streams_s, effort.resolution, say
                )
                lines, uses = lines + more, uses + used
            if "page" in options.parts:
                more, used = page_lines(folder, clip, effort.settle_s, effort.page_s, effort.page_repeats, say)
                lines, uses = lines + more, uses + used
                lines += browser_lines(folder / "browser", clip, effort.settle_s, effort.graph_s, say)
            if "cameras" in options.parts:
                lines += camera_lines(folder / "cameras", effort.camera_kills, effort.camera_others, say)
            if "hostile" in options.parts:
                lines += hostile_lines(folder, effort.hostile_messages, effort.graph_s, say)
            if "fickle" in options.parts:
                lines += fickle_lines(folder, effort.fickle_sessions, say)
            if "router" in options.parts:
                more, used = router_lines(folder, effort.router_edges, effort.router_s, say)
                lines, uses = lines + more, uses + used
            if "pool" in options.parts:
                lines += pool_lines(folder, source, pool_model(options.remote, pair.remote), effort.pool_s, say)
        settings = {**asdict(options), "cores": cores, "source": source, "local": pair.local, "remote": pair.remote}
        return BenchResult(lines, uses, settings)
    finally:
        remove_folder(folder)


@contextlib.contextmanager
def on_cores(count: int) -> Iterator[int]:
    """Keep this process, and what it starts, to so many cores; 0 for all. Yields how many there are then."""
    if sys.platform != "linux":
        yield os.cpu_count() or 1
        return
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(mine)[: count or len(mine)])
    try:
        yield len(os.sched_getaffinity(0))
    finally:
        os.sched_setaffinity(0, mine)
