"""capture: reads every stream in a thread of its own and sends each frame, resized once, to `window`.

A capture that (re)starts draws a new epoch, so that nothing downstream confuses its frames with those before.
"""

from __future__ import annotations

import asyncio
import random

from clownfish.bus import Outbox
from clownfish.errors import SourceError
from clownfish.gains import OTHER, STREAMS
from clownfish.messages import End, Frame, Pixels
from clownfish.process import Process, run
from clownfish.rates import write_rate
from clownfish.settings import Stream
from clownfish.sources import is_live, open_source
from clownfish.sources.reader import Reader

_MAX_PENDING = 16
"""Frames of one stream between its thread and the socket; beyond that the loop is stuck, and they are dropped."""
_MAX_RETRY_S = 30.0


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
        own = stream in process.config.streams[:STREAMS]
        self._label = f'{{stream="{stream.name if own else OTHER}"}}'
        self._pending = 0
        self._epoch = 0
        self._reader: Reader | None = None
        self.open = True
        self._stopped = False
        self.failure: Exception | None = None
        self.delivered = False
        """Whether any frame ever came. A file that breaks off would only break off again if it were started anew."""

    async def run(self) -> None:
        retry_s = self._process.config.capture.retry_s
        while True:
            frames = await self._run_epoch()
            self._process.publish()
            reader = self._reader
            if not is_live(self._stream.source) or (frames and reader is not None and not reader.live):
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


async def serve(process: Process) -> None:
    # Streams that began together deliver together: the queue must hold one burst of them all.
    outbox = process.bus.outbox(process.config.ipc("window"), "window", hwm=8 * len(process.config.streams), large=True)
    page = None
    if process.config.page is not None:
        hwm = 2 * len(process.config.streams)
        page = process.bus.outbox(process.config.ipc("page-frames"), "page-frames", hwm=hwm, large=True)
    captures = [_Capture(process, outbox, stream, page) for stream in process.config.streams]
    process.before_status(lambda: process.counters.set("sources_open", sum(capture.open for capture in captures)))
    try:
        await process.run_together(*(capture.run() for capture in captures))
        useless = [capture.failure for capture in captures if capture.failure is not None and not capture.delivered]
        if len(useless) == len(captures):
            raise useless[0] if isinstance(useless[0], SourceError) else SourceError(str(useless[0]))
        await asyncio.Event().wait()  # every file is at its end; the graph drains before it is told to stop
    finally:
        await asyncio.gather(*(capture.stop() for capture in captures))


if __name__ == "__main__":
    run("capture", serve)
