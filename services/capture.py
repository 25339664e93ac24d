"""capture: reads every stream in a thread of its own and sends each frame, resized once, to `window`.

A capture that (re)starts draws a new epoch, so that nothing downstream confuses its frames with those before. Streams
that are added to the graph while it runs are begun, and those that are removed are let go; the others notice nothing.
"""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

from clownfish.bus import Outbox
from clownfish.control import CAPTURE_SOCKET, MAX_COMMAND_BYTES
from clownfish.errors import SourceError
from clownfish.gains import OTHER
from clownfish.messages import Command, End, Frame, Pixels, Reply
from clownfish.process import Process, run
from clownfish.rates import forget_rate, write_rate
from clownfish.settings import Stream
from clownfish.sources import is_live, open_source
from clownfish.sources.reader import Reader

_MAX_PENDING = 16
"""Frames of one stream between its thread and the socket; beyond that the loop is stuck, and they are dropped."""
_MAX_RETRY_S = 30.0
_LEAVE_S = 1.0
"""How long a source that is let go may owe a frame. A read that hangs does not end: its thread is left behind."""
_WHY = 300
"""Characters of a reason: enough of any error, and all streams' fit into one message."""


class _Capture:
    """One stream, epoch after epoch."""

    def __init__(self, process: Process, outbox: Outbox, stream: Stream, page: Outbox | None) -> None:
        self._process = process
        self._outbox = outbox
        self._page = page
        """Gets some of the frames, to be looked at."""
        self._shown_ns = 0
        self._stream = stream
        self._live = stream.pace == "realtime"
        self._log = process.log.bind(stream=stream.name)
        shown_per_s = process.config.page.frames_per_s if process.config.page is not None else 0.0
        self._show_every_ns = int(0.95e9 / shown_per_s) if shown_per_s else 0
        self._label = f'{{stream="{process.lineup.label(stream.name)}"}}'
        self._pending = 0
        self._epoch = 0
        self._reader: Reader | None = None
        self.open = True
        self._stopped = False
        self._leaving = False
        self.failure: Exception | None = None
        self.delivered = False
        """Whether any frame ever came. A file that breaks off would only break off again if it were started anew."""

    async def run(self) -> None:
        retry_s = self._process.config.capture.retry_s
        while True:
            frames = await self._run_epoch()
            self._process.publish()
            reader, self._reader = self._reader, None
            over = not is_live(self._stream.source) or (frames and reader is not None and not reader.live)
            if self._leaving or over:
                self.open = False
                return
            retry_s = self._process.config.capture.retry_s if frames else min(2 * retry_s, _MAX_RETRY_S)
            self._log.warning("source is opened again", wait_s=retry_s)
            self._process.counters.add("source_retries")
            await asyncio.sleep(retry_s)

    async def _run_epoch(self) -> int:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[tuple[int, str, Exception | None]] = loop.create_future()
        self._epoch = random.SystemRandom().getrandbits(48)
        log = self._log.bind(epoch=self._epoch)

        def on_frame(n: int, capture_ns: int, pixels: Pixels) -> None:
            if n == 0:
                write_rate(self._process.run_dir, self._stream.name, reader.fps)
            frame = Frame(self._stream.name, self._epoch, n, capture_ns, self._live, pixels)
            if self._page is not None and capture_ns - self._shown_ns >= self._show_every_ns:
                self._shown_ns = capture_ns
                loop.call_soon_threadsafe(self._show, frame)
            if not self._live:
                loop.call_soon_threadsafe(self._taken)
                asyncio.run_coroutine_threadsafe(self._outbox.put(frame), loop).result()
            elif self._pending < _MAX_PENDING:
                self._pending += 1
                loop.call_soon_threadsafe(self._send, frame)
            else:
                loop.call_soon_threadsafe(self._process.counters.add, 'frames_dropped{reason="loop"}')

        def on_end(frames: int, reason: str, error: Exception | None) -> None:
            loop.call_soon_threadsafe(ended.set_result, (frames, reason, error))

        stream, capture = self._stream, self._process.config.capture
        reader = self._reader = Reader(
            lambda: open_source(stream.source, stream.fps, stream.seconds),
            width=capture.width,
            height=capture.height,
            on_frame=on_frame,
            on_end=on_end,
            pace=stream.pace,
            loop=stream.loop,
        )
        reader.start()
        stalled = False
        while not ended.done():
            await asyncio.wait([ended], timeout=capture.stall_s / 4)
            if (reader.stalled_s() > capture.stall_s) != stalled:
                stalled = not stalled
                self._process.counters.set(f"stalled{self._label}", float(stalled))
                self._process.counters.add("stalls", int(stalled))
                log.warning("source delivers nothing" if stalled else "source delivers again", stall_s=capture.stall_s)
        frames, reason, error = ended.result()
        self.delivered |= frames > 0
        if error is not None:
            self.failure = error
            self._process.counters.add("source_errors")
            log.error("source broke off", frames=frames, error=str(error))
        await self._outbox.insist(End(stream.name, self._epoch, frames, reason))
        log.info("end of stream", frames=frames, reason=reason)
        return frames

    def _send(self, frame: Frame) -> None:
        self._pending -= 1
        if self._stopped:
            return
        self._taken()
        self._outbox.try_send(frame)

    def _show(self, frame: Frame) -> None:
        if self._page is not None and not self._stopped:  # else the socket is closed
            self._page.try_send(frame)

    def _taken(self) -> None:
        """A frame goes out."""
        self._process.counters.add(f"frames{self._label}")
        if self._process.state == "starting":
            self._process.ready()

    async def stop(self) -> None:
        """Say how many frames there were, so that what is on its way is finished and not waited for."""
        if self._reader is not None and self.open:
            self._reader.stop()
            await self._outbox.insist(End(self._stream.name, self._epoch, self._reader.frames, "stopped"))
        self._stopped = True

    async def leave(self, work: asyncio.Task[None]) -> None:
        """The stream was removed: what it has delivered is finished, and its epoch, which `work` runs, is over.

        Takes as long as the graph takes for its last frames.
        """
        self._leaving = True
        reader = self._reader
        if reader is not None:
            reader.stop()
            while not work.done() and reader.stalled_s() < _LEAVE_S:
                await asyncio.wait([work], timeout=_LEAVE_S / 4)
        work.cancel()  # it waits to open its source again, or for one that hangs
        await asyncio.gather(work, return_exceptions=True)
        await self.stop()

    def fares(self) -> dict[str, Any]:
        """How it fares, for people."""
        reader = self._reader
        if not self.open:
            state = "ended"
        elif reader is None:
            state = "opens" if self.failure is None else "waits"
        elif reader.stalled_s() > self._process.config.capture.stall_s:
            state = "stalled"
        else:
            state = "delivers" if reader.frames else "opens"
        why = str(self.failure)[:_WHY] if self.failure is not None and state in ("ended", "waits") else ""
        return {"state": state, "frames": 0 if reader is None else reader.frames, "why": why}


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
        self._running: dict[str, tuple[Stream, _Capture, asyncio.Task[None]]] = {}
        self._leaving: dict[str, asyncio.Task[None]] = {}
        """Streams that were removed, until they are gone."""
        self._changed = asyncio.Event()
        process.lineup.follow(self._changed.set)
        process.before_status(self._count)

    def _count(self) -> None:
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
                capture = _Capture(self._process, self._outbox, stream, self._page)
                work = asyncio.ensure_future(self._run(capture, self._leaving.get(name)))
                self._running[name] = (stream, capture, work)

    async def _run(self, capture: _Capture, before: asyncio.Task[None] | None) -> None:
        """As soon as the one `before` it, of the same name, is gone: there is one camera."""
        if before is not None:
            await asyncio.wait([before])
        await capture.run()

    async def _leave(
        self, name: str, capture: _Capture, work: asyncio.Task[None], before: asyncio.Task[None] | None
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
