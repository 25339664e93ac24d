"""The thread that reads one stream: opens the source, paces it, resizes each frame once (layer 1).

A source only yields frames; this thread gives them their number n, their capture time and their size, and hands them
to callbacks, which run in this thread. A source that hangs for ever hangs nothing but its own daemon thread: `stop`
returns at once, `stalled_s` lets the service see it, and the process can exit.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Literal

from clownfish.errors import SourceError
from clownfish.messages import Pixels
from clownfish.opencv import resized
from clownfish.sources.base import VideoSource

Pace = Literal["realtime", "fast", "patient"]

OnFrame = Callable[[int, int, Pixels], None]
"""(n, capture_ns, pixels). Blocks where the stream must wait for the graph."""
OnEnd = Callable[[int, str, Exception | None], None]
"""(frames delivered, reason in words, error or None). Called once, last."""


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
        now_ns: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        """`open_source` is called in the thread, and with `loop` again at each end of a source that is not live.

        `pace` "realtime" and "patient" give frame n of a source that is not live at start + n / fps, or later where
        `on_frame` does not return before; "fast" as soon as it is taken.
        `now_ns` and `sleep` (seconds) replace the clock in tests.
        """
        self.frames = 0
        """Frames delivered so far; the number of the next one."""
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
        self._now_ns = now_ns
        self._stopping = threading.Event()
        self._sleep = self._stopping.wait if sleep is None else sleep
        self._source: VideoSource | None = None
        self._waiting_since_ns: int | None = None
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Asks for the end, from any thread, and returns at once. Frames already handed on stay handed on."""
        self._stopping.set()
        if self._source is not None:
            self._source.close()

    def join(self, timeout_s: float | None = None) -> bool:
        """Waits for the thread. False where it hangs still: leave it, it dies with the process."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def reanchored(self) -> int:
        """How often a paced stream was too late to catch up, so that its schedule began anew (see Pacer)."""
        return 0 if self._pacer is None else self._pacer.reanchored

    def stalled_s(self) -> float:
        """For how long the source has owed a frame (or its opening); 0 while this thread waits for anything else."""
        since = self._waiting_since_ns
        return 0.0 if since is None else (self._now_ns() - since) / 1e9

    def _run(self) -> None:
        error: Exception | None = None
        try:
            while self._read_through() and self._loop and not self.live:
                self.loops += 1
        except Exception as caught:  # whatever it is, the service must hear of it: this thread has nobody else
            error = caught
        finally:
            self._waiting_since_ns = None
        if self._stopping.is_set():
            # a source that is closed under a read may break off: that is no fault
            error, reason = None, "stopped"
        else:
            reason = "end of the source" if error is None else str(error) or type(error).__name__
        self._on_end(self.frames, reason, error)

    def _read_through(self) -> bool:
        """Reads the source once. True where it came to its own end."""
        self._waiting_since_ns = self._now_ns()
        source = self._open_source()
        self._source = source
        self.fps, self.live = source.fps, source.live
        if self._pacer is None and self._pace != "fast" and not source.live:
            self._pacer = Pacer(source.fps, self._patience_s)
        before = self.frames
        try:
            # `stop` may have come while the source was opening and have found nothing to close
            if self._stopping.is_set():
                return False
            for pixels in source:
                self._waiting_since_ns = None
                if not self._wait_until_due():
                    return False
                self._deliver(pixels)
                if self._stopping.is_set():
                    return False
                self._waiting_since_ns = self._now_ns()
        finally:
            source.close()
        if self.frames == before and not self._stopping.is_set():
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

    def _deliver(self, pixels: Pixels) -> None:
        n, capture_ns = self.frames, self._now_ns()
        self.last_frame_monotonic_ns = capture_ns
        self.frames = n + 1
        self._on_frame(n, capture_ns, resized(pixels, *self._size))
