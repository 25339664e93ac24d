"""How old an answer is when a real browser has drawn it, and how soon after opening the page the first one is there.

The yardstick is the same answer in the graph: from the capture of a window's newest frame to its live answer. What lies
between is the page: notes to its process, a tick of a tenth of a second, the socket, a paint.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from clownfish.errors import ClownfishError
from clownfish.lab.browser import chromium
from clownfish.lab.figures import Figure, Line
from clownfish.lab.free_port import free_port
from clownfish.lab.graph import measure_graph
from clownfish.lab.page_cost import STREAMS
from clownfish.lab.streams import FREE
from clownfish.lab.workload import Pair, graph
from clownfish.records import SUFFIX, read_record
from clownfish.settings import Page, RecordSection


def browser_lines(folder: Path, clip: str, settle_s: float, sample_s: float, say: Callable[[str], None]) -> list[Line]:
    """None where there is no browser; `say` is told. Raises ClownfishError where it drew nothing."""
    if chromium() is None or importlib.util.find_spec("playwright") is None:
        say("no Chromium and playwright here: how soon a browser shows an answer is left out")
        return []
    say(f"{STREAMS} streams, a page, a browser …")
    listen, drawn = f"127.0.0.1:{free_port()}", folder / "drawn.jsonl"
    config = replace(
        graph(folder, clip, Pair(FREE, FREE), streams=STREAMS),
        page=Page(listen=listen),
        record=RecordSection(folder=str(folder / "record")),
    )
    folder.mkdir(parents=True, exist_ok=True)
    child = subprocess.Popen([sys.executable, "-m", "clownfish.lab.browser", f"http://{listen}/", str(drawn)])
    try:
        sample = measure_graph(config, folder, settle_s=settle_s, sample_s=sample_s, run="a browser")
    finally:
        child.terminate()
        child.wait()
    seen = [json.loads(line) for line in drawn.read_text().splitlines()]
    if len(seen) < 2:
        raise ClownfishError(
            f"the browser drew no answer of http://{listen}/; it said {seen}, expected one each window"
        )
    old = ages(seen[1:], _captured(folder / "record"))
    first_s = (seen[1]["at_ns"] - seen[0]["opened_ns"]) / 1e9
    p50, p99, most = (float(np.quantile(old, q)) for q in (0.5, 0.99, 1.0))
    return [
        Line(
            f"{STREAMS} streams: capture to drawn in a browser",
            Figure(p50, "ms", (("p99", p99), ("max", most))),
            "capture to live answer in the graph",
            sample.latency("fusion", "capture_to_fused"),
            f"{len(old)} answers drawn; the first {first_s:.2f} s after the page was opened",
        )
    ]


def _captured(folder: Path) -> dict[tuple[str, int], list[int]]:
    """(stream, t) → when its newest frame was captured, ns, in each epoch."""
    found: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    for path in folder.glob(f"**/*{SUFFIX}"):
        record = read_record(path)
        times = zip(record.column("local", "t"), record.column("local", "capture_ns"), strict=True)
        for t, capture_ns in times:
            found[record.header.stream, int(t)].append(int(capture_ns))
    return {key: sorted(times) for key, times in found.items()}


def ages(drawn: Iterable[dict[str, Any]], captured: dict[tuple[str, int], list[int]]) -> list[float]:
    """How old each answer was when it was drawn, ms; what the record does not have any more is left out."""
    found = []
    for each in drawn:
        times = captured.get((each["stream"], each["t"]), [])
        before = bisect_right(times, each["at_ns"])
        if before:
            found.append((each["at_ns"] - times[before - 1]) / 1e6)
    if not found:
        raise ClownfishError("none of the answers that the browser drew is in the record of the run")
    return found
