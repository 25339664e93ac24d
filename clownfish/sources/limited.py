"""The first seconds of another source (layer 1)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from clownfish.cadence import Taken
from clownfish.messages import Pixels
from clownfish.sources.base import VideoSource


class Limited:
    """Ends after `seconds` of the wrapped source, counted in frames at its nominal rate."""

    def __init__(self, source: VideoSource, seconds: float) -> None:
        self._source = source
        self._frames = max(1, round(seconds * source.fps))
        self.fps = source.fps
        self.live = source.live

    @property
    def taken(self) -> Taken | None:
        """Of a live source's newest frame."""
        taken: Taken | None = getattr(self._source, "taken", None)
        return taken

    def __iter__(self) -> Iterator[Pixels]:
        return islice(iter(self._source), self._frames)

    def close(self) -> None:
        self._source.close()
