"""Which files of a folder are videos, and which video belongs to a name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from clownfish.datasets.base import Interval, LabelledStream, Skipped, check_intervals
from clownfish.datasets.probe import Probe, Probed
from clownfish.datasets.tables import number, one_of, rows
from clownfish.errors import DatasetError

NOT_VIDEO = (
    *(".csv", ".txt", ".json", ".md", ".xml", ".yaml", ".yml", ".toml", ".srt", ".vtt", ".npy", ".npz", ".pdf"),
    *(".xlsx", ".jpg", ".jpeg", ".png", ".wav", ".mp3", ".py", ".part"),
)
"""Files beside videos that nobody takes for one. All others are looked into, whatever their container."""

TRUTH = ("start_frame", "end_frame", "label")


def is_video(path: Path) -> bool:
    """Whether the name may be a video's: a file that is not hidden and has no suffix of `NOT_VIDEO`."""
    return path.suffix.lower() not in NOT_VIDEO and not path.name.startswith(".") and path.is_file()


def videos_in(folder: Path, deep: bool = False) -> list[Path]:
    """Videos by their names, sorted; `deep`: those in subfolders, too."""
    return sorted(path for path in (folder.rglob("*") if deep else folder.iterdir()) if is_video(path))


def by_stem(folder: Path) -> dict[str, Path]:
    """Name without suffix → video, subfolders included. Raises DatasetError where two videos have one name."""
    found: dict[str, Path] = {}
    for path in videos_in(folder, deep=True):
        other = found.setdefault(path.stem, path)
        if other != path:
            raise DatasetError(f"{other} and {path} have one name: which one is meant? Move one away")
    return found


def usable(probe: Probe, paths: Iterable[Path], skipped: list[Skipped]) -> dict[Path, Probed]:
    """What the videos hold; those that cannot be read as video are added to `skipped` and left out."""
    good = {}
    for path, seen in probe.many(paths).items():
        if seen.error:
            skipped.append(Skipped(str(path), seen.error))
        else:
            good[path] = seen
    return good


def named(source: Path, missing: Sequence[str], of: int) -> DatasetError:
    """The error for videos that a table names and that are not there."""
    return DatasetError(
        f"{source}: names {of} videos, of which {len(missing)} are missing; the first: {missing[0]}. Put them there, "
        "or take them out of the table"
    )


def streams_beside(folder: Path, classes: Sequence[str]) -> list[LabelledStream]:
    """All videos of a folder, each with the table of its contexts beside it: `X.csv` with start_frame, end_frame
    (exclusive), label, as `clownfish run` reads it. Raises DatasetError."""
    found = []
    for video in videos_in(folder):
        table = video.with_suffix(".csv")
        intervals = tuple(
            Interval(
                number(f"{table}:{line}", row, "start_frame"),
                number(f"{table}:{line}", row, "end_frame"),
                one_of(f"{table}:{line}", row, "label", classes),
                row.get("clip") or "",
            )
            for line, row in rows(table, TRUTH)
        )
        found.append(LabelledStream(video.stem, video, check_intervals(table, intervals)))
    return found
