"""The source `stream`: video by its address (rtsp, http, udp and others), through PyAV (layer 1). Extra `video`.

Against OpenCV, which reads it where PyAV is not installed, this one says why it fails, and knows each frame's time.
RTSP goes over TCP: over UDP lost packets would be torn pictures.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from clownfish.cadence import Taken
from clownfish.errors import SourceError
from clownfish.messages import Pixels
from clownfish.redaction import redacted
from clownfish.sources.base import Closing, Refused, Stalled, TimeOuts, VideoSource
from clownfish.sources.videocapture import DEFAULT_FPS, asked_fps, lawful

_MOST_BAD = 250
"""Packets in a row of which no picture can be made."""
_OPTIONS = {"flags": "low_delay", "fpsprobesize": "0"}
"""No second of video is read ahead, to guess a rate that nobody needs."""
_TIMELESS = frozenset({"mpjpeg", "mjpeg", "h264", "hevc", "m4v"})
"""Formats without timestamps: what libav says of their frames' times is made up from a rate that it made up."""
_TIMED_OUT = ("ExitError", "TimeoutError")
_REFUSED = ("HTTPUnauthorizedError", "HTTPForbiddenError")
"""PyAV's names for them."""


def open_stream(url: str, fps: float | None = None, time_outs: TimeOuts | None = None) -> VideoSource:
    """By PyAV where it is installed, else by OpenCV. Raises SourceError where no video comes within the time-outs."""
    if find_spec("av") is not None:
        return Stream(url, fps, time_outs)
    from clownfish.sources.camera import NetworkStream

    return NetworkStream(url, fps, time_outs)


class Stream:
    """A stream by its address.

    A finished file on a web server is not live: its length is known, its end is an end, and it can be made to wait.
    """

    def __init__(self, url: str, fps: float | None = None, time_outs: TimeOuts | None = None) -> None:
        """Raises SourceError where there is no video within the time-outs; Refused where it wants another password."""
        import av

        asked, limits = asked_fps(fps), time_outs or TimeOuts()
        self._what = f"stream {redacted(url)}"
        self._read_s = limits.read_s
        self._errors: Any = av.error.FFmpegError
        options = dict(_OPTIONS)
        if url.partition(":")[0].lower() in ("rtsp", "rtsps"):
            options["rtsp_transport"] = "tcp"
        began_s = time.monotonic()
        try:
            self._container: Any = av.open(url, options=options, timeout=(limits.open_s, limits.read_s))
        except (av.error.FFmpegError, OSError) as error:
            late = time.monotonic() - began_s > 0.95 * limits.open_s  # of RTSP libav does not say so
            raise self._cannot_open(error, f"no video there within {limits.open_s:g} s" if late else "") from error
        self._closing = Closing(self._container.close)
        if not self._container.streams.video:
            self._closing.close()
            raise SourceError(f"cannot open {self._what}: there is no video in it; expected a camera's address")
        video = self._video = self._container.streams.video[0]
        video.thread_count = 1  # more would take cores from the models, and each adds a frame of delay
        rate = float(video.average_rate or video.guessed_rate or 0)
        self.fps: float = asked or (rate if lawful(rate) else DEFAULT_FPS)
        self._timed = self._container.format.name not in _TIMELESS
        self._promised = video.frames
        self.live = not self._promised
        self.taken: Taken | None = None

    def __iter__(self) -> Iterator[Pixels]:
        """Frames as they come, shape (height, width, 3) uint8 RGB. Raises SourceError when none comes any more, Stalled
        where its sender is there and silent."""
        count = bad = 0
        packets = self._container.demux(self._video)
        while True:
            frames: list[Any] = []
            with self._closing.reading() as is_open:
                if not is_open:
                    return
                began_s = time.monotonic()
                try:
                    packet = next(packets, None)
                    if packet is not None:
                        at_s = time.monotonic()
                        frames, bad = self._decoded(packet, bad)
                except (self._errors, OSError) as error:
                    raise self._broke_off(error, count, time.monotonic() - began_s) from error
                pictures = [(self._taken(frame, at_s), frame.to_ndarray(format="rgb24")) for frame in frames]
            if packet is None:
                if time.monotonic() - began_s > 0.95 * self._read_s:
                    raise self._silent(count)
                if self.live or self._promised - count > max(1.0, self.fps):
                    raise SourceError(f"{self._what} stopped delivering after {count} frames: it ended")
                return
            if bad > _MOST_BAD:
                raise SourceError(f"{self._what} stopped delivering after {count} frames: its video cannot be decoded")
            for self.taken, pixels in pictures:
                if self._closing.closed:
                    return
                count += 1
                yield pixels

    def close(self) -> None:
        self._closing.close()

    def _decoded(self, packet: Any, bad: int) -> tuple[list[Any], int]:
        """The packet's frames, and how many packets in a row were damaged: lost packets are no end of a stream."""
        try:
            return packet.decode(), 0
        except self._errors as error:
            if type(error).__name__ != "InvalidDataError":
                raise
            return [], bad + 1

    def _taken(self, frame: Any, at_s: float) -> Taken:
        pts_s = float(frame.time) if self._timed and frame.time is not None else None
        return Taken(at_s, pts_s, (frame.width, frame.height))

    def _cannot_open(self, error: Exception, late: str) -> SourceError:
        kind, why = type(error).__name__, late or redacted(getattr(error, "strerror", None) or str(error))
        if kind in _REFUSED:
            return Refused(f"cannot open {self._what}: {why}; give the right user and password in its address")
        return SourceError(f"cannot open {self._what}: {why}; check the address, the network and that it is playing")

    def _silent(self, count: int) -> Stalled:
        return Stalled(f"{self._what} stopped delivering after {count} frames: nothing came for {self._read_s:g} s")

    def _broke_off(self, error: Exception, count: int, waited_s: float) -> SourceError:
        if type(error).__name__ in _TIMED_OUT or waited_s > 0.95 * self._read_s:  # some protocols give other errors
            return self._silent(count)
        why = redacted(getattr(error, "strerror", None) or str(error))
        return SourceError(f"{self._what} stopped delivering after {count} frames: {why}")
