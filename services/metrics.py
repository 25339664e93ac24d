"""metrics: what the graph's processes publish, for Prometheus, and whether it lives and is ready, for Kubernetes.

It reads what the supervisor passes on, and nothing else: no process waits for it, and none is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from pathlib import Path

from clownfish import __version__
from clownfish.errors import ConfigError
from clownfish.exposition import CONTENT_TYPE, expose
from clownfish.health import SUPERVISOR, ready_processes, verdict_of
from clownfish.httpd import Request, Response, Server
from clownfish.messages import Status
from clownfish.process import WATCH_SOCKET, Process, run
from clownfish.section import host_port
from clownfish.settings import Metrics
from clownfish.within import within

_RETRY_S = 5.0
_SETTLE_S = 4.0
_PROCESSES = 1024


class _Metrics:
    def __init__(self, process: Process, settings: Metrics) -> None:
        self._process = process
        self._host, self._port = host_port(settings.listen)
        self._token = _token(settings.token_file)
        self._inbox = process.bus.subscriber(process.config.ipc(WATCH_SOCKET), "watch", (Status,))
        self._statuses: dict[str, Status] = {}
        self._heard = time.monotonic()
        self._whole = asyncio.Event()
        """Set when every process that does its work was heard: a page without some would show a gap."""
        self._server = Server(self._answer, self._refuse)

    async def take(self) -> None:
        async for status in self._inbox:
            if status.service in self._statuses or len(self._statuses) < _PROCESSES:
                self._statuses[status.service] = status
            if status.service == SUPERVISOR:
                self._heard = time.monotonic()
                wanted = {SUPERVISOR, *ready_processes(status)}
                if wanted <= self._statuses.keys():
                    self._whole.set()

    async def serve(self) -> None:
        """Where the port is taken it is tried again: the graph does not depend on being watched."""
        with contextlib.suppress(asyncio.TimeoutError):
            await within(self._whole.wait(), _SETTLE_S)
        where = f"{self._host}:{self._port}"
        while True:
            try:
                await self._server.listen(self._host, self._port)
                break
            except (OSError, OverflowError) as error:
                if not self._process.text:
                    self._process.log.warning("metrics are not served; trying again", listen=where, error=str(error))
                    self._process.ready(f"cannot listen on {where}")
                await asyncio.sleep(_RETRY_S)
        self._process.ready(f"http://{where}/metrics")
        try:
            await asyncio.Event().wait()
        finally:
            await self._server.close()

    def _answer(self, request: Request) -> Response:
        trusted = request.bears(self._token)
        if request.path in ("/livez", "/readyz"):
            verdict = verdict_of(self._statuses.get(SUPERVISOR), time.monotonic() - self._heard)
            well, why = (verdict.live, verdict.hung) if request.path == "/livez" else (verdict.ready, verdict.unready)
            said = {request.path[1:-1]: well, **({"reasons": dict(why)} if trusted else {})}
            return Response(200 if well else 503, json.dumps(said) + "\n", "application/json")
        if request.path != "/metrics":
            return Response(404, "/metrics, /livez or /readyz\n")
        if not trusted:
            self._refuse("token")
            return Response(401, "a bearer token is needed\n")
        self._process.counters.add("scrapes")
        return Response(200, expose(self._statuses.values(), __version__), CONTENT_TYPE)

    def _refuse(self, why: str) -> None:
        self._process.counters.add(f'refused{{reason="{why}"}}')


def _token(path: str) -> str:
    if not path:
        return ""
    try:
        token = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"metrics.token_file {path}: cannot be read: {error}") from error
    if not token:
        raise ConfigError(f"metrics.token_file {path} is empty; expected the token that /metrics asks for")
    return token


async def serve(process: Process) -> None:
    settings = process.config.metrics
    if settings is None:
        raise ConfigError("[metrics] is missing: it says where to listen")
    service = _Metrics(process, settings)
    if settings.insecure and not settings.token_file:
        process.log.warning("metrics are served without a token, as told", listen=settings.listen)
    await process.run_together(service.take(), service.serve())


if __name__ == "__main__":
    run("metrics", serve)
