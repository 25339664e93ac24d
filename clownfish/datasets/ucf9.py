"""Nine classes of UCF-101 (Soomro, Zamir, Shah, CRCV-TR-12-01, 2012), clips by class plus streams of joined segments.

Terms of UCF-101: research use, not to be redistributed. Layout: `train.csv` (path, label, group, frames),
`train/CLASS/*.mp4`, `streams/NAME.mp4` beside `streams/NAME.csv` (start_frame, end_frame exclusive, label, clip).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from clownfish.datasets.base import Clip, Interval, LabelledStream, check_intervals
from clownfish.errors import DatasetError

CLASSES = (
    "ApplyEyeMakeup",
    "ApplyLipstick",
    "Archery",
    "BabyCrawling",
    "BalanceBeam",
    "BandMarching",
    "BaseballPitch",
    "Basketball",
    "BasketballDunk",
)


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, row) of a CSV with a header. Raises DatasetError where file or columns are missing."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != columns:
                raise DatasetError(f"{path}: columns are {reader.fieldnames}, expected {', '.join(columns)}")
            for row in reader:
                yield reader.line_num, row
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}); is this the ucf9 folder?") from error


def _number(path: Path, line: int, row: dict[str, str], column: str) -> int:
    try:
        return int(row[column])
    except (TypeError, ValueError):
        raise DatasetError(f"{path}:{line}: {column} is {row[column]!r}, expected a whole number") from None


def _label(path: Path, line: int, row: dict[str, str]) -> str:
    if row["label"] not in CLASSES:
        raise DatasetError(f"{path}:{line}: label is {row['label']!r}, expected one of {', '.join(CLASSES)}")
    return row["label"]


class Ucf9:
    """The data set in folder `root`."""

    classes = CLASSES

    def __init__(self, root: Path) -> None:
        self.root = root
        if not (root / "train.csv").is_file() and not (root / "streams").is_dir():
            raise DatasetError(f"{root}: neither train.csv nor streams/ is there; expected the ucf9 folder")

    def clips(self) -> list[Clip]:
        table = self.root / "train.csv"
        return [
            Clip(
                path=self.root / row["path"],
                label=_label(table, line, row),
                group=_number(table, line, row, "group"),
                frames=_number(table, line, row, "frames"),
            )
            for line, row in _rows(table, ("path", "label", "group", "frames"))
        ]

    def streams(self) -> list[LabelledStream]:
        found = []
        for video in sorted((self.root / "streams").glob("*.mp4")):
            table = video.with_suffix(".csv")
            intervals = tuple(
                Interval(
                    start=_number(table, line, row, "start_frame"),
                    end=_number(table, line, row, "end_frame"),
                    label=_label(table, line, row),
                    clip=row["clip"],
                )
                for line, row in _rows(table, ("start_frame", "end_frame", "label", "clip"))
            )
            found.append(LabelledStream(video.stem, video, check_intervals(table, intervals)))
        if not found:
            raise DatasetError(f"{self.root / 'streams'}: holds no .mp4 files")
        return found
