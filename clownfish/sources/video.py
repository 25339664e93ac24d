"""The source `video`: a video file, read once from its beginning (layer 1).

A file that breaks off is not a file that ends: its frames up to there are delivered, then SourceError. A file breaks
off when it is shorter than its own structure says (MP4, MOV, AVI), or when over a second of the frames that its header
promises cannot be decoded. A smaller gap in a whole file is no fault: Matroska's count is an estimate from the
duration, and an edit list leaves out frames that MP4's count includes.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

from clownfish.errors import SourceError
from clownfish.messages import Pixels
from clownfish.opencv import ONE_THREAD, cv2
from clownfish.sources.videocapture import MAX_FPS, Capture, asked_fps, lawful


class VideoFile:
    """Frames of a file, decoded by FFmpeg inside OpenCV in one thread."""

    live = False

    def __init__(self, path: str | os.PathLike[str], fps: float | None = None) -> None:
        """`fps` overrides the rate in the file's header; frames are neither dropped nor repeated for it.

        Raises SourceError where there is no such file, it is no video, or neither its header nor `fps` gives a rate.
        """
        self._path = Path(path)
        asked = asked_fps(fps)
        if self._path.is_dir():
            raise SourceError(
                f"{self._path} is a folder; expected a video file (for a folder of images: images:FOLDER)"
            )
        try:
            missing_bytes, moov = _structure(self._path)
        except OSError as error:
            raise SourceError(f"cannot read the video file {self._path}: {error.strerror}") from error
        self._missing_bytes = missing_bytes
        # one decoding thread: more would take cores from the models, and each adds a frame of delay
        self._capture = Capture(str(self._path), cv2.CAP_FFMPEG, ONE_THREAD)
        if not self._capture.opened:
            raise SourceError(f"{self._path} cannot be opened as a video: {self._why_not(moov)}")
        self._promised = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        header_fps = self._capture.get(cv2.CAP_PROP_FPS)
        if asked is None and not lawful(header_fps):
            self._capture.close()
            raise SourceError(
                f"{self._path} says it has {header_fps:g} frames per second; expected above 0 and at most {MAX_FPS:g}: "
                "give the right number as fps"
            )
        self.fps: float = header_fps if asked is None else asked

    def __iter__(self) -> Iterator[Pixels]:
        """Frames in order, shape (height, width, 3) uint8 RGB. Raises SourceError where the file breaks off."""
        count = 0
        while (pixels := self._capture.read()) is not None:
            count += 1
            yield pixels
        if not self._capture.closed:
            self._check_end(count)

    @property
    def frames_promised(self) -> int:
        """Frames, as the file's header has it: a hint, for progress."""
        return max(0, int(self._promised)) if math.isfinite(self._promised) else 0

    def close(self) -> None:
        self._capture.close()

    def _check_end(self, count: int) -> None:
        if count == 0:
            raise SourceError(f"{self._path} is opened as a video, but not one frame of it can be decoded")
        lost = self._promised - count
        if self._missing_bytes > 0 and lost > 0:
            cause = f"the file is cut off, at least {self._missing_bytes} bytes are missing"
        elif lost > max(1.0, self.fps):
            cause = "the file is cut off or damaged"
        else:
            return
        raise SourceError(f"{self._path} breaks off: {count} of {self._promised:.0f} frames could be read; {cause}")

    def _why_not(self, moov: bool | None) -> str:
        if self._path.stat().st_size == 0:
            return "it is empty"
        if moov is False:
            return "its index (moov) is missing; the file is cut off, or its recording was never finished"
        if self._missing_bytes > 0:
            return f"it is cut off, at least {self._missing_bytes} bytes are missing"
        return "it is no video, or of a kind that this build of OpenCV does not know"


def _structure(path: Path) -> tuple[int, bool | None]:
    """(bytes missing at the end, whether an MP4's index is there), by the sizes that the container itself states.

    (0, None) for what is neither MP4/MOV (ISO 14496-12: boxes of size and kind) nor AVI (one RIFF chunk or several).
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] == b"RIFF":
            return max(0, 8 + int.from_bytes(head[4:8], "little") - size), None
        if head[4:8] not in (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip"):
            return 0, None
        at, moov = 0, False
        while at + 8 <= size:
            file.seek(at)
            header = file.read(16)
            length = int.from_bytes(header[:4], "big")
            if length == 1:  # a 64-bit size follows the kind
                length = int.from_bytes(header[8:16], "big")
            elif length == 0:  # up to the end of the file
                length = size - at
            if length < 8:
                break
            moov = moov or header[4:8] == b"moov"
            at += length
        return max(0, at - size), moov
