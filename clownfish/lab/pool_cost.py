"""Pool efficiency: windows per second through router and workers ÷ those of the bare model loop on the same cores.

All but the last core are *the pool's*: the router and one worker for each core run there, and nothing else of the
measurement. The bare loop is as many processes on the same cores, each a model and decoded windows in memory: what
those cores could do if receiving, dispatch, decoding and answering cost nothing. The load, whose pictures are coded
beforehand, has the last core. Either runs in turn, round by round, with the other idle beside it.

The same windows through Ray Serve's handle and through gRPC + PNG, with replicas and servers on the pool's cores. Their
own front is given the load's core for nothing: Ray's processes, and the client.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import importlib.util
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from clownfish import zoo
from clownfish.bus import Bus
from clownfish.config import validate
from clownfish.errors import ClownfishError
from clownfish.lab import rpc
from clownfish.lab.asking import Asker, code
from clownfish.lab.bare import WINDOWS
from clownfish.lab.cores import divided, pinned
from clownfish.lab.driven import driven
from clownfish.lab.figures import Figure, Line
from clownfish.lab.workload import HEIGHT, WIDTH, read_windows
from clownfish.messages import Pixels
from clownfish.settings import Config, Worker
from clownfish.supervisor import Supervisor

OURS = "router and workers"
BATCH = 4
ROUNDS = 3
RESNET = "zoo:ucf9/remote-r3d"
_CREDIT = 2
"""Batches that a worker holds: one in work, one that arrives meanwhile."""

Measure = Callable[[float], float]


@dataclass(frozen=True)
class _Way:
    """One way from a window to its answer: its name, and what opens it."""

    name: str
    opened: Callable[[], contextlib.AbstractContextManager[Measure]]


def pool_model(asked: str, picked: str) -> str:
    """The model to measure with: the one that was asked for, else a 3D ResNet, else the one at hand.

    One that sees frames one by one keeps what it made of them: over the same few windows again and again it has nothing
    left to do, and what is measured is its dictionary.
    """
    return asked or (RESNET if RESNET in zoo.names() else picked)


def pool_lines(folder: Path, source: str, model: str, seconds: float, say: Callable[[str], None]) -> list[Line]:
    """For each batch size a line for the pool, and one each for Ray Serve and gRPC + PNG, where they are."""
    cores, others = divided()
    windows = read_windows(source, WINDOWS)
    lines: list[Line] = []
    for batch in (1, BATCH):
        for way in _ways(folder, model, batch, source, windows, cores, others):
            say(f"{way.name}, {model}, batch {batch} …")
            try:
                lines.append(_line(way, model, batch, source, cores, seconds))
            except ClownfishError as error:
                if way.name == OURS:
                    raise
                lines[-1] = replace(lines[-1], note=f"{lines[-1].note}; {way.name}: {error}")
    return lines


def _ways(
    folder: Path,
    model: str,
    batch: int,
    source: str,
    windows: Sequence[Sequence[Pixels]],
    cores: set[int],
    others: set[int],
) -> Iterator[_Way]:
    """Ours first; the others where they are installed. The paper's prototype knows no batches."""
    yield _Way(OURS, lambda: _pool(folder, model, batch, windows, cores, others))
    if importlib.util.find_spec("ray") is not None:
        yield _Way("Ray Serve's handle", lambda: _ray(model, batch, source, cores, others))
    if batch == 1 and importlib.util.find_spec("grpc") is not None:
        yield _Way("gRPC + PNG", lambda: _grpc(model, windows, cores, others))


def _line(way: _Way, model: str, batch: int, source: str, cores: set[int], seconds: float) -> Line:
    """Round by round: the bare loop, the way, the bare loop again; a round's ratio is to the mean of the two."""
    each_s = seconds / ROUNDS
    with driven("clownfish.lab.bare", [model, str(batch), source], cores, len(cores)) as bare, way.opened() as measure:
        loops, rates = [bare.measure(each_s)], []
        for _ in range(ROUNDS):
            rates.append(measure(each_s))
            loops.append(bare.measure(each_s))
    ratios = [rate / ((loops[i] + loops[i + 1]) / 2) for i, rate in enumerate(rates)]
    note = f"efficiency by round: {', '.join(f'{ratio:.3f}' for ratio in ratios)}"
    if way.name == OURS and batch > 1 and not _can_batch():
        note += "; this release's workers take windows one by one"
    return Line(
        f"{way.name}, {model}, batch {batch}, {len(cores)} cores",
        _middle(rates),
        "bare model loop",
        _middle(loops),
        note,
    )


def _middle(rates: Sequence[float]) -> Figure:
    return Figure(float(np.median(rates)), "1/s", (("min", min(rates)), ("max", max(rates))))


def _can_batch() -> bool:
    return "batch" in {field.name for field in fields(Worker)}


# -- the ways


@contextlib.contextmanager
def _pool(
    folder: Path, model: str, batch: int, windows: Sequence[Sequence[Pixels]], cores: set[int], others: set[int]
) -> Iterator[Measure]:
    in_flight = len(cores) * _CREDIT * batch + 2 * batch
    place = folder / f"pool-{time.monotonic_ns()}"
    config = _config(place, model, batch, len(cores), in_flight)
    coded = code(windows)
    loop = asyncio.new_event_loop()
    with pinned(others), contextlib.closing(loop):
        supervisor, bus, asker = loop.run_until_complete(_start(config, place, in_flight, cores))
        try:
            yield lambda seconds: loop.run_until_complete(asker.measure(coded, (WIDTH, HEIGHT), seconds))
        finally:
            loop.run_until_complete(_stop(supervisor, bus))


async def _start(config: Config, place: Path, in_flight: int, cores: set[int]) -> tuple[Supervisor, Bus, Asker]:
    assert config.router is not None  # _config has set both
    assert config.worker is not None
    supervisor = Supervisor(config, place)
    with pinned(cores):
        await supervisor.start(wait_for_all=True)
    bus = Bus(lambda name: None)
    classes = zoo.read_classes(config.worker.model)
    return supervisor, bus, Asker(bus, config.router.control, config.router.data, classes, in_flight)


async def _stop(supervisor: Supervisor, bus: Bus) -> None:
    bus.close(0)
    await supervisor.stop(drain=False)


def _config(place: Path, model: str, batch: int, workers: int, in_flight: int) -> Config:
    place.mkdir(parents=True)
    control, data, inner = (f"ipc://{place}/{name}.ipc" for name in ("control", "data", "workers"))
    worker: dict[str, Any] = {"router": inner, "model": model, "count": workers, "credit": min(64, _CREDIT * batch)}
    if _can_batch():
        worker["batch"] = batch
    tree = {
        "graph": {"name": "bench", "run_dir": str(place / "run")},
        "log": {"level": "warning"},
        "router": {"control": control, "data": data, "workers": inner, "windows_per_edge": in_flight},
        "worker": worker,
    }
    return validate(tree, "bench")


@contextlib.contextmanager
def _ray(model: str, batch: int, source: str, cores: set[int], others: set[int]) -> Iterator[Measure]:
    arguments = [model, str(batch), source, str(len(cores)), ",".join(map(str, sorted(cores)))]
    with driven("clownfish.lab.ray_serve", arguments, others) as serve:
        yield serve.measure


@contextlib.contextmanager
def _grpc(model: str, windows: Sequence[Sequence[Pixels]], cores: set[int], others: set[int]) -> Iterator[Measure]:
    requests = [rpc.pack(window) for window in windows]
    with contextlib.ExitStack() as stack:
        with pinned(cores):
            clients = [stack.enter_context(rpc.served(model)) for _ in cores]
        askers = [client for client in clients for _ in range(2)]  # one waits while the other is answered
        stack.enter_context(pinned(others))
        threads = stack.enter_context(concurrent.futures.ThreadPoolExecutor(len(askers)))

        def measure(seconds: float) -> float:
            begin = time.monotonic()
            end = begin + seconds

            def ask(client: rpc.Client) -> int:
                done = 0
                while time.monotonic() < end:
                    client.ask(requests[done % len(requests)])
                    done += 1
                return done

            return sum(threads.map(ask, askers)) / (time.monotonic() - begin)

        yield measure
