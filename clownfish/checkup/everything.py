"""All checks of a configuration, together: each bounded in time, those that wait beside each other."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path

from clownfish.checkup.clock import clock, is_synchronised
from clownfish.checkup.disk import disks, run_folder
from clownfish.checkup.finding import Finding, bounded, fault, in_thread, ok
from clownfish.checkup.gpu import gpu
from clownfish.checkup.keys import keys
from clownfish.checkup.link import links
from clownfish.checkup.models import models
from clownfish.checkup.packages import packages
from clownfish.checkup.ports import ports
from clownfish.checkup.resources import resources
from clownfish.checkup.sources import AT_ONCE, sources
from clownfish.config import load_config
from clownfish.errors import ConfigError
from clownfish.runfolder import is_running
from clownfish.settings import Config

QUICK_S = 10.0
"""What looks at files and numbers of this machine."""
LINK_S = 10.0
GPU_S = 30.0
"""torch is a large import from a slow card."""
SOURCE_S = 15.0
"""A live source's own time-outs are ten seconds and three, unless [capture] says otherwise."""


def read(path: Path, sets: Iterable[str] = ()) -> tuple[Config | None, list[Finding]]:
    """The configuration, and whether it is right: one finding a fault."""
    try:
        return load_config(path, sets), [ok("configuration", f"{path} is right")]
    except ConfigError as error:
        advice = "correct it; `clownfish config schema` has all keys, configs/ has examples"
        return None, [fault("configuration", line, advice) for line in str(error).splitlines()]


async def examine(config: Config | None, source_s: float = SOURCE_S) -> list[Finding]:
    """All findings, in the order of the list below; without a configuration, what concerns the machine alone."""

    def quick(name: str, check: Callable[[], Sequence[Finding]]) -> Awaitable[Sequence[Finding]]:
        return bounded(name, in_thread(check), QUICK_S)

    def the_clock() -> list[Finding]:
        return clock(datetime.datetime.now(datetime.timezone.utc), is_synchronised())

    running = False if config is None else is_running(config.run_dir())
    work = [quick("packages", lambda: packages(config)), quick("clock", the_clock)]
    work += [bounded("gpu", gpu(config, GPU_S), GPU_S + 2)]
    if config is not None:
        of = config
        turns = -(-len(of.streams) // AT_ONCE)
        work += [
            quick("model", lambda: models(of)),
            bounded("source", sources(of, running, source_s), source_s * turns + 2),
            quick("key", lambda: keys(of)),
            bounded("link", links(of, running), LINK_S),
            quick("port", lambda: ports(of, running)),
            quick("disk run folder", lambda: run_folder(of)),
            quick("disk", lambda: disks(of)),
        ]
    work.append(quick("machine", lambda: resources(config, running)))
    return [finding for findings in await asyncio.gather(*work) for finding in findings]
