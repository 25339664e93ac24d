"""Videos with tables of intervals: all `*.csv` of a folder, subfolders included.

Columns, in any order, others are left alone:

    video         the video's path, relative to the table; without this column the table belongs to the video of its own
                  name beside it (door.csv to door.mp4), as in the ground truth that `clownfish run` reads
    start_frame, end_frame    or    start_s, end_s     the end is exclusive; seconds go by the video's mean frame rate
    label         the class
    part          train, validation or test (or empty); optional
    group         of videos that show the same scene or people; optional, else each video is its own

Classes are the labels found, sorted; where the folder has a `classes.txt`, those, in its order, one a line.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from clownfish.datasets.base import Clip, Interval, LabelledStream, Part, Skipped
from clownfish.datasets.probe import Probe, Probed
from clownfish.datasets.tables import Row, columns, lines, number, one_of, rows, seconds
from clownfish.datasets.untrimmed import Background, Overlap, Video, clips_of, in_order, streams_of, with_background
from clownfish.datasets.videos import named, usable, videos_in
from clownfish.errors import DatasetError

FRAMES, SECONDS = ("start_frame", "end_frame"), ("start_s", "end_s")
PARTS: dict[str, Part] = {"": "", "train": "train", "validation": "validation", "val": "validation", "test": "test"}

_Line = tuple[str, Row]
"""("file:line", the row)"""


class IntervalTables:
    """The data set in folder `root`."""

    def __init__(
        self,
        root: Path,
        probe: Probe,
        background: str = "",
        background_share: float = 0.35,
        overlaps: Overlap = "refuse",
    ) -> None:
        self.root = root
        self.skipped: list[Skipped] = []
        self._probe = probe
        self._background = Background(background, background_share)
        self._overlaps = overlaps
        self._rows = self._read()
        labels = {(row["label"] or "").strip() for found in self._rows.values() for _, row in found}
        named_classes = root / "classes.txt"
        classes = [name for _, name in lines(named_classes)] if named_classes.is_file() else sorted(labels)
        self.classes = with_background(classes, self._background)
        if len(self.classes) < 2:
            raise DatasetError(f"{root}: the tables name {len(self.classes)} classes; expected two or more")

    def clips(self) -> list[Clip]:
        return clips_of(self._videos(), self._background)

    def streams(self) -> list[LabelledStream]:
        return streams_of(self._videos(), self._background)

    def _read(self) -> dict[Path, list[_Line]]:
        """Video → the rows of all tables that are about it."""
        tables = sorted(self.root.rglob("*.csv"))
        if not tables:
            raise DatasetError(f"{self.root}: holds no .csv; expected tables with label, start_frame and end_frame")
        found: dict[Path, list[_Line]] = defaultdict(list)
        for table in tables:
            there = columns(table)
            needed = [*(SECONDS if "start_s" in there else FRAMES), "label"]
            videos = None if "video" in there else _beside(table)
            for line, row in rows(table, needed):
                video = videos or (table.parent / (row["video"] or "").strip())
                found[video].append((f"{table}:{line}", row))
        missing = [video for video in found if not video.is_file()]
        if missing:
            raise named(Path(found[missing[0]][0][0]), [str(video) for video in missing], len(found))
        return found

    def _videos(self) -> list[Video]:
        self.skipped.clear()
        seen = usable(self._probe, self._rows, self.skipped)
        return [self._video(path, seen[path]) for path in self._rows if path in seen]

    def _video(self, path: Path, seen: Probed) -> Video:
        part, group = "", ""
        found = []
        for where, row in self._rows[path]:
            label = one_of(where, row, "label", self.classes)
            if "start_s" in row:
                start, end = (round(seconds(where, row, column) * seen.fps) for column in SECONDS)
            else:
                start, end = (number(where, row, column) for column in FRAMES)
            if not 0 <= start < end <= seen.frames:
                raise DatasetError(
                    f"{where}: frames {start} to {end}, but {path} has {seen.frames} frames; expected 0 ≤ start < end, "
                    "and no end beyond the video's"
                )
            found.append(Interval(start, end, label))
            part = _same(where, row, "part", part)
            group = _same(where, row, "group", group)
        if part not in PARTS:
            raise DatasetError(f"{self._rows[path][0][0]}: part is {part!r}, expected train, validation or test")
        intervals = in_order(path, found, self._overlaps, self.skipped)
        return Video(path, seen.frames, intervals, group or path.relative_to(self.root).as_posix(), PARTS[part])


def _beside(table: Path) -> Path:
    """The video that a table without a `video` column belongs to."""
    found = [path for path in videos_in(table.parent) if path.stem == table.stem]
    if not found:
        raise DatasetError(f"{table}: has no column `video`, and there is no video {table.stem}.* beside it")
    return found[0]


def _same(where: str, row: Row, column: str, before: str) -> str:
    """What a column says of a video in all its rows. Raises DatasetError where two rows differ."""
    value = (row.get(column) or "").strip()
    if before and value and value != before:
        raise DatasetError(f"{where}: {column} is {value!r}, and {before!r} in a row before; a video has one {column}")
    return value or before
