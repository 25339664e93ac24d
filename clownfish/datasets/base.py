"""The contract of a data set: it lists, it does not decode (that is `decode`).

A *clip* is a short video of one class, or such an interval of a long one; a *stream* is a long one in which contexts
follow each other (§VI-A).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from clownfish.errors import DatasetError

Part = Literal["", "train", "validation", "test"]
"""Where the data set's authors put a video; "" where they did not say."""

Group = int | str


@dataclass(frozen=True, slots=True)
class Clip:
    """One labelled video, or frames [start, end) of one. Clips of one `group` show the same scene and people, so a
    group never crosses parts."""

    path: Path
    label: str
    group: Group
    frames: int
    start: int = 0
    end: int | None = None
    """None: to the end of the file."""
    part: Part = ""

    @property
    def key(self) -> str:
        """A name that no other clip of the data set has."""
        path = self.path.as_posix()
        return path if self.whole else f"{path}#{self.start}-{self.end}"

    @property
    def whole(self) -> bool:
        """Whether it is all of its file."""
        return self.start == 0 and self.end is None


@dataclass(frozen=True, slots=True)
class Interval:
    """Frames [start, end) of a stream show one context."""

    start: int
    end: int
    label: str
    clip: str = ""
    """What it was cut from, where the stream was joined from clips."""


@dataclass(frozen=True, slots=True)
class LabelledStream:
    """A long video and its contexts, in order and without overlap."""

    name: str
    path: Path
    intervals: tuple[Interval, ...]

    def interval_at(self, frame: int) -> Interval | None:
        """The context that `frame` belongs to; None between contexts."""
        return next((each for each in self.intervals if each.start <= frame < each.end), None)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A video or an interval that a data set names and that is not used."""

    what: str
    why: str


class Dataset(Protocol):
    """Opened by `(root, probe, **options)`: the folder as the data set's own authors lay it out, `probe.Probe` to count
    frames with, and what `[data] options` says. Raises DatasetError where it is not that data set."""

    classes: tuple[str, ...]
    """In the order of the models' outputs."""
    skipped: list[Skipped]
    """Of what was listed so far: broken videos and the like."""

    def clips(self) -> list[Clip]:
        """All clips to train and to validate on, none of the test part. Raises DatasetError naming the file and line
        that is wrong."""

    def streams(self) -> list[LabelledStream]:
        """Labelled streams to measure on, never to train on or to choose by; none where the data set has none."""


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
