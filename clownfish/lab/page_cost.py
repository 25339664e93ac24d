"""What the live page costs a busy edge: the same streams without it, with it, and with many who look.

The page may use what is left of the machine; what must not suffer is the edge. Its yardstick is the same streams
without a page, run in turns, so that what else the machine does meanwhile falls on each alike. How the streams' windows
fall together differs from start to start and moves p99 more than a page does: so one graph is measured with viewers,
without, and with the page's process halted (it takes and sends nothing then, and what it would get is dropped).
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from statistics import median

import psutil

from clownfish.lab.figures import Figure, Line, Use
from clownfish.lab.free_port import free_port
from clownfish.lab.graph import Phase, Sample, measure_graph, measure_phases
from clownfish.lab.streams import FREE
from clownfish.lab.workload import Pair, graph
from clownfish.settings import Page

STREAMS, VIEWERS = 8, 20
_PAGE, _OTHERS = "page", ("capture", "fusion", "filter", "uplink")
"""The page's own process, and those that speak to it."""
_PLAIN, _FROZEN, _ALONE, _LOOKED_AT = "no page", "a page that is halted", "a page", f"a page, {VIEWERS} viewers"

Samples = dict[str, list[Sample]]


def page_lines(
    folder: Path, clip: str, settle_s: float, sample_s: float, repeats: int, say: Callable[[str], None]
) -> tuple[list[Line], list[Use]]:
    """Latency of live answers and processor time, four ways, `repeats` times each."""
    with_page = (_FROZEN, _ALONE, _LOOKED_AT)
    samples: Samples = {name: [] for name in (_PLAIN, *with_page)}
    for turn in range(repeats):
        first = turn % len(with_page)
        for names in (_PLAIN,), with_page[first:] + with_page[:first]:
            say(f"{STREAMS} streams, {', then '.join(names)}, {turn + 1} of {repeats} …")
            taken = _run(folder / f"page-{turn}-{len(names)}", clip, names, settle_s, sample_s)
            for name, sample in zip(names, taken, strict=True):
                samples[name].append(sample)
    lines = [
        _latency(samples, _ALONE, _PLAIN, "the same streams without a page, in turns"),
        _latency(samples, _ALONE, _FROZEN, "the same graph while the page is halted"),
        _latency(samples, _LOOKED_AT, _FROZEN, "the same graph while the page is halted"),
        _processor(samples, _ALONE),
        _processor(samples, _LOOKED_AT),
    ]
    return lines, [use for taken in samples.values() for use in taken[-1].uses]


def _latency(samples: Samples, name: str, other: str, yardstick: str) -> Line:
    lost = sum(sum(sample.lost(("window", "local", "fusion")).values()) for sample in samples[name])
    return Line(
        f"{STREAMS} streams, {name}: capture to live answer, p99",
        _spread([_p99(sample) for sample in samples[name]], "ms"),
        yardstick,
        _spread([_p99(sample) for sample in samples[other]], "ms"),
        f"{lost} windows lost by the edge",
    )


def _processor(samples: Samples, name: str) -> Line:
    taken = samples[name]
    return Line(
        f"{STREAMS} streams, {name}: what it costs the other processes",
        _spread([_share(sample, _OTHERS) for sample in taken], "% of a core"),
        "the same processes without a page, in turns",
        _spread([_share(sample, _OTHERS) for sample in samples[_PLAIN]], "% of a core"),
        f"the page itself, which gives way: {_spread([_share(s, (_PAGE,)) for s in taken], '% of a core')}",
    )


def _run(folder: Path, clip: str, names: tuple[str, ...], settle_s: float, sample_s: float) -> list[Sample]:
    config = graph(folder, clip, Pair(FREE, FREE), streams=STREAMS)
    if _PLAIN in names:
        return [measure_graph(config, folder, settle_s=settle_s, sample_s=sample_s, run=_PLAIN)]
    listen = f"127.0.0.1:{free_port()}"
    meanwhile: dict[str, AbstractContextManager[object]] = {
        _FROZEN: _frozen(),
        _ALONE: nullcontext(),
        _LOOKED_AT: _looking(f"ws://{listen}/live"),
    }
    phases: list[Phase] = [(name, meanwhile[name]) for name in names]
    page = replace(config, page=Page(listen=listen))
    return measure_phases(page, folder, phases, settle_s=settle_s, sample_s=sample_s)


@contextmanager
def _looking(url: str) -> Iterator[None]:
    command = [sys.executable, "-m", "clownfish.lab.viewers", url, str(VIEWERS)]
    child = subprocess.Popen(command, start_new_session=True)
    try:
        yield
    finally:
        child.terminate()
        child.wait()


@contextmanager
def _frozen() -> Iterator[None]:
    """The page of the graph that runs below this process."""
    (page,) = (child for child in psutil.Process().children() if "services.page" in child.cmdline())
    page.suspend()
    try:
        yield
    finally:
        page.resume()


def _p99(sample: Sample) -> float:
    return dict(sample.latency("fusion", "capture_to_fused").spread)["p99"]


def _share(sample: Sample, processes: tuple[str, ...]) -> float:
    return 100 * sum(use.cpu_share for use in sample.uses if use.process in processes)


def _spread(values: list[float], unit: str) -> Figure:
    return Figure(median(values), unit, (("min", min(values)), ("max", max(values))))
