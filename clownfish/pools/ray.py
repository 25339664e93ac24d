"""Workers of a pool as actors of a Ray cluster, wherever it has room (extra `ray`).

Ray places them, keeps processors and shares of GPUs for them, and notices when a host is gone. An actor does not answer
windows itself: it runs the worker service as its child, under a supervisor, and that connects to the router like any
worker. So READY, credit, leases and draining are what they are everywhere, windows do not pass through Ray, and a
worker that hangs in its model takes no actor with it. The child inherits CUDA_VISIBLE_DEVICES, and dies with the actor.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging as standard_logging
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError

from clownfish import log as logging
from clownfish.errors import ConfigError
from clownfish.pools.local import LocalWorker, worker_config
from clownfish.settings import Config, section_of, to_tree
from clownfish.settings import Pool as Settings

_STOP_S = 8.0
"""An actor whose worker has not drained by then is killed."""
_STARTS = 3
"""A Ray that does not come up in the half minute that it gives itself is tried again."""
_LOCAL_STORE_BYTES = 80 * 1024 * 1024
"""What Ray's object store is given where we start Ray: about the least it takes, because nothing is put there."""


class Seat:
    """The actor: it holds what Ray keeps for a worker, and runs that worker."""

    def __init__(self, tree: Mapping[str, Any], name: str) -> None:
        config = section_of(Config, tree, "a pool's settings")
        logging.configure(f"worker-{name}", config.log.format, config.log.level)
        self._worker = LocalWorker(config, name)
        self._ready = asyncio.Event()
        self._says = ""

    async def run(self) -> tuple[str, bool]:
        """Until the worker ends; returns why, and whether it could not even start for a reason a user must mend."""
        try:
            return await self._worker.run(self._on_ready), False
        except ConfigError as error:
            return str(error), True

    def _on_ready(self, text: str) -> None:
        self._says = f"{text}, on {socket.gethostname()}"
        self._ready.set()

    async def ready(self) -> str:
        """What the worker says of itself, as soon as it does its work."""
        await self._ready.wait()
        return self._says

    async def stop(self) -> None:
        await self._worker.stop()


class RayWorker:
    """One actor, as the pool sees it; a `base.Worker`."""

    def __init__(self, seat: Any, tree: Mapping[str, Any], name: str) -> None:
        self._seat = seat
        self._tree = tree
        self._name = name
        self._actor: Any = None
        self._works = False

    async def run(self, on_ready: Callable[[str], None]) -> str:
        self._actor = self._seat.remote(self._tree, self._name)
        ended, ready = (
            asyncio.ensure_future(_result(ref)) for ref in (self._actor.run.remote(), self._actor.ready.remote())
        )
        try:
            await asyncio.wait([ended, ready], return_when=asyncio.FIRST_COMPLETED)
            if ready.done() and not ready.exception():
                self._works = True
                on_ready(ready.result())
            why, must_be_mended = await ended
        except RayError as error:
            return _in_words(error)
        finally:
            self._kill()
            for each in (ended, ready):
                each.cancel()
            await asyncio.gather(ended, ready, return_exceptions=True)
        if must_be_mended:
            raise ConfigError(f"worker {self._name!r} on Ray: {why}")
        return str(why)

    async def stop(self) -> None:
        if self._actor is None:
            return
        if self._works:  # else it has nothing to hand back, and perhaps no place yet where it could hear
            with contextlib.suppress(RayError):
                await self._actor.stop.remote()
            asyncio.get_running_loop().call_later(_STOP_S, self._kill)
        else:
            self._kill()

    def _kill(self) -> None:
        if ray.is_initialized():  # else ray.kill would begin another Ray
            with contextlib.suppress(RayError):
                ray.kill(self._actor)


class RayPool:
    """A Ray cluster; a `base.Pool`."""

    def __init__(self, config: Config) -> None:
        assert config.pool is not None
        self._settings: Settings = config.pool
        self._tree = to_tree(worker_config(config))
        self._seat: Any = None

    async def open(self) -> str:
        await asyncio.get_running_loop().run_in_executor(None, self._connect)
        options = {"num_cpus": self._settings.cpus, "num_gpus": self._settings.gpus, "max_restarts": 0}
        self._seat = ray.remote(Seat).options(**options)
        nodes = sum(bool(node["Alive"]) for node in ray.nodes())
        return f"Ray {ray.__version__}, {nodes} {'host' if nodes == 1 else 'hosts'}"

    def _connect(self) -> None:
        standard_logging.getLogger("ray").setLevel(standard_logging.ERROR)
        common = {"log_to_driver": False, "configure_logging": False, "namespace": "clownfish"}
        try:
            if self._settings.address == "local":
                os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
                ray.init("local", include_dashboard=False, object_store_memory=_LOCAL_STORE_BYTES, **common)
            else:
                ray.init(self._settings.address, **common)
        except (OSError, RuntimeError, ValueError) as error:  # a ConnectionError is an OSError
            # A Ray that does not come up in the half minute it gives itself raises a bare Exception: this process ends,
            # what was started of it goes too, and the supervisor tries again.
            raise ConfigError(
                f"pool.address {self._settings.address!r}: no Ray cluster there ({_first_line(error)}); start one with "
                '`ray start --head`, or say address = "local"'
            ) from error

    def worker(self, name: str) -> RayWorker:
        return RayWorker(self._seat, self._tree, name)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(None, ray.shutdown)


async def _result(ref: Any) -> Any:
    return await ref


def _in_words(error: RayError) -> str:
    """The line that says what happened: Ray's errors come with pages of advice, or with a traceback."""
    if isinstance(error, RayActorError):
        return _first_line(error)
    lines = str(error).split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), type(error).__name__)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
