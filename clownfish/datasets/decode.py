"""Frames of a video file through PyAV, resized while decoding; no frame dumps needed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from clownfish.errors import DatasetError
from clownfish.messages import Pixels
from clownfish.opencv import cv2


def iterate(path: Path, size: tuple[int, int] | None = None, every: int = 1) -> Iterator[Pixels]:
    """Every `every`-th frame, first included: (height, width, 3) uint8 RGB, area-averaged to `size` = (width, height).

    One decoding thread. Raises DatasetError where the file cannot be opened or breaks off.
    """
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_count = 1
            for n, frame in enumerate(container.decode(stream)):
                if n % every:
                    continue
                pixels = frame.to_ndarray(format="rgb24")
                yield pixels if size is None else cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    except (av.FFmpegError, OSError, IndexError) as error:
        raise DatasetError(f"{path}: cannot be decoded as video ({error})") from error


def decode(path: Path, size: tuple[int, int] | None = None, every: int = 1) -> npt.NDArray[np.uint8]:
    """All of `iterate` as one array, shape (frames, height, width, 3). Raises DatasetError also for a video of no
    frames."""
    frames = list(iterate(path, size, every))
    if not frames:
        raise DatasetError(f"{path}: holds no frames")
    return np.stack(frames)
