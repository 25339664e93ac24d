"""OpenCV as this house uses it: one thread per process, RGB, and silent (layer 1).

Import `cv2` from here, never directly. OpenCV's own thread pool fights with the other processes of a small box, and
what OpenCV and its FFmpeg print on stderr is said again, better, by the errors that we raise; OPENCV_LOG_LEVEL and
OPENCV_FFMPEG_LOGLEVEL in the environment bring their voices back.

PyPI's is new. The one that comes with the system has GStreamer and is older: 4.8 with JetPack 6, 4.6 with Debian 12.
"""

from __future__ import annotations

import os
from typing import Any, cast

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET; read by OpenCV when it first opens a video
os.environ.setdefault(
    "OPENCV_LOG_LEVEL", "SILENT"
)  # read when it is loaded; its functions go by another name each year

import cv2

from clownfish.messages import Pixels

cv2.setNumThreads(1)

ONE_THREAD: list[int] = [cv2.CAP_PROP_N_THREADS, 1] if hasattr(cv2, "CAP_PROP_N_THREADS") else []
"""For FFmpeg, where this OpenCV knows how to say it (from 4.7 on): to be given when a video is opened."""


def swap_red_and_blue(pixels: Any) -> Pixels:
    """A new array, shape (height, width, 3) uint8, with channels 0 and 2 exchanged: RGB ⇄ OpenCV's BGR."""
    return cast(Pixels, cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))


def resized(pixels: Pixels, width: int, height: int) -> Pixels:
    """`pixels` at (height, width, 3), area-averaged, or bilinear where they grow; the very same array where they have
    that size already."""
    if pixels.shape[0] == height and pixels.shape[1] == width:
        return pixels
    grows = pixels.shape[0] < height or pixels.shape[1] < width  # area averages would grow into blocks
    how = cv2.INTER_LINEAR if grows else cv2.INTER_AREA
    return cast(Pixels, cv2.resize(pixels, (width, height), interpolation=how))


__all__ = ["ONE_THREAD", "cv2", "resized", "swap_red_and_blue"]
