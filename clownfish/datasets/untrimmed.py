"""Long videos and their intervals, as data sets of untrimmed video list them: made into clips to train on and streams
to measure on, with a class for the time between intervals where one is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np

from clownfish.datasets.base import Clip, Group, Interval, LabelledStream, Part, Skipped, check_intervals
from clownfish.errors import ConfigError

Overlap = Literal["refuse", "skip"]

SHORTEST_GAP = 24
"""A shorter stretch between intervals, in frames, is no clip to learn the background from."""
LONGEST_GAP = 180
"""Of a longer one the middle is taken: a minute of waiting teaches no more than some seconds of it."""
MARGIN = 8
"""Frames between an interval and a clip of background: where an action ends is a matter of opinion."""


@dataclass(frozen=True, slots=True)
class Video:
    """One long video and what it shows, intervals in order."""

    path: Path
    frames: int
    intervals: tuple[Interval, ...]
    group: Group
    part: Part


@dataclass(frozen=True, slots=True)
class Background:
    """The class of the time between intervals; `name` "" for none."""

    name: str = ""
    share: float = 0.35
    """The most of all clips that show it."""

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ConfigError(f"background_share is {self.share}, expected a share above 0 and below 1")


def with_background(classes: Sequence[str], background: Background) -> tuple[str, ...]:
    """The classes, that of the background last. Raises ConfigError where it has the name of another."""
    if background.name in classes:
        raise ConfigError(f"background is {background.name!r}, which is a class already; give it another name")
    return (*classes, background.name) if background.name else tuple(classes)


def in_order(
    source: Path, found: Iterable[Interval], overlaps: Overlap, skipped: list[Skipped]
) -> tuple[Interval, ...]:
    """Intervals sorted by their beginning. Those that overlap raise DatasetError, or the later one is skipped."""
    if overlaps not in ("refuse", "skip"):
        raise ConfigError(f"overlaps is {overlaps!r}, expected 'refuse' or 'skip'")
    ordered = sorted(found, key=lambda interval: (interval.start, interval.end))
    if overlaps == "skip":
        kept: list[Interval] = []
        for interval in ordered:
            if kept and interval.start < kept[-1].end:
                what = f"{source}: {interval.start} to {interval.end} ({interval.label})"
                skipped.append(Skipped(what, f"overlaps {kept[-1].start} to {kept[-1].end} ({kept[-1].label})"))
            else:
                kept.append(interval)
        ordered = kept
    return check_intervals(source, tuple(ordered))


def clips_of(videos: Sequence[Video], background: Background) -> list[Clip]:
    """One clip for each interval outside the test part; clips of background are thinned to their share of each part, by
    a fixed draw."""
    found: list[Clip] = []
    for part in ("", "train", "validation"):
        own = [video for video in videos if video.part == part]
        shown = [_clip(video, i.start, i.end, i.label) for video in own for i in video.intervals]
        between = [clip for video in own for clip in _between(video, background.name)] if background.name else []
        most = max(round(background.share / (1 - background.share) * len(shown)), 1)
        if len(between) > most:
            chosen = np.random.default_rng(0).choice(len(between), most, replace=False)
            between = [between[i] for i in sorted(chosen)]
        found += shown + between
    return found


def _between(video: Video, name: str) -> Iterator[Clip]:
    """Clips of the time between intervals, clear of them."""
    for start, end in _gaps(video):
        start, end = (start + MARGIN if start else 0), (end - MARGIN if end < video.frames else end)
        if end - start >= SHORTEST_GAP:
            start = max(start, (start + end - LONGEST_GAP) // 2)
            yield _clip(video, start, min(end, start + LONGEST_GAP), name)


def streams_of(videos: Sequence[Video], background: Background) -> list[LabelledStream]:
    """The videos of the test part; where there is none, those of the validation part (on which the temperature was
    chosen, and nothing else); where there is neither, none: the others are trained on."""
    part = next((part for part in ("test", "validation") if any(video.part == part for video in videos)), None)
    streams = []
    for video in videos:
        if part is None or video.part != part:
            continue
        intervals = list(video.intervals)
        if background.name:
            intervals += [Interval(start, end, background.name) for start, end in _gaps(video)]
            intervals.sort(key=lambda interval: interval.start)
        streams.append(LabelledStream(video.path.stem, video.path, tuple(intervals)))
    return streams


def _clip(video: Video, start: int, end: int, label: str) -> Clip:
    whole = start == 0 and end == video.frames
    return Clip(video.path, label, video.group, end - start, start, None if whole else end, video.part)


def _gaps(video: Video) -> Iterator[tuple[int, int]]:
    """[start, end) of the time that no interval covers."""
    edges = [Interval(0, 0, ""), *video.intervals, Interval(video.frames, video.frames, "")]
    for before, after in pairwise(edges):
        if after.start > before.end:
            yield before.end, after.start
