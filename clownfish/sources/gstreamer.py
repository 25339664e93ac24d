"""The source `gst`: a GStreamer pipeline, such as a Jetson's with its camera or its hardware decoder (layer 1).

GStreamer's own libraries are spoken to (`gst.native`), whatever OpenCV was built with.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import numpy as np

from clownfish.cadence import Taken
from clownfish.errors import SourceError
from clownfish.gst.native import Frames, Picture, Trouble
from clownfish.messages import Pixels
from clownfish.redaction import redacted
from clownfish.sources.base import Closing, Refused, Stalled, TimeOuts
from clownfish.sources.videocapture import DEFAULT_FPS, asked_fps, lawful

_LOOK_S = 0.2
"""How often a reader that waits looks whether it is closed."""
_NAME = "frames"


def described(pipeline: str) -> str:
    """The pipeline with an appsink called `frames` at its end: given, or left out and added."""
    head, sink, tail = pipeline.rpartition("appsink")
    if not sink or "!" in tail:
        return f"{pipeline.rstrip().rstrip('!')} ! videoconvert ! appsink name={_NAME} max-buffers=2 drop=true"
    named = re.sub(r"\bname\s*=\s*\S+", "", tail)
    return f"{head}appsink name={_NAME} {named.strip()}".strip()


class GStreamer:
    """A GStreamer pipeline as gst-launch-1.0 has it, e.g. "nvarguscamerasrc ! nvvidconv ! video/x-raw,format=BGRx"."""

    live = True

    def __init__(self, pipeline: str, fps: float | None = None, time_outs: TimeOuts | None = None) -> None:
        """Waits for its first frame. Raises SourceError where GStreamer is not here, or it does not start."""
        asked, limits = asked_fps(fps), time_outs or TimeOuts()
        self._what = f"GStreamer pipeline {redacted(pipeline)!r}"
        self._read_s = limits.read_s
        self.taken: Taken | None = None
        try:
            self._frames = Frames(described(pipeline), _NAME)
        except Trouble as trouble:
            raise self._cannot_open(str(trouble)) from trouble
        self._closing = Closing(self._frames.stop)
        self._first = self._next(limits.open_s)
        if self._first is None:
            why = self._frames.why() or f"no frame within {limits.open_s:g} s"
            self._closing.close()
            raise self._cannot_open(why)
        told = self._first.fps
        self.fps: float = asked or (told if lawful(told) else DEFAULT_FPS)

    def __iter__(self) -> Iterator[Pixels]:
        """Frames as they come, shape (height, width, 3) uint8 RGB. Raises SourceError when none comes any more."""
        count = 0
        picture, self._first = self._first, None
        while picture is not None:
            self.taken = Taken(time.monotonic(), picture.pts_s, (picture.width, picture.height))
            count += 1
            yield _pixels(picture)
            picture = self._next(self._read_s)
        if self._closing.closed:
            return
        begin = f"{self._what} stopped delivering after {count} frames: "
        if why := redacted(self._frames.why()):
            raise SourceError(begin + why)
        if self._frames.ended():
            raise SourceError(f"{begin}it ended")
        raise Stalled(f"{begin}nothing came for {self._read_s:g} s")

    def close(self) -> None:
        self._closing.close()

    def _next(self, patience_s: float) -> Picture | None:
        """None where none came in time, none can come any more, or this is closed."""
        give_up = time.monotonic() + patience_s
        while (left_s := give_up - time.monotonic()) > 0:
            with self._closing.reading() as is_open:
                if not is_open:
                    return None
                try:
                    picture = self._frames.pull(min(left_s, _LOOK_S))
                except Trouble as trouble:
                    raise SourceError(f"{self._what}: {trouble}") from trouble
                if picture is not None or self._frames.ended() or self._frames.failed():
                    return picture
        return None

    def _cannot_open(self, why: str) -> SourceError:
        kind = Refused if re.search(r"(?i)unauthorized|not authorized|401", why) else SourceError
        return kind(f"cannot open {self._what}: {redacted(why)}; try it with gst-launch-1.0, with fakesink at its end")


def _pixels(picture: Picture) -> Pixels:
    row_bytes = len(picture.data) // picture.height
    rows = np.frombuffer(picture.data, np.uint8)[: row_bytes * picture.height].reshape(picture.height, row_bytes)
    return np.ascontiguousarray(rows[:, : 3 * picture.width]).reshape(picture.height, picture.width, 3)
