"""The JSON of ActivityNet, and that into which 3D-ResNets-PyTorch turns Kinetics, UCF-101, HMDB-51 and others:

    {"labels": ["run", …], "database": {NAME: {"subset": "training", "annotations": …, "fps": 30.0}}}

`annotations` is a list of {"label", "segment": [begin, end]} in seconds (ActivityNet), or one {"label"} for a whole
trimmed clip, perhaps with "segment": [1, frames + 1] in frames counted from 1 (3D-ResNets). ActivityNet's own file has
a "taxonomy" in place of "labels": its leaves are the classes.

The folder holds the JSON (option `table`, if there are several) and the videos anywhere below it, called NAME or
v_NAME, in any container. Subsets are training, validation and testing. Such sets are lists of links of which some are
always dead, so a video that is missing is skipped and counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clownfish.datasets.base import Clip, Interval, LabelledStream, Part, Skipped
from clownfish.datasets.probe import Probe, Probed
from clownfish.datasets.untrimmed import Background, Overlap, Video, clips_of, in_order, streams_of, with_background
from clownfish.datasets.videos import by_stem, usable
from clownfish.errors import DatasetError

SUBSETS: dict[str, Part] = {
    "training": "train",
    "train": "train",
    "validation": "validation",
    "val": "validation",
    "testing": "test",
    "test": "test",
}


class ActivityNet:
    """The data set in folder `root`."""

    def __init__(
        self,
        root: Path,
        probe: Probe,
        table: str = "",
        background: str = "",
        background_share: float = 0.35,
        overlaps: Overlap = "refuse",
    ) -> None:
        self.root = root
        self.skipped: list[Skipped] = []
        self._probe = probe
        self._background = Background(background, background_share)
        self._overlaps = overlaps
        self._table = root / table if table else _only_json(root)
        tree = _load(self._table)
        self._database: dict[str, Any] = tree["database"]
        self.classes = with_background(_classes(self._table, tree), self._background)

    def clips(self) -> list[Clip]:
        return clips_of(self._videos(), self._background)

    def streams(self) -> list[LabelledStream]:
        return streams_of(self._videos(), self._background)

    def _videos(self) -> list[Video]:
        self.skipped.clear()
        there = by_stem(self.root)
        paths, parts = {}, {}
        for name, entry in self._database.items():
            subset = entry.get("subset") if isinstance(entry, dict) else None
            if subset not in SUBSETS:
                raise self._wrong(name, f"subset is {subset!r}, expected {', '.join(SUBSETS)}")
            if not entry.get("annotations"):
                continue  # a testing part without labels
            path = there.get(name) or there.get(f"v_{name}")
            if path is None:
                self.skipped.append(Skipped(name, "missing"))
            else:
                paths[name], parts[name] = path, SUBSETS[subset]
        if not paths:
            raise DatasetError(f"{self._table}: none of its {len(self._database)} videos is below {self.root}")
        seen = usable(self._probe, paths.values(), self.skipped)
        videos = []
        for name, path in paths.items():
            if path in seen:
                found = in_order(path, self._intervals(name, seen[path]), self._overlaps, self.skipped)
                videos.append(Video(path, seen[path].frames, found, name, parts[name]))
        return videos

    def _intervals(self, name: str, seen: Probed) -> Iterator[Interval]:
        entry = self._database[name]
        annotations = entry["annotations"]
        trimmed = isinstance(annotations, dict)
        for each in [annotations] if trimmed else annotations:
            label = each.get("label") if isinstance(each, dict) else None
            if label not in self.classes:
                raise self._wrong(name, f"label is {label!r}, which is not among the {len(self.classes)} classes")
            start, end = 0, seen.frames
            if "segment" in each:
                try:
                    begin, until = (float(value) for value in each["segment"])
                except (TypeError, ValueError):
                    raise self._wrong(name, f"segment is {each['segment']!r}, expected [begin, end]") from None
                if trimmed:
                    start, end = int(begin) - 1, int(until) - 1
                else:
                    fps = float(entry.get("fps") or seen.fps)
                    start, end = round(begin * fps), round(until * fps)
            start, end = max(start, 0), min(end, seen.frames)
            if start < end:
                yield Interval(start, end, label)
            else:
                self.skipped.append(Skipped(f"{name}: {each['segment']}", f"is outside its {seen.frames} frames"))

    def _wrong(self, name: str, what: str) -> DatasetError:
        return DatasetError(f"{self._table}: database.{name}: {what}")


def _only_json(root: Path) -> Path:
    found = sorted(root.glob("*.json")) if root.is_dir() else []
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise DatasetError(f'{root}: expected one .json, found {names}; name it with options = {{ table = "…" }}')
    return found[0]


def _load(path: Path) -> dict[str, Any]:
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(tree, dict) or not isinstance(tree.get("database"), dict) or not tree["database"]:
        raise DatasetError(
            f"{path}: expected an object with `labels` and `database`: {{name: {{subset, annotations}}}}"
        )
    return tree


def _classes(path: Path, tree: dict[str, Any]) -> list[str]:
    """`labels`, or the leaves of `taxonomy` in its order."""
    labels = tree.get("labels")
    if labels is None and isinstance(tree.get("taxonomy"), list):
        parents = {node.get("parentId") for node in tree["taxonomy"]}
        labels = [node.get("nodeName") for node in tree["taxonomy"] if node.get("nodeId") not in parents]
    if not isinstance(labels, list) or len(labels) < 2 or not all(isinstance(name, str) for name in labels):
        raise DatasetError(f"{path}: `labels` is {str(labels)[:60]}, expected two or more names")
    return labels
