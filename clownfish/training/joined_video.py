"""Streams joined from held-out clips, written as video files with their truth beside: streams to choose and fit on.

They are joined as the labelled streams are (`datasets.joined`), of clips that the models were not trained on, so that
what is chosen or fitted on them (a fuser, a policy) owes nothing to the streams that are measured on.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from clownfish.datasets.base import Clip
from clownfish.datasets.decode import iterate
from clownfish.datasets.joined import Segment, join, shortest_of
from clownfish.errors import DatasetError
from clownfish.training.atomic import write_text, write_whole

FPS = 30
_ENCODER = {"preset": "veryfast", "crf": "12"}
"""Near lossless: clips are encoded once already."""


def write_joined(clips: Sequence[Clip], folder: Path, *, rounds: int, seed: int, width: int, height: int) -> list[Path]:
    """Write the streams of `rounds` rounds over all clips: `folder`/joinedNN.mp4, each with its .csv beside.

    A stream whose files are there already is left as it is; the same arguments name the same streams. Raises
    DatasetError where clips are too short or too few, or cannot be decoded.
    """
    rng = np.random.default_rng(seed)
    streams = [stream for _ in range(rounds) for stream in join(list(clips), rng, shortest=shortest_of(clips))]
    if not streams:
        raise DatasetError(f"{len(clips)} clips make no stream of two contexts: take more clips")
    paths = []
    for n, stream in enumerate(streams):
        path = folder / f"joined{n:02d}.mp4"
        paths.append(path)
        if not path.with_suffix(".csv").exists():
            content = _encoded(stream, width, height)
            write_whole(path, lambda file, content=content: file.write(content))  # type: ignore[misc]
            write_text(path.with_suffix(".csv"), _table(stream))  # last: a stream without it is not whole
    return paths


def _encoded(stream: Sequence[Segment], width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=Fraction(FPS), options=_ENCODER)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        for segment in stream:
            for pixels in iterate(segment.clip.path, (width, height), 1, segment.start, segment.end):
                for packet in video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                    container.mux(packet)
        for packet in video.encode():
            container.mux(packet)
    return buffer.getvalue()


def _table(stream: Sequence[Segment]) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("start_frame", "end_frame", "label", "clip"))
    n = 0
    for segment in stream:
        length = segment.end - segment.start
        table.writerow((n, n + length, segment.clip.label, segment.clip.path.name))
        n += length
    return text.getvalue()
