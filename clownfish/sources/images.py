"""The source `images`: a folder of pictures as a video (layer 1)."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from clownfish.errors import SourceError
from clownfish.messages import Pixels
from clownfish.opencv import cv2, swap_red_and_blue
from clownfish.sources.videocapture import DEFAULT_FPS, asked_fps

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})


class ImageFolder:
    """Every picture right in a folder, by name in natural order (2.png before 10.png). Sizes may differ."""

    live = False

    def __init__(self, folder: str | os.PathLike[str], fps: float | None = None) -> None:
        """`fps` is the rate at which they pass for a video; DEFAULT_FPS where not given.

        Raises SourceError where there is no such folder or no picture in it.
        """
        self._folder = Path(folder)
        self.fps: float = asked_fps(fps) or DEFAULT_FPS
        self._closed = threading.Event()
        try:
            entries = list(self._folder.iterdir())
        except OSError as error:
            raise SourceError(f"cannot list the folder of images {self._folder}: {error.strerror}") from error
        pictures = [path for path in entries if path.suffix.lower() in SUFFIXES and path.name[0] != "."]
        self._paths = sorted(pictures, key=lambda path: natural_order(path.name))
        if not self._paths:
            raise SourceError(
                f"no image in {self._folder} ({len(entries)} other entries); "
                f"expected files {', '.join(sorted(SUFFIXES))}"
            )

    def __iter__(self) -> Iterator[Pixels]:
        """Frames in order, shape (height, width, 3) uint8 RGB. Raises SourceError at a picture that cannot be read."""
        for index, path in enumerate(self._paths):
            if self._closed.is_set():
                return
            yield self._read(index, path)

    def close(self) -> None:
        self._closed.set()

    def _read(self, index: int, path: Path) -> Pixels:
        where = f"image {index + 1} of {len(self._paths)}, {path}"
        try:
            # not cv2.imread: it fills the lost part of a JPEG that is cut off with grey, and says nothing
            data = np.fromfile(path, np.uint8)
            pixels = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
        except OSError as error:
            raise SourceError(f"cannot read {where}: {error.strerror}") from error
        except cv2.error as error:
            raise SourceError(f"cannot decode {where}: {error.err}") from error
        if pixels is None:
            raise SourceError(f"cannot decode {where}: {data.size} bytes that are no image, cut off or damaged")
        return swap_red_and_blue(pixels)


def natural_order(name: str) -> tuple[list[tuple[int, str]], str]:
    """A sort key that takes runs of digits as numbers; the name itself decides between 1.png and 01.png."""
    parts = re.split(r"([0-9]+)", name)
    return [(int(part), "") if part.isascii() and part.isdigit() else (-1, part.casefold()) for part in parts], name
