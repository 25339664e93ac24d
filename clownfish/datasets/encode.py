"""Frames into a video file through PyAV, and their contexts into the table beside it, as `decode` and `sources.truth`
read them."""

from __future__ import annotations

import contextlib
import csv
import os
from collections.abc import Iterable
from pathlib import Path

import av

from clownfish.datasets.base import Interval
from clownfish.errors import DatasetError
from clownfish.messages import Pixels

CRF = 16
"""x264's constant rate factor: some 40 dB on small video, so that what was encoded before loses little more."""


def encode(path: Path, frames: Iterable[Pixels], fps: int = 30) -> int:
    """Write `frames`, each (height, width, 3) uint8 RGB of even height and width, as H.264; returns how many. The file
    appears whole or not at all. Raises DatasetError for no frame, odd sizes and what cannot be written."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    count = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(part), "w", format="mp4") as container:
            stream = container.add_stream("libx264", rate=fps, options={"crf": str(CRF), "preset": "veryfast"})
            stream.pix_fmt = "yuv420p"
            for pixels in frames:
                if not count:
                    stream.height, stream.width = pixels.shape[:2]
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
                count += 1
            if count:
                container.mux(stream.encode())
        if not count:
            raise DatasetError(f"{path}: no frame to write; give at least one")
        part.replace(path)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise DatasetError(f"{path}: cannot be written as video ({error})") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
    return count


def write_truth(video: Path, intervals: Iterable[Interval]) -> None:
    """The table beside `video`: start_frame, end_frame (the first one after), label, clip."""
    with video.with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("start_frame", "end_frame", "label", "clip"))
        rows.writerows((each.start, each.end, each.label, each.clip) for each in intervals)
