"""Frames of a video file through PyAV, resized while decoding; no frame dumps needed.

Frame n is the nth that the file decodes to. To begin in the middle of a long file, the decoder is sent to the keyframe
before; which frame that is, the time stamps of all packets tell, once sorted. Files without them are decoded from their
beginning.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from clownfish.errors import DatasetError
from clownfish.messages import Pixels
from clownfish.opencv import cv2

Size = tuple[int, int]
_BROKEN = (av.FFmpegError, OSError, IndexError, ValueError)


def iterate(
    path: Path, size: Size | None = None, every: int = 1, start: int = 0, end: int | None = None
) -> Iterator[Pixels]:
    """Frames start, start + every … below `end`: (height, width, 3) uint8 RGB, area-averaged to `size` = (width,
    height).

    One decoding thread. Raises DatasetError where the file cannot be opened or breaks off.
    """
    try:
        with closing(_Reader(path)) as reader:
            for frame in reader.read(start, end, every):
                yield _pixels(frame, size)
    except _BROKEN as error:
        raise DatasetError(f"{path}: cannot be decoded as video ({error})") from error


def decode(
    path: Path, size: Size | None = None, every: int = 1, start: int = 0, end: int | None = None
) -> npt.NDArray[np.uint8]:
    """All of `iterate` as one array, shape (frames, height, width, 3). Raises DatasetError also for a video of no
    frames."""
    frames = list(iterate(path, size, every, start, end))
    if not frames:
        raise DatasetError(f"{path}: holds no frames{f' from {start} on' if start else ''}")
    return np.stack(frames)


def decode_parts(
    path: Path, parts: Sequence[tuple[int, int | None]], size: Size, every: int
) -> Iterator[npt.NDArray[np.uint8] | DatasetError]:
    """`decode` of each [start, end) in turn, in one pass over the file where they follow each other.

    A part that cannot be decoded yields its error, and the others are tried all the same.
    """
    reader: _Reader | None = None
    for start, end in parts:
        try:
            reader = reader or _Reader(path)
            frames = [_pixels(frame, size) for frame in reader.read(start, end, every)]
            yield np.stack(frames) if frames else DatasetError(f"{path}: holds no frames from {start} on")
        except _BROKEN as error:
            yield DatasetError(f"{path}: cannot be decoded as video ({error})")
            if reader is not None:
                reader.close()
            reader = None
    if reader is not None:
        reader.close()


def _pixels(frame: Any, size: Size | None) -> Pixels:
    pixels: Pixels = np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), quarter_turns(frame)))
    if size is not None:
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    return pixels


def quarter_turns(frame: Any) -> int:
    """How often the frame is to be turned left to stand as it was filmed: telephones lay pictures down and say so in
    the container, which the live sources (OpenCV) obey."""
    return round(getattr(frame, "rotation", 0) / 90) % 4


@dataclass(frozen=True, slots=True)
class _Times:
    """Time stamps of all frames in order, and which frames are keyframes."""

    number: dict[int, int]
    """pts → frame"""
    keyframes: tuple[tuple[int, int], ...]
    """(frame, pts), in order"""


class _Reader:
    """One open file and the place in it. Raises what PyAV raises."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._times: _Times | None = None
        self._looked = False
        self._open()

    def _open(self) -> None:
        self._container = av.open(str(self._path))
        self._stream = self._container.streams.video[0]
        self._stream.thread_count = 1
        self._frames = self._container.decode(self._stream)
        self._next = 0
        """Number of the frame that comes next; told anew by its pts after a jump."""
        self._jumped = False

    def close(self) -> None:
        self._container.close()

    def read(self, start: int, end: int | None, every: int) -> Iterator[Any]:
        """Frames start, start + every … below end, as PyAV gives them."""
        self._go_to(start)
        while end is None or self._next < end:
            frame = next(self._frames, None)
            if frame is None:
                return
            if self._jumped:
                number = None if self._times is None or frame.pts is None else self._times.number.get(frame.pts)
                self._jumped = False
                if number is None:  # the decoder tells other times than the packets: count from the beginning
                    self._times = None
                    self.close()
                    self._open()
                    continue
                self._next = number
            n, self._next = self._next, self._next + 1
            if n >= start and (n - start) % every == 0:
                yield frame

    def _go_to(self, start: int) -> None:
        """Come before frame `start`: on, by a jump to a keyframe if that saves decoding, or back."""
        if start == self._next:
            return
        if not self._looked:
            self._times, self._looked = _times(self._path), True
        if self._times is not None:
            at = bisect_right(self._times.keyframes, (start, 1 << 63)) - 1
            if at >= 0:
                frame, pts = self._times.keyframes[at]
                if start < self._next or frame > self._next:
                    self._container.seek(pts, stream=self._stream, backward=True)
                    self._frames = self._container.decode(self._stream)
                    self._next, self._jumped = frame, True
                return
        if start < self._next:
            self.close()
            self._open()


def is_shown(packet: Any) -> bool:
    """Whether a packet becomes a frame: not the empty one at the end, and not what an edit list leaves out."""
    return bool(packet.size) and not packet.is_discard


def _times(path: Path) -> _Times | None:
    """None where time stamps are missing or not all different, so that they do not tell frames apart."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        packets = [(packet.pts, packet.is_keyframe) for packet in container.demux(stream) if is_shown(packet)]
    stamps = [pts for pts, _ in packets if pts is not None]
    if len(set(stamps)) < len(packets):
        return None
    number = {pts: n for n, pts in enumerate(sorted(stamps))}
    keyframes = sorted((number[pts], pts) for pts, is_keyframe in packets if is_keyframe and pts is not None)
    return _Times(number, tuple(keyframes))
