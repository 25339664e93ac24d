"""The contract of a video source: an iterator of frames (layer 1).

A source only reads. Pacing, frame numbers, resizing once and clocks are `capture`'s, the same for all sources.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from clownfish.messages import Pixels


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
