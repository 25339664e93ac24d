"""WindowManager: frames in, overlapping windows out (§III-A, DESIGN §2; layer 0).

Theory of operation. A window is `size` consecutive frames whose first is a multiple of `stride`; t = first ÷ stride.
All follows from the frame's own number n in its epoch, so a restarted machine goes on counting where the stream is.
Frame n completes at most one window, the one that ends with n. When n is reached that window is either formed or,
because one of its frames is missing, counted as incomplete: over a whole stream formed + incomplete =
`windows_in(frames)`.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Container

from clownfish.errors import ConfigError
from clownfish.messages import End, Frame, Pixels, StreamKey, Window
from clownfish.streams import StreamTable


class _Run:
    """The unbroken run of frames that a stream's newest frame belongs to."""

    __slots__ = ("expected", "frames")

    def __init__(self, size: int) -> None:
        self.expected: int | None = None
        """The next frame's number; None before the first."""
        self.frames: deque[Pixels] = deque(maxlen=size)


class WindowManager:
    """Windows of many streams; pixels are shared between windows, never copied.

    `counts` grows only: frames (taken), windows (formed), incomplete (windows never formed for want of frames),
    frames_missing, resized (frames of another size than the one before, which break the run), and the frames dropped:
    duplicates (n was here or went back), old_epoch; and evicted (streams beyond `streams`).
    """

    def __init__(self, size: int = 16, stride: int = 4, streams: int = 1024) -> None:
        """`size` and `stride` in frames. Raises ConfigError unless 1 ≤ stride ≤ size and streams ≥ 1."""
        if not 1 <= stride <= size:
            raise ConfigError(
                f"window size is {size} and stride {stride}; expected 1 ≤ stride ≤ size, else frames would fall between"
            )
        if streams < 1:
            raise ConfigError(f"streams is {streams}; expected at least 1")
        self.size = size
        self.stride = stride
        self.counts: Counter[str] = Counter()
        self._streams: StreamTable[_Run] = StreamTable(lambda: _Run(size), streams)
        self._replaced: list[End] = []

    def windows_in(self, frames: int) -> int:
        """How many windows the first `frames` frames of a stream hold."""
        return 0 if frames < self.size else (frames - self.size) // self.stride + 1

    def push(self, frame: Frame) -> Window | None:
        """Take one frame; the window that it completes, if any."""
        run, departed = self._streams.enter(frame.stream_key)
        for gone in departed:
            if gone.why == "evicted":
                self.counts["evicted"] += 1
            else:
                self._replaced.append(End(*gone.key, gone.state.expected or 0, "capture restarted"))
        if run is None:
            self.counts["old_epoch"] += 1
            return None
        n = frame.n
        if run.expected is None:
            run.expected = n  # joined in its middle: the windows that ended before n were another process's to form
        if n < run.expected:
            self.counts["duplicates"] += 1
            return None
        if n > run.expected:
            self._missing(run, n)
        elif run.frames and run.frames[-1].shape != frame.pixels.shape:
            run.frames.clear()
            self.counts["resized"] += 1
        run.frames.append(frame.pixels)
        run.expected = n + 1
        self.counts["frames"] += 1
        if self.windows_in(n + 1) == self.windows_in(n):
            return None  # no window ends with this frame
        if len(run.frames) < self.size:
            self.counts["incomplete"] += 1
            return None
        self.counts["windows"] += 1
        first = n - self.size + 1
        t = first // self.stride
        return Window(frame.stream, frame.epoch, t, first, frame.capture_ns, frame.live, frames=tuple(run.frames))

    def replaced(self) -> list[End]:
        """The epochs that a new one took the place of since the last call, each with the frames that came of it.

        A killed capture says no End; with this one, what was lost of its last windows is counted downstream.
        """
        replaced, self._replaced = self._replaced, []
        return replaced

    def end(self, key: StreamKey, frames: int | None = None) -> None:
        """Forget this epoch. `frames`, how many were captured, lets what is missing at the stream's end be counted."""
        run = self._streams.end(key)
        if run is not None and run.expected is not None and frames is not None and frames > run.expected:
            self._missing(run, frames)

    @property
    def open(self) -> int:
        """Epochs that are not over."""
        return len(self._streams)

    def end_others(self, streams: Container[str]) -> list[End]:
        """The epochs of streams that are not among these are over, with the frames that came of them."""
        gone = [(key, run.expected or 0) for key, run in self._streams if key.stream not in streams]
        for key, _ in gone:
            self.end(key)
        return [End(*key, frames, "removed") for key, frames in gone]

    def _missing(self, run: _Run, n: int) -> None:
        """Frames run.expected … n − 1 are missing, and so is every window that ends in them."""
        assert run.expected is not None
        self.counts["frames_missing"] += n - run.expected
        self.counts["incomplete"] += self.windows_in(n) - self.windows_in(run.expected)
        run.frames.clear()
