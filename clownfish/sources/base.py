"""The contract of a video source: an iterator of frames (layer 1).

A source only reads. Pacing, rates, frame numbers, resizing once and clocks are the reader's, the same for all sources.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from clownfish.cadence import Taken
from clownfish.errors import SourceError
from clownfish.messages import Pixels


class Stalled(SourceError):
    """A live source that is there delivers nothing."""


class Refused(SourceError):
    """A live source wants another user or password. To try again at once may lock this host out."""


class TimeOuts(NamedTuple):
    """What a live source may take, where the library that reads it can be told."""

    open_s: float = 10.0
    read_s: float = 3.0


class VideoSource(Protocol):
    """Opened by its constructor, which raises SourceError saying what was read, expected and what to do."""

    fps: float
    """Nominal frames per second, for pacing and for t; of a live camera what it was asked for."""
    live: bool
    """True: the source delivers at its own pace and cannot be slowed (camera, RTSP)."""

    def __iter__(self) -> Iterator[Pixels]:
        """Frames in order, shape (height, width, 3) uint8 RGB, size as the source has it.

        Ends at the end of a file. Raises SourceError where the source breaks off (truncated file, unplugged camera).
        """

    def close(self) -> None:
        """Release the device or file. Safe to call twice, and from another thread than the reader's."""


class LiveSource(VideoSource, Protocol):
    """One whose frames have times of their own."""

    taken: Taken | None
    """Of the frame that was given last; None before the first."""


class Closing:
    """Closes what one thread reads and any thread may close.

    The libraries below crash when they are closed under a read; a close that waited for the read would hang with a hung
    camera. So it is released only if no read is going on; else the reading thread does it when it is back.
    """

    def __init__(self, release: Callable[[], object]) -> None:
        self._release = release
        self.released = False
        self.busy = threading.Lock()
        """Held while a read is going on."""
        self._closed = threading.Event()

    @property
    def closed(self) -> bool:
        return self._closed.is_set()

    @contextlib.contextmanager
    def reading(self) -> Iterator[bool]:
        """Around each read; False where it is closed, and there is nothing to read from."""
        try:
            with self.busy:
                yield not self.closed
        finally:
            if self.closed:
                self._release_if_idle()

    def close(self) -> None:
        """At once, or when the read that is going on returns."""
        self._closed.set()
        self._release_if_idle()

    def _release_if_idle(self) -> None:
        if self.busy.acquire(blocking=False):
            try:
                if not self.released:
                    self.released = True
                    self._release()
            finally:
                self.busy.release()
