"""Labelled streams to choose by: clips of held-back groups, joined as the streams to measure on were (§VI-A).

What is chosen (n_w, θ, a policy, a fuser) is chosen on these, so that the streams to measure on stay unseen. The models
must not have learnt from the groups either; the caller sees to that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from clownfish.datasets.base import Clip, Group, Interval
from clownfish.datasets.decode import iterate
from clownfish.datasets.encode import encode, write_truth
from clownfish.datasets.joined import LONGEST, Segment, join, shortest_of
from clownfish.datasets.split import split_by_group
from clownfish.errors import DatasetError
from clownfish.messages import Pixels
from clownfish.opencv import resized


def join_streams(
    clips: Sequence[Clip],
    groups: Sequence[Group],
    output: Path,
    *,
    rounds: int = 1,
    seed: int = 0,
    on_stream: Callable[[Path, int], None] = lambda path, frames: None,
) -> list[Path]:
    """Write joined00.mp4, joined01.mp4 … with their tables into `output` and return the videos.

    Only clips of `groups` are used, each once in each of `rounds`. Frames take the size of the first clip, made even.
    Raises DatasetError where a group has no clip, clips are too short, or a video cannot be read or written.
    """
    _, held = split_by_group(list(clips), groups)
    rng = np.random.default_rng(seed)
    shortest = shortest_of(held)
    streams = [stream for _ in range(rounds) for stream in join(held, rng, shortest=shortest, longest=LONGEST)]
    if not streams:
        raise DatasetError(
            f"the {len(held)} clips of groups {', '.join(map(str, groups))} make no stream of two contexts: name more "
            "groups, or take longer clips"
        )
    size = _even_size(held[0])
    written = []
    for n, stream in enumerate(streams):
        path = output / f"joined{n:02}.mp4"
        intervals = list(_intervals(stream))
        path.with_suffix(".csv").unlink(missing_ok=True)  # an old table never stands beside a new video
        count = encode(path, _frames(stream, size))
        if count != intervals[-1].end:
            raise DatasetError(
                f"{path}: {count} frames were decoded where the clips have {intervals[-1].end}; a clip breaks off early"
            )
        write_truth(path, intervals)
        on_stream(path, count)
        written.append(path)
    return written


def _intervals(stream: Sequence[Segment]) -> Iterator[Interval]:
    start = 0
    for segment in stream:
        end = start + segment.end - segment.start
        yield Interval(start, end, segment.clip.label, segment.clip.path.name)
        start = end


def _frames(stream: Sequence[Segment], size: tuple[int, int]) -> Iterator[Pixels]:
    for segment in stream:
        first = segment.clip.start
        for pixels in iterate(segment.clip.path, start=first + segment.start, end=first + segment.end):
            yield resized(pixels, *size)


def _even_size(clip: Clip) -> tuple[int, int]:
    """(width, height) that H.264 can hold."""
    height, width = next(iter(iterate(clip.path, start=clip.start, end=clip.start + 1))).shape[:2]
    return width - width % 2, height - height % 2
