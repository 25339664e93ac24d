"""The simpler embedded data set as a source: `shapes:test/3` is stream 3 of the test split."""

from __future__ import annotations

from collections.abc import Iterator

from clownfish.errors import DatasetError, SourceError
from clownfish.messages import Pixels
from clownfish.shapes import CLASSES, stream
from clownfish.sources.truth import Context, Truth
from clownfish.sources.videocapture import asked_fps


class Shapes:
    """Draws a shapes stream; not live, so a graph that is slower makes it wait."""

    live = False
    classes = CLASSES

    def __init__(self, what: str, fps: float | None = None) -> None:
        asked = asked_fps(fps)
        split, _, number = what.partition("/")
        if not number.isascii() or not number.isdigit():
            raise SourceError(f"shapes:{what}: expected SPLIT/NUMBER, as test/3")
        try:
            self._stream = stream(split, int(number))
        except DatasetError as error:
            raise SourceError(f"shapes:{what}: {error}") from error
        self.fps = self._stream.fps if asked is None else asked
        self._closed = False

    @property
    def truth(self) -> Truth:
        """What each frame shows: no frame is without a label."""
        return Truth(tuple(Context(*interval) for interval in self._stream.intervals))

    def __len__(self) -> int:
        """Frames."""
        return len(self._stream)

    def __iter__(self) -> Iterator[Pixels]:
        for frame in self._stream.frames():
            if self._closed:
                return
            yield frame

    def close(self) -> None:
        self._closed = True
