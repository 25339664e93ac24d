"""The sources `camera`, `stream` and `gst`: what delivers at its own pace (layer 1).

None of them has an end of its own: when no frame comes any more it is an error, and the service that reads decides
when to open it again. Each counts what it delivered, so that the error can say so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from clownfish.errors import SourceError
from clownfish.messages import Pixels
from clownfish.opencv import ONE_THREAD, cv2
from clownfish.sources.videocapture import DEFAULT_FPS, Capture, asked_fps, lawful


def _without_password(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//***@", url)


class _Live:
    """Shared by the three: an open capture whose end is an error."""

    def __init__(self, capture: Capture, what: str, fps: float | None, why_not: str, at_end: str) -> None:
        if not capture.opened:
            raise SourceError(f"cannot open {what}: {why_not}")
        told = capture.get(cv2.CAP_PROP_FPS)
        self.fps: float = fps or (told if lawful(told) else DEFAULT_FPS)
        self.live = True
        self._capture = capture
        self._what = what
        self._at_end = at_end

    def __iter__(self) -> Iterator[Pixels]:
        """Frames as they come, shape (height, width, 3) uint8 RGB. Raises SourceError when none comes any more."""
        count = 0
        while (pixels := self._capture.read()) is not None:
            count += 1
            yield pixels
        if not self._capture.closed:
            self._ended(count)

    def close(self) -> None:
        self._capture.close()

    def _ended(self, count: int) -> None:
        raise SourceError(f"{self._what} stopped delivering after {count} frames: {self._at_end}")


class Camera(_Live):
    """A camera of this machine: "0" for the first one, or a device file such as "/dev/video0"."""

    def __init__(self, device: str, fps: float | None = None) -> None:
        """`fps` is asked of the camera; without it, its own default rate holds. Raises SourceError if there is none."""
        asked = asked_fps(fps)
        number = int(device) if device.isascii() and device.isdigit() else None
        if number is None and not device.startswith("/dev/"):
            raise SourceError(
                f"camera {device!r}: expected a number (0 is the first camera) or a device file (/dev/video0)"
            )
        capture = Capture(device if number is None else number, cv2.CAP_ANY)
        if asked is not None:
            capture.set(cv2.CAP_PROP_FPS, asked)
        super().__init__(
            capture,
            f"camera {device}",
            asked,
            "no such camera, no permission, or another program has it; `ls /dev/video*` lists what is there",
            "unplugged, or its driver hangs",
        )


class NetworkStream(_Live):
    """A stream by its address, through FFmpeg: rtsp, http, udp and others. RTSP goes over TCP.

    A finished file on a web server is not live: its length is known, its end is an end, and it can be made to wait.
    """

    def __init__(
        self, url: str, fps: float | None = None, open_timeout_s: float = 10.0, read_timeout_s: float = 5.0
    ) -> None:
        """Opening and each read have their own time-out. Raises SourceError where there is no video within it."""
        asked = asked_fps(fps)
        parameters = [
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
            max(1, round(open_timeout_s * 1000)),
            cv2.CAP_PROP_READ_TIMEOUT_MSEC,
            max(1, round(read_timeout_s * 1000)),
            *ONE_THREAD,
        ]
        super().__init__(
            Capture(url, cv2.CAP_FFMPEG, parameters),
            f"stream {_without_password(url)}",
            asked,
            f"no video there within {open_timeout_s:g} s; check the address, the network and that it is playing",
            f"it ended, its sender is gone, or nothing came for {read_timeout_s:g} s",
        )
        self._promised = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.live = not self._promised > 0

    def _ended(self, count: int) -> None:
        if self.live or self._promised - count > max(1.0, self.fps):
            super()._ended(count)


class GStreamer(_Live):
    """A GStreamer pipeline that ends in an appsink, e.g. "nvarguscamerasrc ! … ! videoconvert ! appsink" (Jetson)."""

    def __init__(self, pipeline: str, fps: float | None = None) -> None:
        """Raises SourceError where OpenCV was built without GStreamer, or the pipeline does not start."""
        if not cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
            raise SourceError(
                "this OpenCV was built without GStreamer (as PyPI's wheels are); use the one that comes with JetPack "
                "or the distribution, or give the stream's address or camera instead of a pipeline"
            )
        super().__init__(
            Capture(pipeline, cv2.CAP_GSTREAMER),
            f"GStreamer pipeline {pipeline!r}",
            asked_fps(fps),
            "it does not start; try it with gst-launch-1.0, and let it end in `videoconvert ! appsink`",
            "it ended, or its source is gone",
        )
