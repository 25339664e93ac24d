"""Control: the streams of a running graph are changed from outside (layer 2).

The supervisor takes commands from a socket in the run folder, which nobody else may enter (mode 0700), one at a time:

    add {a stream as in [[streams]]} · remove {"name"} · reset · list

A change is validated as the configuration is, written down for the next start (`kept_streams`), and put where every
process of the graph looks (`lineup`); whatever cannot be done changes nothing. Then capture is asked to look at once,
and how each stream fares. One that does not answer, because it is just being started again, will look when it begins.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clownfish.bus import Bus, fresh_routing_id
from clownfish.errors import ClownfishError, ConfigError
from clownfish.log import get_logger
from clownfish.messages import Command, Reply
from clownfish.settings import ipc_in, to_tree
from clownfish.within import within

if TYPE_CHECKING:  # pydantic comes with it, and not every graph has a control
    from clownfish.kept_streams import Changes, KeptStreams

CONTROL_SOCKET = "control"
"""Of the supervisor."""
CAPTURE_SOCKET = "capture"
"""Of capture, for the supervisor."""
MAX_COMMAND_BYTES = 256 * 1024
_CAPTURE_S = 3.0
"""How long a command waits for capture: it has its answer in milliseconds, or is not there."""


class Asker:
    """Asks one process of this box."""

    def __init__(self, bus: Bus, endpoint: str) -> None:
        self._dealer = bus.dealer(endpoint, "commands", (Reply,), routing_id=fresh_routing_id())
        self._sequence = 0
        self._awaited: dict[int, asyncio.Future[Reply]] = {}
        self._hearing = asyncio.ensure_future(self._hear())

    async def ask(self, what: str, text: str, patience_s: float) -> Reply | None:
        """Its reply; None where none came in time."""
        self._sequence += 1
        command = Command(self._sequence, what, text)
        awaited: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._awaited[command.sequence] = awaited

        async def reply() -> Reply:
            await self._dealer.put(command)
            return await awaited

        try:
            return await within(reply(), patience_s)
        except asyncio.TimeoutError:
            return None
        finally:
            del self._awaited[command.sequence]

    async def _hear(self) -> None:
        async for reply in self._dealer:
            awaited = self._awaited.get(reply.sequence)  # None: it comes too late
            if awaited is not None and not awaited.done():
                awaited.set_result(reply)

    async def close(self) -> None:
        self._hearing.cancel()
        await asyncio.gather(self._hearing, return_exceptions=True)


class Control:
    """Of one graph: `file` is the configuration that its processes read, `kept` what it is made of."""

    def __init__(self, bus: Bus, file: Path, kept: KeptStreams) -> None:
        self._file = file
        self._kept = kept
        endpoint = ipc_in(file.parent, CONTROL_SOCKET)
        self._inbox = bus.router(endpoint, "control", (Command,), max_bytes=MAX_COMMAND_BYTES, insecure=False)
        self._capture = Asker(bus, ipc_in(file.parent, CAPTURE_SOCKET))
        self._log = get_logger()

    async def serve(self) -> None:
        """Until cancelled."""
        if self._kept.stale:
            self._keep(self._kept.changes)
        async for peer, command in self._inbox:
            try:
                said = Reply(command.sequence, True, json.dumps(await self._do(command), ensure_ascii=False))
            except ClownfishError as error:
                said = Reply(command.sequence, False, str(error))
            except Exception as error:  # the graph goes on, whatever is wrong here
                self._log.exception("bug", command=command.what)
                said = Reply(command.sequence, False, f"{type(error).__name__}: {error}")
            self._inbox.try_send(peer, said)

    async def _do(self, command: Command) -> Any:
        """What is replied. Raises ClownfishError where it cannot be done; then nothing has changed."""
        if command.what == "list":
            return self._kept.listed(await self._ask_capture() or {})
        before = {stream.name for stream in self._kept.config.streams}
        self._keep(self._changes(command))
        after = {stream.name for stream in self._kept.config.streams}
        added, removed = sorted(after - before), sorted(before - after)
        self._log.info("streams changed", added=added, removed=removed)
        told = await self._ask_capture() is not None
        return {"added": added, "removed": removed, "told": told}

    def _changes(self, command: Command) -> Changes:
        where = f"stream {command.what}"
        try:
            about = json.loads(command.text)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{where}: not valid JSON: {error}") from error
        if command.what == "reset":
            return self._kept.resetting()
        if not isinstance(about, dict):
            raise ConfigError(f"{where}: expected a table, read {command.text[:80]!r}")
        if command.what == "add":
            return self._kept.adding(about, where)
        if command.what == "remove":
            return self._kept.removing(str(about.get("name")), where)
        raise ConfigError(f"unknown command {command.what[:80]!r}; known: add, remove, reset, list")

    def _keep(self, changes: Changes) -> None:
        """Written down, then in force: both or neither. Raises ConfigError where a disk takes no more."""
        config = self._kept.config_with(changes, str(self._kept.path))
        prepared = self._file.with_suffix(".new")
        try:
            prepared.write_text(json.dumps(to_tree(config)), encoding="utf-8")
            self._kept.keep(changes)
            prepared.replace(self._file)
        except OSError as error:
            raise ConfigError(f"nothing was changed, because it cannot be written down: {error}") from error
        finally:
            prepared.unlink(missing_ok=True)

    async def _ask_capture(self) -> dict[str, Any] | None:
        """How each stream fares now; None where capture does not say."""
        reply = await self._capture.ask("streams", "", _CAPTURE_S)
        return None if reply is None or not reply.well else dict(json.loads(reply.text))


async def ask(run_dir: Path, what: str, about: Any = None, patience_s: float = 15.0) -> Any:
    """Ask the graph in that folder; what it replies. Raises ClownfishError where it refuses, or does not answer."""
    bus = Bus(lambda name: None)
    asker = Asker(bus, ipc_in(run_dir, CONTROL_SOCKET))
    try:
        reply = await asker.ask(what, json.dumps(about), patience_s)
    finally:
        await asker.close()
        bus.close(0)
    if reply is None:
        raise ClownfishError(f"the graph in {run_dir} does not answer within {patience_s:g} s; see `clownfish status`")
    if not reply.well:
        raise ClownfishError(reply.text)
    return json.loads(reply.text)
