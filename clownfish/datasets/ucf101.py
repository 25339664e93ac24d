"""UCF-101 (Soomro, Zamir, Shah, "UCF101: A Dataset of 101 Human Actions Classes From Videos in The Wild",
CRCV-TR-12-01, 2012) with its official train/test lists.

Terms: research use, not to be redistributed. Layout, as its archives unpack:

    UCF-101/CLASS/v_CLASS_g01_c01.avi     (re-encoded ones of another suffix will do)
    ucfTrainTestlist/classInd.txt, trainlist01.txt, testlist01.txt … 03

Clips of a training list are trained and validated on, parted by group (g01: one scene, the same people); each clip of
the test list is a stream of one context. Option `split` is 1, 2 or 3; `only` names classes to take, all if empty.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from clownfish.datasets.base import Clip, Interval, LabelledStream, Part, Skipped
from clownfish.datasets.probe import Probe
from clownfish.datasets.tables import lines
from clownfish.datasets.videos import named, usable, videos_in
from clownfish.errors import ConfigError, DatasetError


class Ucf101:
    """The data set in folder `root`."""

    def __init__(self, root: Path, probe: Probe, split: int = 1, only: Sequence[str] = ()) -> None:
        if split not in (1, 2, 3):
            raise ConfigError(f"split is {split!r}, expected 1, 2 or 3")
        self.root = root
        self.skipped: list[Skipped] = []
        self._probe = probe
        lists = root / "ucfTrainTestlist"
        if not lists.is_dir():
            raise DatasetError(f"{root}: ucfTrainTestlist/ is not there; expected UCF-101/ and ucfTrainTestlist/")
        self._lists: dict[Part, Path] = {
            "train": lists / f"trainlist0{split}.txt",
            "test": lists / f"testlist0{split}.txt",
        }
        known = _classes(lists / "classInd.txt")
        only = [only] if isinstance(only, str) else only
        unknown = [name for name in only if name not in known]
        if unknown:
            raise ConfigError(f"only names {unknown[0]!r}; classInd.txt has {', '.join(known)}")
        self._known = known
        self.classes = tuple(name for name in known if not only or name in only)

    def clips(self) -> list[Clip]:
        train, test = self._listed("train"), self._listed("test")
        both = set(train) & set(test)
        if both:
            raise DatasetError(f"{self._lists['test']}: {min(both)} is in the training list, too")
        return self._clips("train", train)

    def streams(self) -> list[LabelledStream]:
        return [
            LabelledStream(clip.path.stem, clip.path, (Interval(0, clip.frames, clip.label),))
            for clip in self._clips("test", self._listed("test"))
        ]

    def _listed(self, part: Part) -> list[str]:
        """CLASS/NAME.avi of each clip in the list whose class is taken."""
        found = []
        for line, text in lines(self._lists[part]):
            name = text.split()[0]
            label = PurePosixPath(name).parent.name
            if label not in self._known:
                raise DatasetError(f"{self._lists[part]}:{line}: {name!r} is of no class in classInd.txt")
            if label in self.classes:
                found.append(name)
        return found

    def _clips(self, part: Part, names: list[str]) -> list[Clip]:
        self.skipped.clear()
        folder = self.root / "UCF-101"
        there: dict[str, Path] = {}
        for label in self.classes:
            if (folder / label).is_dir():
                there |= {f"{label}/{path.stem}": path for path in videos_in(folder / label)}
        paths = {name: there.get(PurePosixPath(name).with_suffix("").as_posix()) for name in names}
        missing = [str(folder / name) for name, path in paths.items() if path is None]
        if missing:
            raise named(self._lists[part], missing, len(names))
        found = [path for path in paths.values() if path is not None]
        seen = usable(self._probe, found, self.skipped)
        return [
            Clip(path, path.parent.name, _group(path), seen[path].frames, part="test" if part == "test" else "")
            for path in found
            if path in seen
        ]


def _classes(path: Path) -> tuple[str, ...]:
    """Of classInd.txt, lines "1 ApplyEyeMakeup", in the order of their numbers."""
    found: list[str] = []
    for line, text in lines(path):
        number, _, name = text.partition(" ")
        if number != str(len(found) + 1) or not name:
            raise DatasetError(f"{path}:{line}: {text!r}, expected '{len(found) + 1} CLASS'")
        found.append(name.strip())
    if len(found) < 2:
        raise DatasetError(f"{path}: names {len(found)} classes; expected lines such as '1 ApplyEyeMakeup'")
    return tuple(found)


def _group(path: Path) -> int:
    match = re.search(r"_g(\d+)_c\d+$", path.stem)
    if match is None:
        raise DatasetError(f"{path}: expected a name like v_CLASS_g01_c01, which tells the group")
    return int(match[1])
