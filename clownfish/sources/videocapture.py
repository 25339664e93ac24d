"""What all sources on OpenCV's VideoCapture share: reading, closing from any thread, lawful frame rates (layer 1)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from clownfish.errors import SourceError
from clownfish.messages import Pixels
from clownfish.opencv import cv2, swap_red_and_blue
from clownfish.sources.base import Closing

MAX_FPS = 240.0
DEFAULT_FPS = 30.0
"""For what has no rate of its own: folders of images, and cameras and streams that do not tell theirs."""


def lawful(fps: float) -> bool:
    """Whether `fps` can be a video's frame rate: above 0, at most MAX_FPS. Containers also say 0, NaN, or 90000."""
    return math.isfinite(fps) and 0.0 < fps <= MAX_FPS


def asked_fps(fps: float | None) -> float | None:
    """The rate that the user asks for, checked. Raises SourceError where it is out of range."""
    if fps is not None and not lawful(fps):
        raise SourceError(f"fps = {fps} is asked for; expected a number above 0 and at most {MAX_FPS:g}")
    return fps


class Capture:
    """An open cv2.VideoCapture that one thread reads and any thread may close (see `base.Closing`)."""

    def __init__(self, target: str | int, backend: int, parameters: Sequence[int] = ()) -> None:
        """Opens `target` with OpenCV's `backend` (cv2.CAP_…); see `opened`."""
        self._capture = cv2.VideoCapture(target, backend, list(parameters))
        self._closing = Closing(self._capture.release)
        self.opened = self._capture.isOpened()
        self.position_s: float | None = None
        """Timestamp of the newest frame, in seconds of the source's own clock; None where it has none."""

    def get(self, property_id: int) -> float:
        """A property of the capture (cv2.CAP_PROP_…); to be asked for before the first read."""
        return float(self._capture.get(property_id))

    def set(self, property_id: int, value: float) -> None:
        """Asks the device for a property; it may not listen."""
        self._capture.set(property_id, value)

    @property
    def closed(self) -> bool:
        return self._closing.closed

    def read(self) -> Pixels | None:
        """The next frame, shape (height, width, 3) uint8 RGB; None where there is none, or the capture is closed.

        Raises SourceError where OpenCV itself gives up on a frame.
        """
        frame = None
        with self._closing.reading() as is_open:
            if is_open:
                try:
                    frame = self._capture.read()[1]
                    position_ms = self._capture.get(cv2.CAP_PROP_POS_MSEC)
                except cv2.error as error:
                    raise SourceError(f"OpenCV cannot read the next frame: {error.err}") from error
                self.position_s = position_ms / 1000 if position_ms > 0 else None
        return None if frame is None or self.closed else swap_red_and_blue(frame)

    def close(self) -> None:
        """Ends reading and releases the device or file, at once or when the read that is going on returns."""
        self._closing.close()
