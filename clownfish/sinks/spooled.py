"""What sinks share that talk to a target which may be away: a spool, one connection at a time, back-off (layer 1).

`write` puts one line of JSON in the spool and returns: nobody ever waits for the network. `run` connects, gives the
target what waits, in order, and acknowledges what it has. A target that fails is tried again, after a while that
doubles; nothing is given out of order, and nothing overtakes what failed. Delivery is at least once: the same id and
revision may come twice, and a consumer keeps the newest revision of each id.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections import Counter
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, Protocol

from clownfish.backoff import Backoff
from clownfish.errors import SinkError
from clownfish.messages import End
from clownfish.sinks.base import Item, SinkContext
from clownfish.sinks.forms import key_of, line_of, utc_now
from clownfish.spool import STATE_LOST, Entry, Spool
from clownfish.within import within

_SYNC_S = 0.2


class Unreachable(Exception):
    """The target did not take what it was given, and may later. `wait_s`: how long it wants to be left alone."""

    def __init__(self, why: str, wait_s: float = 0.0) -> None:
        super().__init__(why)
        self.wait_s = wait_s


class Session(Protocol):
    """A target that is there."""

    async def send(self, entries: Sequence[Entry]) -> None:
        """Returns when the target has them all. Raises Unreachable."""

    async def lost(self) -> None:
        """Returns, or raises Unreachable, when the target is known to be gone."""


class Spooled:
    """A sink but for `_session`, an asynchronous context that connects and yields a Session, or raises Unreachable."""

    batch = 1
    """How many messages a session is given at once."""

    def __init__(
        self,
        context: SinkContext,
        *,
        spool: str = "",
        spool_mb: float = 64.0,
        retry_s: float = 0.5,
        retry_max_s: float = 30.0,
    ) -> None:
        """`spool`: a folder of this sink's own; empty: one below the context's. Raises SinkError."""
        self._context = context
        self._backoff = Backoff(retry_s, retry_max_s)
        folder = spool or context.state_folder / "spool" / context.name
        self._spool = Spool(folder, spool_mb)
        if self._spool.counts[STATE_LOST]:
            context.tell(f"spool {folder} was damaged: messages may come again, or be missing")
        self._wake, self._empty = asyncio.Event(), asyncio.Event()
        self._own: Counter[str] = Counter()
        self._connected = False
        self._told = False

    def _session(self) -> contextlib.AbstractAsyncContextManager[Session]:
        raise NotImplementedError

    @property
    def counts(self) -> Counter[str]:
        return self._spool.counts + self._own

    def gauges(self) -> dict[str, float]:
        return {
            "connected": float(self._connected),
            "spool_messages": self._spool.waiting,
            "spool_bytes": self._spool.size_bytes,
        }

    def write(self, item: Item) -> None:
        """Takes it, or counts that it could not. Raises SinkError for a number that JSON cannot hold."""
        self._spool.append(line_of(item, key=key_of(item), said_at=utc_now()))
        self._wake.set()

    def end(self, end: End) -> None:
        """Nothing to do: what concerns it is in the spool."""

    def close(self) -> None:
        self._spool.close()

    async def run(self) -> None:
        """Gives the target what waits, for ever."""
        keeper = asyncio.ensure_future(self._sync_for_ever())
        try:
            while True:
                try:
                    async with self._session() as session:
                        await self._serve(session)
                except Unreachable as error:
                    self._connected = False
                    self._own["target_failures"] += 1
                    if not self._told:
                        self._told = True
                        self._context.tell(f"target fails, what comes waits in the spool: {error}")
                    await asyncio.sleep(max(self._backoff.next_s(), min(error.wait_s, 300.0)))
        finally:
            self._connected = False
            keeper.cancel()

    async def drain(self, patience_s: float) -> None:
        """What is not gone by then waits for the next start."""
        if self._spool.waiting and self._connected:
            self._empty.clear()
            self._wake.set()
            with contextlib.suppress(asyncio.TimeoutError):
                await within(self._empty.wait(), patience_s)

    async def _serve(self, session: Session) -> None:
        lost = asyncio.ensure_future(session.lost())
        try:
            self._connected = True
            while True:
                self._wake.clear()
                entries = self._spool.peek(self.batch)
                if entries:
                    await _unless(lost, session.send(entries))
                    self._spool.acknowledge(entries[-1].number)
                    self._backoff.reset()
                    if self._told:
                        self._told = False
                        self._context.tell("target takes messages again")
                    await asyncio.sleep(0)  # a target that never makes us wait must not stop `write`
                    continue
                self._empty.set()
                await _unless(lost, self._wake.wait())
        finally:
            lost.cancel()
            with contextlib.suppress(asyncio.CancelledError, Unreachable):
                await lost

    async def _sync_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_SYNC_S)
            self._spool.sync()


async def _unless(lost: asyncio.Future[None], work: Coroutine[Any, Any, object]) -> None:
    """Do it; not to its end where the target is lost meanwhile, which a `work` that waits may see late or never.

    Raises Unreachable, and what `work` raises.
    """
    task = asyncio.ensure_future(work)
    try:
        first: list[asyncio.Future[Any]] = [task, lost]
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
            return
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    lost.result()
    raise Unreachable("the target closed the connection")


async def never() -> None:
    """For a Session that cannot know that its target is gone before it sends."""
    await asyncio.get_running_loop().create_future()


def record_in(entry: Entry) -> dict[str, Any]:
    """What `write` put there: the record, with `key` and `said_at`."""
    record: dict[str, Any] = json.loads(entry.data)
    return record


def read_secret(file: str, variable: str, what: str) -> str | None:
    """A password or key: from a file, or from the environment; None where neither is named.

    Raises SinkError where it is named and is not there: never in the configuration, which is shown and passed on.
    """
    if file and variable:
        raise SinkError(f"{what}: give {what}_file or {what}_env, not both")
    if variable:
        value = os.environ.get(variable)
        if not value:
            raise SinkError(f"{what}_env: the environment has no {variable}; set it before `clownfish up`")
        return value
    if not file:
        return None
    try:
        secret = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SinkError(f"{what}_file {file}: cannot be read ({error})") from error
    if not secret:
        raise SinkError(f"{what}_file {file}: is empty; expected the {what}")
    return secret
