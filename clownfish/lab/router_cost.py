"""How many windows a router passes on one core, and how long it keeps them, with workers that answer at once.

The router is the real process, on a core of its own; `load`, on another, is a thousand edges and the workers. With
n_w = 6 a window's request brings sixteen new frames. 2,000 windows a second are what 1,600 streams then ask for.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import psutil

from clownfish.bus import new_pair
from clownfish.config import validate
from clownfish.errors import ClownfishError
from clownfish.keys import Key, write_key
from clownfish.lab.cores import divided, pinned
from clownfish.lab.figures import Figure, Line, Use
from clownfish.lab.free_port import free_endpoints
from clownfish.lab.load import Phase, Plan, Result
from clownfish.settings import Config
from clownfish.supervisor import Supervisor
from clownfish.within import within

WINDOW_BYTES, WORKERS, IN_FLIGHT = 15_000, 8, 64
ASKED_PER_S, ALLOWED_MS = 2000.0, 5.0
Pair = tuple[str, str]
"""A key: its public and its secret half."""
_PATIENCE_S = 60.0
"""Beyond the phases' own time: a thousand sessions connect, and what is late comes in."""


def router_lines(
    folder: Path, sessions: int, seconds: float, say: Callable[[str], None]
) -> tuple[list[Line], list[Use]]:
    """Two lines without keys, two with: CURVE encrypts every byte on both sides."""
    lines: list[Line] = []
    uses: list[Use] = []
    for guarded in (False, True):
        how = "behind keys" if guarded else "without keys"
        say(f"a router {how}, {sessions} edges …")
        place = folder / f"router-{int(guarded)}"
        place.mkdir(parents=True)
        keys, router_key = _keys(place, sessions) if guarded else ((), "")
        config = _config(place, guarded)
        full, half, resident_mb = asyncio.run(_measure(place, config, keys, router_key, sessions, seconds))
        uses.append(Use(f"router {how}, as much as it takes", "router", full.router_cpu, resident_mb))
        uses.append(Use(f"router {how}, {_per_s(half):.0f} windows a second", "router", half.router_cpu, resident_mb))
        lines.append(
            Line(
                f"windows of {WINDOW_BYTES / 1000:g} kB through a router on one core, {sessions} edges, {how}",
                Figure(_per_s(full), "1/s"),
                "what 1,600 streams at n_w 6 ask for",
                Figure(ASKED_PER_S, "1/s"),
                f"router {full.router_cpu:.0%} of its core, load {full.load_cpu:.0%} of its own; " + _latency(full),
            )
        )
        lines.append(
            Line(
                f"p99 of what it adds at {_per_s(half):.0f} windows a second, {how}",
                Figure(half.latency_ms["p99"], "ms"),
                "allowed at half load",
                Figure(ALLOWED_MS, "ms"),
                f"router {half.router_cpu:.0%} of its core; " + _latency(half),
            )
        )
    return lines, uses


def _per_s(result: Result) -> float:
    return result.answered / result.seconds


def _latency(result: Result) -> str:
    text = ", ".join(f"{name} {value:.2f} ms" for name, value in result.latency_ms.items())
    dropped = ", ".join(f"{count} {reason}" for reason, count in result.dropped.items())
    return text + (f"; dropped: {dropped}" if dropped else "; nothing dropped")


async def _measure(
    place: Path, config: Config, keys: tuple[Pair, ...], router_key: str, sessions: int, seconds: float
) -> tuple[Result, Result, float]:
    """(as many as it takes, half of what is asked for, the router's memory in MB)."""
    routers, loads = divided()
    assert config.router is not None  # _config has set it
    supervisor = Supervisor(config, place)
    try:
        with pinned({min(routers)}):
            await supervisor.start(wait_for_all=True)
        child = supervisor.children["router"]
        assert child.process is not None  # it is ready
        plan = Plan(
            config.router.control,
            config.router.data,
            config.router.workers,
            sessions,
            WINDOW_BYTES,
            WORKERS,
            (
                Phase("full", seconds, in_flight=min(IN_FLIGHT, sessions)),
                Phase("half", seconds, per_s=ASKED_PER_S / 2, most_of_full=0.5),
            ),
            child.process.pid,
            router_key,
            keys,
        )
        full, half = await _load(plan, loads)
        if child.restarts:
            raise ClownfishError(f"the router ended under load; {place} has its log")
        return full, half, psutil.Process(child.process.pid).memory_info().rss / 1e6
    finally:
        await supervisor.stop(drain=False)


async def _load(plan: Plan, cores: set[int]) -> list[Result]:
    """What the load measured, phase by phase. Raises ClownfishError where it says nothing, or nothing was answered."""
    with pinned(cores):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "clownfish.lab.load",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    patience_s = _PATIENCE_S + 2 * sum(phase.seconds for phase in plan.phases)
    try:
        said = await within(process.communicate(json.dumps(asdict(plan)).encode() + b"\n"), patience_s)
    except asyncio.TimeoutError:
        raise ClownfishError(f"the load did not end within {patience_s:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
    results = [Result(**json.loads(line)) for line in said[0].splitlines()]
    if len(results) != len(plan.phases) or not all(result.answered for result in results):
        words = said[1].decode(errors="replace").strip().splitlines()
        raise ClownfishError(f"the router answered nothing: {words[-1] if words else results}")
    return results


def _config(place: Path, guarded: bool) -> Config:
    control, data, workers = free_endpoints(3)
    router = {"control": control, "data": data, "workers": workers}
    if guarded:
        router["keys"] = str(place / "keys")
    tree = {
        "graph": {"name": "bench", "run_dir": str(place / "run")},
        "log": {"level": "warning"},
        "router": router,
    }
    return validate(tree, "bench")


def _keys(place: Path, sessions: int) -> tuple[tuple[Pair, ...], str]:
    """A folder of keys with a device for each session and worker; returns theirs, and the router's public key."""
    folder = place / "keys"
    router = Key("router", *new_pair())
    write_key(folder / "router.key", router)
    pairs = tuple(new_pair() for _ in range(sessions + WORKERS))
    for i, (public, _) in enumerate(pairs):
        key = Key(f"device-{i}", public, role="edge" if i < sessions else "worker")
        write_key(folder / "authorized" / f"{key.name}.pub", key)
    return pairs, router.public
