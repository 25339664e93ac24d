"""capture: reads every stream in a thread of its own and sends each frame, resized once, to `window`.

A capture that (re)starts draws a new epoch, so that nothing downstream confuses its frames with those before. Streams
that are added to the graph while it runs are begun, and those that are removed are let go; the others notice nothing.
"""

from __future__ import annotations

import asyncio
import json

from clownfish.capturing import Capture
from clownfish.control import CAPTURE_SOCKET, MAX_COMMAND_BYTES
from clownfish.errors import SourceError
from clownfish.gains import OTHER
from clownfish.messages import Command, Reply
from clownfish.process import Process, run
from clownfish.rates import forget_rate
from clownfish.settings import Stream
from clownfish.sources import is_live

_GOLDEN = (5**0.5 - 1) / 2


class _Captures:
    """Every stream of the graph."""

    def __init__(self, process: Process) -> None:
        config, streams = process.config, len(process.config.streams)
        # Streams that began together deliver together: the queue must hold one burst of them all.
        self._outbox = process.bus.outbox(config.ipc("window"), "window", hwm=8 * streams, large=True)
        self._page = None
        if config.page is not None:
            self._page = process.bus.outbox(config.ipc("page-frames"), "page-frames", hwm=2 * streams, large=True)
        self._commands = process.bus.router(
            config.ipc(CAPTURE_SOCKET), "commands", (Command,), max_bytes=MAX_COMMAND_BYTES, insecure=False
        )
        self._process = process
        self._running: dict[str, tuple[Stream, Capture, asyncio.Task[None]]] = {}
        self._leaving: dict[str, asyncio.Task[None]] = {}
        """Streams that were removed, until they are gone."""
        self._spread = 0
        """Streams that were begun apart from each other."""
        self._changed = asyncio.Event()
        process.lineup.follow(self._changed.set)
        process.before_status(self._count)

    def _count(self) -> None:
        for _, capture, _ in self._running.values():
            capture.count()
        self._process.counters.set("sources_open", sum(capture.open for _, capture, _ in self._running.values()))

    async def run(self) -> None:
        """For ever, also when every file is at its end: the graph drains before it is told to stop.

        Raises what is wrong with a source where none has ever delivered anything, and none will.
        """
        while True:
            self._changed.clear()
            self._follow()
            works = [work for _, _, work in self._running.values()]
            changed = asyncio.ensure_future(self._changed.wait())
            waits_for = [changed, *(work for work in works if not work.done())]
            try:
                await asyncio.wait(waits_for, return_when=asyncio.FIRST_COMPLETED)
            finally:
                changed.cancel()
            for work in works:
                if work.done():
                    work.result()
            if all(work.done() for work in works) and self._process.state == "starting":
                self._check()

    def _check(self) -> None:
        captures = [capture for _, capture, _ in self._running.values()]
        useless = [capture.failure for capture in captures if capture.failure is not None and not capture.delivered]
        if len(useless) == len(captures):
            raise useless[0] if isinstance(useless[0], SourceError) else SourceError(str(useless[0]))

    def _follow(self) -> None:
        """Let go of streams that the graph has no more, or not as they were, and begin those that are new."""
        wanted = self._process.lineup.streams
        for name in [name for name, (stream, _, _) in self._running.items() if wanted.get(name) != stream]:
            _, capture, work = self._running.pop(name)
            self._leaving[name] = asyncio.ensure_future(self._leave(name, capture, work, self._leaving.get(name)))
        self._process.counters.keep_only("stream", {*wanted, *self._leaving, OTHER})
        for name, stream in wanted.items():
            if name not in self._running:
                capture = Capture(self._process, self._outbox, stream, self._page)
                work = asyncio.ensure_future(self._run(capture, self._leaving.get(name), self._apart_s(stream)))
                self._running[name] = (stream, capture, work)

    def _apart_s(self, stream: Stream) -> float:
        """How long to wait before it begins. Files that begin as one would have all their windows at the same moment,
        for ever, each behind the others; cameras each have a clock of their own. So files are spread over the time
        between two windows, by the golden ratio: evenly, however many come.
        """
        if stream.pace != "realtime" or is_live(stream.source):
            return 0.0
        config = self._process.config
        phase = self._spread * _GOLDEN % 1
        self._spread += 1
        return phase * config.window.stride / (stream.fps or config.capture.fps)

    async def _run(self, capture: Capture, before: asyncio.Task[None] | None, apart_s: float) -> None:
        """As soon as the one `before` it, of the same name, is gone: there is one camera."""
        if before is not None:
            await asyncio.wait([before])
        await asyncio.sleep(apart_s)
        await capture.run()

    async def _leave(
        self, name: str, capture: Capture, work: asyncio.Task[None], before: asyncio.Task[None] | None
    ) -> None:
        try:
            await capture.leave(work)
            if before is not None:  # which `work` waited for
                await asyncio.wait([before])
        finally:
            if self._leaving.get(name) is asyncio.current_task():
                del self._leaving[name]
        if name not in self._running:
            forget_rate(self._process.run_dir, name)
            self._process.counters.keep_only("stream", {*self._running, *self._leaving, OTHER})

    async def answer(self) -> None:
        """Whoever asks is told how each stream of now fares."""
        async for peer, command in self._commands:
            self._process.lineup.refresh()
            self._follow()
            self._process.publish()
            fares = {name: capture.fares() for name, (_, capture, _) in self._running.items()}
            self._commands.try_send(peer, Reply(command.sequence, True, json.dumps(fares, ensure_ascii=False)))

    async def stop(self) -> None:
        """Say of each stream how many frames there were."""
        works = [*self._leaving.values(), *(work for _, _, work in self._running.values())]
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)
        await asyncio.gather(*(capture.stop() for _, capture, _ in self._running.values()))


async def serve(process: Process) -> None:
    captures = _Captures(process)
    try:
        await process.run_together(captures.run(), captures.answer())
    finally:
        await captures.stop()


if __name__ == "__main__":
    run("capture", serve)
