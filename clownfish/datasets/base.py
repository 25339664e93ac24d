"""The contract of a data set: it lists, it does not decode (that is `decode`).

A *clip* is a short video of one class; a *stream* is a long one in which contexts follow each other (§VI-A).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from clownfish.errors import DatasetError


@dataclass(frozen=True, slots=True)
class Clip:
    """One labelled video. Clips of one `group` show the same scene and people, so a group never crosses parts."""

    path: Path
    label: str
    group: int
    frames: int


@dataclass(frozen=True, slots=True)
class Interval:
    """Frames [start, end) of a stream show one context."""

    start: int
    end: int
    label: str
    clip: str


@dataclass(frozen=True, slots=True)
class LabelledStream:
    """A long video and its contexts, in order and without overlap."""

    name: str
    path: Path
    intervals: tuple[Interval, ...]

    def interval_at(self, frame: int) -> Interval | None:
        """The context that `frame` belongs to; None between contexts."""
        return next((each for each in self.intervals if each.start <= frame < each.end), None)


class Dataset(Protocol):
    """Opened by `(root)`, the folder as the data set's own authors lay it out; raises DatasetError where it is not."""

    classes: tuple[str, ...]
    """In the order of the models' outputs."""

    def clips(self) -> list[Clip]:
        """All training clips. Raises DatasetError naming the file and line that is wrong."""

    def streams(self) -> list[LabelledStream]:
        """Labelled streams to measure on, never to train on or to choose by."""


def check_intervals(source: Path, intervals: tuple[Interval, ...]) -> tuple[Interval, ...]:
    """The same intervals. Raises DatasetError where one is empty, or begins before its predecessor ends."""
    end = 0
    for each in intervals:
        if each.start < end or each.end <= each.start:
            raise DatasetError(
                f"{source}: interval {each.start} to {each.end} ({each.label}) is empty or overlaps the one that ends "
                f"at {end}; intervals must follow each other, end exclusive"
            )
        end = each.end
    return intervals


def split_by_group(clips: list[Clip], validation_groups: tuple[int, ...]) -> tuple[list[Clip], list[Clip]]:
    """(train, validation), split by group. Raises DatasetError where a class would be missing from either."""
    held_out = set(validation_groups)
    train = [clip for clip in clips if clip.group not in held_out]
    validation = [clip for clip in clips if clip.group in held_out]
    wanted = {clip.label for clip in clips}
    for part, chosen in (("train", train), ("validation", validation)):
        missing = wanted - {clip.label for clip in chosen}
        if missing:
            raise DatasetError(
                f"no {part} clips of {', '.join(sorted(missing))} when groups {sorted(held_out)} validate; "
                f"groups there are: {sorted({clip.group for clip in clips})}"
            )
    return train, validation
