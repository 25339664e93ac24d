"""Workers of a pool as processes of this host, each under a supervisor of its own."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from clownfish.errors import ClownfishError, ConfigError
from clownfish.keys import read_public
from clownfish.runfolder import remove_folder
from clownfish.settings import Config
from clownfish.supervisor import Spec, Supervisor


class LocalWorker:
    """One worker service and the supervisor that looks after it; a `base.Worker`.

    A worker that dies is started again here, in its place, as in any graph; `run` ends only where that is of no use.
    """

    def __init__(self, config: Config, name: str) -> None:
        """`config`: as `worker_config` gave it. Raises ConfigError where there is no place for its folder."""
        try:
            self._folder = Path(
                tempfile.mkdtemp(prefix="clownfish-")
            )  # a short path: sockets' addresses have little room
        except OSError as error:
            raise ConfigError(f"no folder for worker {name!r} can be made: {error}; set TMPDIR") from error
        own = replace(config, graph=replace(config.graph, run_dir=str(self._folder)))
        spec = Spec("worker", name)
        self._supervisor = Supervisor(own, specs=[spec])
        self._child = self._supervisor.children[spec.process]
        self._stop = asyncio.Event()

    async def run(self, on_ready: Callable[[str], None]) -> str:
        works = [asyncio.ensure_future(self._work(on_ready)), asyncio.ensure_future(self._stop.wait())]
        try:
            await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
            if works[0].done():
                works[0].result()
            return "told to"
        except ClownfishError as error:
            if self._child.ever_ready:
                return str(error)
            raise ConfigError(str(error)) from error
        finally:
            for work in works:
                work.cancel()
            await asyncio.gather(*works, return_exceptions=True)
            await self._supervisor.stop(drain=True)
            remove_folder(self._folder)

    async def _work(self, on_ready: Callable[[str], None]) -> None:
        await self._supervisor.start()
        await self._supervisor.run_until(self._child.ready.is_set)
        on_ready(self._child.status.text if self._child.status is not None else "")
        await self._supervisor.run_until(lambda: False)

    async def stop(self) -> None:
        self._stop.set()


class LocalPool:
    """This host; a `base.Pool`."""

    def __init__(self, config: Config) -> None:
        self._config = worker_config(config)

    async def open(self) -> str:
        return "this host"

    def worker(self, name: str) -> LocalWorker:
        return LocalWorker(self._config, name)

    async def close(self) -> None:
        pass


def worker_config(config: Config) -> Config:
    """What a worker of the pool needs to know of the graph's configuration, and nothing else.

    Paths are made absolute, because a worker runs in another folder, perhaps on another host, which must have the same
    files there. So must the secret key: it stays a file, and no secret travels with the settings. The router's public
    key travels as its characters. Raises ConfigError where that cannot be read.
    """
    assert config.worker is not None  # a configuration with a pool has one
    settings = config.worker
    worker = replace(
        settings,
        count=1,
        model=_absolute(settings.model),
        calibration=_absolute(settings.calibration),
        key=str(Path(settings.key).absolute()) if settings.key else "",
        router_key=read_public(settings.router_key) if settings.router_key else "",
    )
    return Config(log=config.log, capture=config.capture, worker=worker)


def _absolute(value: str) -> str:
    """A path of this host as seen from anywhere on it; what is no path (`zoo:…`, `puppets:…`) as it is."""
    path = Path(value)
    beside = [path, path.with_name(path.name + ".json")] if path.name else []
    return str(path.absolute()) if any(each.exists() for each in beside) else value
