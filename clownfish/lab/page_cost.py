"""What the live page costs a busy edge: the same streams without it, with it, and with many who look.

The page may use what is left of the machine; what must not suffer is the edge. Its yardstick is the same graph without
a page, run in turns, so that what else the machine does meanwhile falls on each alike.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median

from clownfish.lab.figures import Figure, Line, Use
from clownfish.lab.free_port import free_port
from clownfish.lab.graph import Sample, measure_graph
from clownfish.lab.streams import FREE
from clownfish.lab.workload import Pair, graph
from clownfish.settings import Config, Page

STREAMS, VIEWERS = 8, 20
_PAGE, _OTHERS = "page", ("capture", "fusion", "filter", "uplink")
"""The page's own process, and those that speak to it."""


def page_lines(
    folder: Path, clip: str, settle_s: float, sample_s: float, repeats: int, say: Callable[[str], None]
) -> tuple[list[Line], list[Use]]:
    """Latency of live answers and processor time, three ways, `repeats` times each."""
    runs = {"no page": -1, "a page": 0, f"a page, {VIEWERS} viewers": VIEWERS}
    samples: dict[str, list[Sample]] = {name: [] for name in runs}
    for turn in range(repeats):
        for number, (name, viewers) in enumerate(runs.items()):
            say(f"{STREAMS} streams, {name}, {turn + 1} of {repeats} …")
            samples[name].append(_run(folder / f"page-{turn}-{number}", clip, viewers, settle_s, sample_s, name))
    plain = samples["no page"]
    lines = []
    for name, taken in samples.items():
        if name == "no page":
            continue
        lost = sum(sum(sample.lost(("window", "local", "fusion")).values()) for sample in taken)
        lines += [
            Line(
                f"{STREAMS} streams, {name}: capture to live answer, p99",
                _spread([_p99(sample) for sample in taken], "ms"),
                "the same graph without a page",
                _spread([_p99(sample) for sample in plain], "ms"),
                f"{lost} windows lost by the edge",
            ),
            Line(
                f"{STREAMS} streams, {name}: what it costs the other processes",
                _spread([_share(sample, _OTHERS) for sample in taken], "% of a core"),
                "the same processes without a page",
                _spread([_share(sample, _OTHERS) for sample in plain], "% of a core"),
                f"the page itself, which gives way: {_spread([_share(s, (_PAGE,)) for s in taken], '% of a core')}",
            ),
        ]
    return lines, [use for taken in samples.values() for use in taken[-1].uses]


def _run(folder: Path, clip: str, viewers: int, settle_s: float, sample_s: float, name: str) -> Sample:
    """`viewers`: −1 for no page at all."""
    config = graph(folder, clip, Pair(FREE, FREE), streams=STREAMS)
    if viewers < 0:
        return measure_graph(config, folder, settle_s=settle_s, sample_s=sample_s, run=name)
    listen = f"127.0.0.1:{free_port()}"
    with _looking(f"ws://{listen}/live", viewers):
        return measure_graph(_with_page(config, listen), folder, settle_s=settle_s, sample_s=sample_s, run=name)


def _with_page(config: Config, listen: str) -> Config:
    return replace(config, page=Page(listen=listen))


@contextmanager
def _looking(url: str, viewers: int) -> Iterator[None]:
    if not viewers:
        yield
        return
    child = subprocess.Popen([sys.executable, "-m", "clownfish.lab.viewers", url, str(viewers)])
    try:
        yield
    finally:
        child.terminate()
        child.wait()


def _p99(sample: Sample) -> float:
    return dict(sample.latency("fusion", "capture_to_fused").spread)["p99"]


def _share(sample: Sample, processes: tuple[str, ...]) -> float:
    return 100 * sum(use.cpu_share for use in sample.uses if use.process in processes)


def _spread(values: list[float], unit: str) -> Figure:
    return Figure(median(values), unit, (("min", min(values)), ("max", max(values))))
