"""The thread that reads one stream: opens the source, paces it, resizes each frame once (layer 1).

A source only yields frames; this thread gives them their number n, their capture time and their size, and hands them
to callbacks, which run in this thread. Those of a live source it brings to the stream's rate (`cadence`); where one
does not follow the one before, numbers begin anew. A source that hangs for ever hangs nothing but its own daemon
thread: `stop` returns at once, `over` lets the service see it, and the process can exit.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable
from typing import Literal

from clownfish.cadence import Break, Cadence, Taken
from clownfish.errors import SourceError
from clownfish.messages import Pixels
from clownfish.opencv import resized
from clownfish.patience import Patience
from clownfish.sources.base import VideoSource

Pace = Literal["realtime", "fast", "patient"]

OnFrame = Callable[[int, int, Pixels], None]
"""(n, capture_ns, pixels). Blocks where the stream must wait for the graph."""
OnEnd = Callable[[int, str, Exception | None], None]
"""(frames delivered since the last break, reason in words, error or None). Called once, last."""
OnBreak = Callable[[int, Break], None]
"""(frames delivered since the last break, why). The next frame is number 0 of a new epoch, begun when it returns."""

_HASTE = 4.0
"""Repeated frames leave so many times as fast as the stream's rate: not in a burst, for which queues are too short."""


class Pacer:
    """When frame n is due, on the clock whose reading the caller gives: anchor + n / fps.

    Late frames are delivered at once until they have caught up. Who is more than `patience_s` late (the machine slept,
    SIGSTOP, a decoder slower than the video) does not catch up in a burst: frame n is due now, and later ones after it.
    """

    def __init__(self, fps: float, patience_s: float = 1.0) -> None:
        self.reanchored = 0
        """How often the schedule was given up."""
        self._fps = fps
        self._patience_s = patience_s
        self._anchor: tuple[int, float] | None = None

    def due(self, n: int, now_s: float) -> float:
        """The time at which frame `n` is due, in the seconds of `now_s`. The first call anchors the schedule."""
        if self._anchor is None:
            self._anchor = (n, now_s)
        anchor_n, anchor_s = self._anchor
        due_s = anchor_s + (n - anchor_n) / self._fps
        if now_s - due_s > self._patience_s:
            self.reanchored += 1
            self._anchor = (n, now_s)
            return now_s
        return due_s


class Reader:
    """Reads one stream in a daemon thread of its own, from `start` to the end of the source, an error, or `stop`.

    The clock is CLOCK_MONOTONIC. `capture_ns` is the moment a frame came from a live source, or was due and handed on
    from a paced one; resizing comes after it, as it would after a camera.
    """

    def __init__(
        self,
        open_source: Callable[[], VideoSource],
        *,
        width: int,
        height: int,
        on_frame: OnFrame,
        on_end: OnEnd,
        pace: Pace = "realtime",
        loop: bool = False,
        patience_s: float = 1.0,
        fps: float | None = None,
        on_break: OnBreak | None = None,
        abandon: Callable[[], None] | None = None,
        time_outs: tuple[float, float] = (10.0, 5.0),
        now_ns: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        """`open_source` is called in the thread, and with `loop` again at each end of a source that is not live.

        `pace` "realtime" and "patient" give frame n of a source that is not live at start + n / fps, or later where
        `on_frame` does not return before; "fast" as soon as it is taken.
        `fps`: what a live source's frames are brought to; None: they stay as they come. Breaks are found only with it,
        and told to `on_break`. `abandon` ends an opening or a read that hangs, where the source cannot; `time_outs`
        (seconds up to the first frame, and for each other one) are when it should.
        `now_ns` and `sleep` (seconds) replace the clock in tests.
        """
        self.frames = 0
        """Frames delivered so far, since the last break; the number of the next one."""
        self.delivered = 0
        """All of them."""
        self.loops = 0
        """How often the source began anew."""
        self.fps = 0.0
        self.live = False
        """Of the open source; both are set before the first frame is handed on."""
        self.last_frame_monotonic_ns: int | None = None
        """`capture_ns` of the newest frame."""
        self._open_source = open_source
        self._size = (width, height)
        self._on_frame = on_frame
        self._on_end = on_end
        self._pace = pace
        self._loop = loop
        self._patience_s = patience_s
        self._pacer: Pacer | None = None
        self._fps, self._on_break, self._abandon = fps, on_break, abandon
        self._cadence: Cadence | None = None
        self._before: Pixels | None = None
        """The newest frame that was given, to be repeated."""
        self._now_ns = now_ns
        self._stopping = threading.Event()
        self._sleep = self._stopping.wait if sleep is None else sleep
        self._source: VideoSource | None = None
        self._owed = Patience(*time_outs, now_ns() / 1e9)
        self._thread = threading.Thread(
            target=contextvars.copy_context().run, args=(self._run,), name="reader", daemon=True
        )  # what callbacks log says which service it is of

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Asks for the end, from any thread, and returns at once. Frames already handed on stay handed on."""
        self._stopping.set()
        self.let_go()

    def let_go(self) -> None:
        """Ends an opening or a read that hangs, from any thread, and returns at once: the reader ends with an error."""
        if self._abandon is not None:
            self._abandon()
        elif self._source is not None:
            self._source.close()

    def join(self, timeout_s: float | None = None) -> bool:
        """Waits for the thread. False where it hangs still: leave it, it dies with the process."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def reanchored(self) -> int:
        """How often a paced stream was too late to catch up, so that its schedule began anew (see Pacer)."""
        return 0 if self._pacer is None else self._pacer.reanchored

    @property
    def converted(self) -> tuple[int, int]:
        """Frames (repeated, skipped) to bring a live source to the stream's rate."""
        return (0, 0) if self._cadence is None else (self._cadence.repeated, self._cadence.skipped)

    def stalled_s(self) -> float:
        """For how long the source has owed a frame (or its opening); 0 while this thread waits for anything else."""
        return self._owed.owed_s(self._now_ns() / 1e9)

    def over(self) -> bool:
        """Whether it has owed that for longer than its time-out."""
        return self._owed.over(self._now_ns() / 1e9)

    def _run(self) -> None:
        error: Exception | None = None
        try:
            while self._read_through() and self._loop and not self.live:
                self.loops += 1
        except Exception as caught:  # whatever it is, the service must hear of it: this thread has nobody else
            error = caught
        finally:
            self._owed.idle()
        if self._stopping.is_set():
            # a source that is closed under a read may break off: that is no fault
            error, reason = None, "stopped"
        else:
            reason = "end of the source" if error is None else str(error) or type(error).__name__
        self._on_end(self.frames, reason, error)

    def _read_through(self) -> bool:
        """Reads the source once. True where it came to its own end."""
        source = self._open_source()
        self._source = source
        self.fps, self.live = source.fps, source.live
        if self._pacer is None and self._pace != "fast" and not source.live:
            self._pacer = Pacer(source.fps, self._patience_s)
        if self._fps is not None and source.live:
            self.fps, self._cadence = self._fps, Cadence(self._fps)
        before = self.delivered
        try:
            # `stop` may have come while the source was opening and have found nothing to close
            if self._stopping.is_set():
                return False
            for pixels in source:
                self._owed.idle()
                if not self._wait_until_due():
                    return False
                if self._cadence is None:
                    self._deliver(pixels, self._now_ns())
                else:
                    self._convert(self._cadence, pixels, getattr(source, "taken", None))
                if self._stopping.is_set():
                    return False
                self._owed.owing(self._now_ns() / 1e9)
        finally:
            source.close()
        if self.delivered == before and not self._stopping.is_set():
            raise SourceError("the source ended without a single frame; expected at least one")
        return not self._stopping.is_set()

    def _wait_until_due(self) -> bool:
        """False where `stop` came meanwhile."""
        if self._pacer is not None:
            now_s = self._now_ns() / 1e9
            due_s = self._pacer.due(self.frames, now_s)
            if due_s > now_s:
                self._sleep(due_s - now_s)
        return not self._stopping.is_set()

    def _convert(self, cadence: Cadence, pixels: Pixels, taken: Taken | None) -> None:
        now_ns = self._now_ns()
        if taken is None:  # of a source that knows no times
            taken = Taken(now_ns / 1e9, None, (pixels.shape[1], pixels.shape[0]))
        step = cadence.step(taken)
        if step.broken is not None:
            if self._on_break is not None:
                self._on_break(self.frames, step.broken)
            self.frames = 0
        for _ in range(step.repeats):
            if self._before is not None and not self._stopping.is_set():
                self._deliver(self._before, now_ns)
                self._sleep(1 / (_HASTE * cadence.fps))
        if step.given and not self._stopping.is_set():
            self._before = resized(pixels, *self._size)
            self._deliver(self._before, min(now_ns, round(taken.at_s * 1e9)))

    def _deliver(self, pixels: Pixels, capture_ns: int) -> None:
        n = self.frames
        self.last_frame_monotonic_ns = capture_ns
        self.frames = n + 1
        self.delivered += 1
        self._on_frame(n, capture_ns, resized(pixels, *self._size))
