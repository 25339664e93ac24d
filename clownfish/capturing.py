"""Capture: one stream, read and sent to `window` for as long as it is there (layer 2).

A live source is read in a process of its own (`sources.apart`), given up when it hangs, and opened again with a
back-off. Where it comes back, or shows what does not follow from what it showed before (`cadence`), an epoch begins.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Coroutine
from functools import partial
from typing import Any

from clownfish.backoff import Backoff
from clownfish.bus import Outbox
from clownfish.errors import SourceError
from clownfish.messages import End, Frame, Pixels
from clownfish.process import Process
from clownfish.rates import write_rate
from clownfish.redaction import redacted
from clownfish.settings import Stream
from clownfish.sources import is_live, open_source
from clownfish.sources.apart import Apart, Hands, Wanted
from clownfish.sources.base import Refused, Stalled, TimeOuts
from clownfish.sources.reader import Reader

_MAX_PENDING = 16
"""Frames of one stream between its thread and the socket; beyond that the loop is stuck, and they are dropped."""
_REFUSED_S = 60.0
"""Before a camera is asked again that wants another user or password: some lock out who tries too often."""
_STEADY_S = 5.0
"""A connection that held for so long has earned a quick try after it."""
_MARGIN_S = 0.5
"""Beyond the time-outs of the library that reads, which knows better what is wrong."""
_ENDING_S = 2.0
"""A thread whose process is gone ends at once; who does not in this time is not waited for."""

_LEAVE_S = 1.0
"""How long a source that is let go may owe a frame. A read that hangs does not end: its thread is left behind."""
_WHY = 300
"""Characters of a reason: enough of any error, and all streams' fit into one message."""

Ended = tuple[str, "Exception | None"]
"""Reason in words; the error, or None."""


class Capture:
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
        self._stalled = False
        self._hands = Hands() if is_live(stream.source) else None
        """Who reads a live source."""
        self._counted = (0, 0)
        """Frames repeated and skipped by this reader, as far as they are counted."""
        self._killed = 0
        """Processes that read and had to be killed, likewise."""

    async def run(self) -> None:
        settings = self._process.config.capture
        backoff = Backoff(settings.retry_s, max(settings.retry_s, settings.retry_max_s))
        why = "start"
        while True:
            began = time.monotonic()
            reader, error = await self._read(why)
            self._process.publish()
            over = self._hands is None or error is None or (reader.delivered and not reader.live)
            if self._leaving or over:
                self.open = False  # without an error a live source ends where its `seconds` do
                return
            if reader.delivered:
                why = "stall" if isinstance(error, Stalled) else "reconnect"
                if time.monotonic() - began > _STEADY_S:
                    backoff.reset()
            wait_s = _REFUSED_S if isinstance(error, Refused) else backoff.next_s()
            self._log.warning("source is opened again", wait_s=round(wait_s, 2))
            self._process.counters.add("source_retries")
            await asyncio.sleep(wait_s)

    async def _read(self, why: str) -> tuple[Reader, Exception | None]:
        """From opening the source to its end, and what ended it; None: itself."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[Ended] = loop.create_future()
        stream, settings = self._stream, self._process.config.capture

        def on_frame(n: int, capture_ns: int, pixels: Pixels) -> None:
            if self._reader is not reader:
                return  # it was given up
            if n == 0:
                write_rate(self._process.run_dir, stream.name, reader.fps)
            if reader.delivered == 1 and self._hands is not None:
                in_loop(self._begin_epoch(why))
            frame = Frame(stream.name, self._epoch, n, capture_ns, self._live, pixels)
            if not self._live:
                loop.call_soon_threadsafe(self._taken)
                in_loop(self._outbox.put(frame))
            elif self._pending < _MAX_PENDING:
                self._pending += 1
                loop.call_soon_threadsafe(self._send, frame)
            else:
                loop.call_soon_threadsafe(self._process.counters.add, 'frames_dropped{reason="loop"}')
            if self._page is not None and capture_ns - self._shown_ns >= self._show_every_ns:
                self._shown_ns = capture_ns
                loop.call_soon_threadsafe(self._show, frame)  # behind what answers wait for

        def on_break(frames: int, reason: str) -> None:
            in_loop(self._end_epoch(frames, reason))
            in_loop(self._begin_epoch(reason))

        def on_end(frames: int, reason: str, error: Exception | None) -> None:
            loop.call_soon_threadsafe(end, (reason, error))

        def in_loop(work: Coroutine[Any, Any, object]) -> None:
            asyncio.run_coroutine_threadsafe(work, loop).result()

        def end(how: Ended) -> None:
            if not ended.done():
                ended.set_result(how)

        apart = self._apart()
        if apart is None:
            await self._begin_epoch(why)
        reader = self._reader = Reader(
            apart.open if apart is not None else partial(open_source, stream.source, stream.fps, stream.seconds),
            width=settings.width,
            height=settings.height,
            on_frame=on_frame,
            on_end=on_end,
            pace=stream.pace,
            loop=stream.loop,
            fps=settings.fps,
            on_break=on_break,
            abandon=apart.abandon if apart is not None else None,
            time_outs=(settings.open_s + settings.stall_s, settings.stall_s + _MARGIN_S),
        )
        self._counted = (0, 0)
        reader.start()
        given_up = await self._watch(reader, ended)
        reason, error = given_up if given_up is not None else ended.result()
        self.delivered |= reader.delivered > 0
        if error is not None:
            self._fail(reader, error)
        if apart is None or reader.delivered:  # else no epoch has begun
            await self._end_epoch(reader.frames, redacted(reason))
        self.count()
        self._reader = None
        return reader, error

    def _apart(self) -> Apart | None:
        if self._hands is None:
            return None
        stream, settings = self._stream, self._process.config.capture
        limits = TimeOuts(settings.open_s, settings.stall_s)
        return Apart(
            self._hands, Wanted(stream.source, stream.fps, stream.seconds, settings.width, settings.height, limits)
        )

    async def _watch(self, reader: Reader, ended: asyncio.Future[Ended]) -> Ended | None:
        """Until it has ended, or a live one is given up: it owes a frame for too long, whatever it hangs in."""
        stall_s = self._process.config.capture.stall_s
        while not ended.done():
            await asyncio.wait([ended], timeout=min(1.0, stall_s / 4))
            if reader.delivered:
                self._say_stalled(reader.stalled_s() > stall_s)
            if self._hands is None or ended.done():
                continue
            self._hands.tend()
            if reader.over():
                owed_s = reader.stalled_s()
                reader.let_go()
                await asyncio.wait([ended], timeout=_ENDING_S)
                kind, what = (Stalled, "delivers") if reader.delivered else (SourceError, "has delivered")
                error = kind(f"the source {what} nothing for {owed_s:.1f} s and is given up")
                return str(error), error
        return None

    def _fail(self, reader: Reader, error: Exception) -> None:
        self.failure = error
        self._process.counters.add("source_errors")
        said = "source broke off"
        if self._hands is not None:
            self._say_stalled(True)
        if reader.delivered and isinstance(error, Stalled):
            self._process.counters.add("stalls")
            said = "source delivers nothing"
        self._log.error(said, epoch=self._epoch, frames=reader.frames, error=redacted(str(error)))

    def _say_stalled(self, stalled: bool) -> None:
        if stalled != self._stalled:
            self._stalled = stalled
            self._process.counters.set(f"stalled{self._label}", float(stalled))
            if self._hands is None:  # of a live source it is an error, which says more
                self._process.counters.add("stalls", int(stalled))
                self._log.warning("source delivers nothing" if stalled else "source delivers again")

    async def _begin_epoch(self, why: str) -> None:
        self._epoch = random.SystemRandom().getrandbits(48)
        self._process.counters.add(f'epochs{{reason="{why}"}}')
        self._log.info("epoch begins", epoch=self._epoch, why=why)

    async def _end_epoch(self, frames: int, reason: str) -> None:
        await self._outbox.insist(End(self._stream.name, self._epoch, frames, reason))
        self._log.info("end of stream", epoch=self._epoch, frames=frames, reason=reason)

    def count(self) -> None:
        """What was done since it was counted last."""
        if self._reader is not None:
            now = self._reader.converted
            for name, count, before in zip(("repeated", "skipped"), now, self._counted, strict=True):
                self._process.counters.add(f"frames_{name}{self._label}", count - before)
            self._counted = now
        if self._hands is not None:
            self._process.counters.add("readers_killed", self._hands.killed - self._killed)
            self._killed = self._hands.killed

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
        reader = self._reader
        if reader is not None and self.open:
            reader.stop()
            if self._hands is None or reader.delivered:
                await self._outbox.insist(End(self._stream.name, self._epoch, reader.frames, "stopped"))
        self._stopped = True
        if self._hands is not None:
            await asyncio.to_thread(self._hands.end, _ENDING_S / 2)

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
        elif not reader.delivered:
            state = "opens"
        else:
            state = "stalled" if reader.stalled_s() > self._process.config.capture.stall_s else "delivers"
        why = redacted(str(self.failure))[:_WHY] if self.failure is not None and state in ("ended", "waits") else ""
        return {"state": state, "frames": 0 if reader is None else reader.frames, "why": why}
