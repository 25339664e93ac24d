"""Class folders: `root/CLASS/*`, short videos in any container that PyAV reads.

    root/CLASS/clip.mp4              each clip a group of its own (or see `group`)
    root/CLASS/GROUP/clip.mp4        clips of one scene or person in a subfolder: a group
    root/train/CLASS/…               the data set's own parts: train, validation (or val), test
    root/streams/LONG.mp4 + LONG.csv long videos to measure on, beside their tables start_frame, end_frame, label

Option `group`: "clip" (the default), "prefix" (what stands before the last `_`, `-`, `.` or blank of a file's name), or
a regular expression with one pair of brackets, such as "_(g[0-9]+)_". Clips that show the same scene or person belong
in one group: else validation is too easy, and its scores and the temperature too good.
"""

from __future__ import annotations

import re
from pathlib import Path

from clownfish.datasets.base import Clip, Interval, LabelledStream, Part, Skipped
from clownfish.datasets.probe import Probe
from clownfish.datasets.videos import streams_beside, usable, videos_in
from clownfish.errors import ConfigError, DatasetError

PARTS: dict[str, Part] = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "val": "validation",
    "test": "test",
    "testing": "test",
}
STREAMS = "streams"


class ClassFolders:
    """The data set in folder `root`; its classes are the folders' names, sorted."""

    def __init__(self, root: Path, probe: Probe, group: str = "clip") -> None:
        self.root = root
        self.skipped: list[Skipped] = []
        self._probe = probe
        self._group = _pattern(group)
        self._folders = _class_folders(root)
        self.classes = tuple(sorted({folder.name for _, folder in self._folders}))
        if len(self.classes) < 2:
            raise DatasetError(
                f"{root}: holds {len(self.classes)} class folders; expected two or more, each with videos of its class"
            )

    def clips(self) -> list[Clip]:
        return [clip for clip in self._all() if clip.part != "test"]

    def streams(self) -> list[LabelledStream]:
        """The videos in `streams/`; else each clip of the test part, a stream of one context."""
        folder = self.root / STREAMS
        if folder.is_dir():
            return streams_beside(folder, self.classes)
        return [
            LabelledStream(clip.path.stem, clip.path, (Interval(0, clip.frames, clip.label),))
            for clip in self._all()
            if clip.part == "test"
        ]

    def _all(self) -> list[Clip]:
        self.skipped.clear()
        found: list[tuple[Part, Path, Path]] = []
        for part, folder in self._folders:
            videos = videos_in(folder, deep=True)
            if not videos:
                raise DatasetError(f"{folder}: holds no videos; put clips of {folder.name} there, or remove the folder")
            found += [(part, folder, video) for video in videos]
        seen = usable(self._probe, [video for _, _, video in found], self.skipped)
        clips = [
            Clip(video, folder.name, self._group_of(folder, video), seen[video].frames, part=part)
            for part, folder, video in found
            if video in seen
        ]
        empty = set(self.classes) - {clip.label for clip in clips}
        if empty:
            first = self.skipped[0]
            raise DatasetError(
                f"{self.root}: none of the clips of {', '.join(sorted(empty))} can be used; {first.what}: {first.why}"
            )
        return clips

    def _group_of(self, folder: Path, video: Path) -> str:
        inside = video.relative_to(folder).parent
        if inside != Path():
            return inside.as_posix()
        if self._group is None:
            return f"{folder.name}/{video.name}"
        match = self._group.search(video.stem)
        if match is None:
            raise ConfigError(f"{video}: its name does not fit the pattern {self._group.pattern!r} that tells groups")
        return match[1]


def _pattern(group: str) -> re.Pattern[str] | None:
    if group == "clip":
        return None
    try:
        pattern = re.compile(r"^(.+?)(?:[_\-. ][^_\-. ]*)?$" if group == "prefix" else group)
    except re.error as error:
        raise ConfigError(f"group is {group!r}, which is no regular expression: {error}") from error
    if pattern.groups != 1:
        raise ConfigError(
            f"group is {group!r}; expected 'clip', 'prefix', or a regular expression with one pair of brackets"
        )
    return pattern


def _class_folders(root: Path) -> list[tuple[Part, Path]]:
    """(part, folder of a class), sorted. Raises DatasetError."""
    if not root.is_dir():
        raise DatasetError(f"{root}: is no folder; expected one with a folder of videos for each class")
    inside = _folders(root)
    if any(PARTS.get(folder.name) == "train" for folder in inside):
        strange = [folder.name for folder in inside if folder.name not in PARTS]
        if strange:
            raise DatasetError(
                f"{root}: beside train/ there is {', '.join(strange)}; expected {', '.join(PARTS)} or class folders, "
                "not both"
            )
        return [(PARTS[part.name], folder) for part in inside for folder in _folders(part)]
    return [("", folder) for folder in inside]


def _folders(root: Path) -> list[Path]:
    return sorted(
        each for each in root.iterdir() if each.is_dir() and not each.name.startswith(".") and each.name != STREAMS
    )
