"""The sources `camera` and, where PyAV is not installed, `stream`: what delivers at its own pace, by OpenCV (layer 1).

None of them has an end of its own: when no frame comes any more it is an error, and the service that reads decides
when to open it again. Each counts what it delivered, so that the error can say so.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

from clownfish.cadence import Taken
from clownfish.errors import SourceError
from clownfish.messages import Pixels
from clownfish.opencv import ONE_THREAD, cv2
from clownfish.redaction import redacted
from clownfish.sources.base import Stalled, TimeOuts
from clownfish.sources.videocapture import DEFAULT_FPS, Capture, asked_fps, lawful


class _Live:
    """Shared by the two: an open capture whose end is an error."""

    def __init__(self, capture: Capture, what: str, fps: float | None, why_not: str, at_end: str) -> None:
        if not capture.opened:
            raise SourceError(f"cannot open {what}: {why_not}")
        told = capture.get(cv2.CAP_PROP_FPS)
        self.fps: float = fps or (told if lawful(told) else DEFAULT_FPS)
        self.live = True
        self.taken: Taken | None = None
        self._capture = capture
        self._what = what
        self._at_end = at_end

    def __iter__(self) -> Iterator[Pixels]:
        """Frames as they come, shape (height, width, 3) uint8 RGB. Raises SourceError when none comes any more."""
        count, longest_s = 0, 0.0
        while True:
            began_s = time.monotonic()
            pixels = self._capture.read()
            at_s = time.monotonic()
            longest_s = max(longest_s, at_s - began_s)
            if pixels is None:
                break
            self.taken = Taken(at_s, self._capture.position_s, (pixels.shape[1], pixels.shape[0]))
            count += 1
            yield pixels
        if not self._capture.closed:
            self._ended(count, longest_s)

    def close(self) -> None:
        self._capture.close()

    def _ended(self, count: int, longest_s: float) -> None:
        raise SourceError(f"{self._what} stopped delivering after {count} frames: {self._at_end}")


class Camera(_Live):
    """A camera of this machine: "0" for the first one, or a device file such as "/dev/video0".

    Its driver knows no time-outs: who reads it must be able to let it hang.
    """

    def __init__(self, device: str, fps: float | None = None, time_outs: TimeOuts | None = None) -> None:
        """`fps` is asked of the camera; without it, its own default rate holds. Raises SourceError if there is none."""
        asked = asked_fps(fps)
        number = int(device) if device.isascii() and device.isdigit() else None
        if number is None and not device.startswith("/dev/"):
            raise SourceError(
                f"camera {device!r}: expected a number (0 is the first camera) or a device file (/dev/video0)"
            )
        capture = Capture(device if number is None else number, _LOCAL)
        if asked is not None:
            capture.set(cv2.CAP_PROP_FPS, asked)
        super().__init__(
            capture,
            f"camera {device}",
            asked,
            "no such camera, no permission, or another program has it; `ls /dev/video*` lists what is there",
            "unplugged, or its driver hangs",
        )


_LOCAL = cv2.CAP_V4L2 if sys.platform == "linux" and cv2.videoio_registry.hasBackend(cv2.CAP_V4L2) else cv2.CAP_ANY
"""Named, or OpenCV would take a device's path for a video file's."""


class NetworkStream(_Live):
    """A stream by its address, through the FFmpeg inside OpenCV: rtsp, http, udp and others. RTSP goes over TCP.

    A finished file on a web server is not live: its length is known, its end is an end, and it can be made to wait.
    """

    def __init__(self, url: str, fps: float | None = None, time_outs: TimeOuts | None = None) -> None:
        """Raises SourceError where there is no video within the time-outs."""
        asked, limits = asked_fps(fps), time_outs or TimeOuts()
        parameters = [
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
            max(1, round(limits.open_s * 1000)),
            cv2.CAP_PROP_READ_TIMEOUT_MSEC,
            max(1, round(limits.read_s * 1000)),
            *ONE_THREAD,
        ]
        super().__init__(
            Capture(url, cv2.CAP_FFMPEG, parameters),
            f"stream {redacted(url)}",
            asked,
            f"no video there within {limits.open_s:g} s; check the address, user and password, the network and that it "
            "is playing (with the extra `video` installed the reason is said here)",
            "it ended, or its sender is gone",
        )
        self._read_s = limits.read_s
        self._promised = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.live = not self._promised > 0

    def _ended(self, count: int, longest_s: float) -> None:
        if longest_s > 0.95 * self._read_s:  # OpenCV does not say, and gives its last frames after it
            raise Stalled(f"{self._what} stopped delivering after {count} frames: nothing came for {self._read_s:g} s")
        if self.live or self._promised - count > max(1.0, self.fps):
            super()._ended(count, longest_s)
