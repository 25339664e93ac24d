"""Nine classes of UCF-101 (Soomro, Zamir, Shah, CRCV-TR-12-01, 2012), clips by class plus streams of joined segments.

Terms of UCF-101: research use, not to be redistributed. Layout: `train.csv` (path, label, group, frames),
`train/CLASS/*.mp4`, `streams/NAME.mp4` beside `streams/NAME.csv` (start_frame, end_frame exclusive, label, clip).
"""

from __future__ import annotations

from pathlib import Path

from clownfish.datasets.base import Clip, LabelledStream, Skipped
from clownfish.datasets.probe import Probe
from clownfish.datasets.tables import number, one_of, rows
from clownfish.datasets.videos import named, streams_beside
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


class Ucf9:
    """The data set in folder `root`."""

    classes = CLASSES

    def __init__(self, root: Path, probe: Probe) -> None:
        self.root = root
        self.skipped: list[Skipped] = []
        if not (root / "train.csv").is_file() and not (root / "streams").is_dir():
            raise DatasetError(f"{root}: neither train.csv nor streams/ is there; expected the ucf9 folder")

    def clips(self) -> list[Clip]:
        table = self.root / "train.csv"
        found = [
            Clip(
                path=self.root / row["path"],
                label=one_of(f"{table}:{line}", row, "label", CLASSES),
                group=number(f"{table}:{line}", row, "group"),
                frames=number(f"{table}:{line}", row, "frames"),
            )
            for line, row in rows(table, ("path", "label", "group", "frames"), exact=True)
        ]
        missing = [str(clip.path) for clip in found if not clip.path.is_file()]
        if missing:
            raise named(table, missing, len(found))
        return found

    def streams(self) -> list[LabelledStream]:
        folder = self.root / "streams"
        found = streams_beside(folder, CLASSES) if folder.is_dir() else []
        if not found:
            raise DatasetError(f"{folder}: holds no videos")
        return found
