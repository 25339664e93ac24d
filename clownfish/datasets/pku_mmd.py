"""PKU-MMD (Liu, Hu, Li, Song, Liu, "PKU-MMD: A Large Scale Benchmark for Continuous Multi-Modal Human Action
Understanding", arXiv:1703.07475, 2017): RGB videos of three to four minutes, about twenty actions in each.

Terms: research use; its authors give it on request. Layout, as its archives unpack:

    Split/cross-subject.txt, cross-view.txt    "Training videos:" and "Validataion videos:" (sic), names with commas
    Label/Train_Label_PKU_final/0002-L.txt     lines label,start,end,confidence; frames; labels from 1
    …/0002-L.avi                               the RGB videos, in any folder below (option `videos` names it)

The split's training videos are trained and validated on, parted by recording (0002-L, -M and -R are three views of
one); its validation videos are what papers report on, so they are the streams.
"""

from __future__ import annotations

import re
from pathlib import Path

from clownfish.datasets.base import Clip, Interval, LabelledStream, Part, Skipped
from clownfish.datasets.probe import Probe, Probed
from clownfish.datasets.tables import lines
from clownfish.datasets.untrimmed import Background, Overlap, Video, clips_of, in_order, streams_of, with_background
from clownfish.datasets.videos import by_stem, named, usable
from clownfish.errors import ConfigError, DatasetError

ACTIONS = (
    "bow", "brushing hair", "brushing teeth", "check time (from watch)", "cheer up", "clapping",
    "cross hands in front (say stop)", "drink water", "drop", "eat meal/snack", "falling",
    "giving something to other person", "hand waving", "handshaking", "hopping (one foot jumping)",
    "hugging other person", "jump up", "kicking other person", "kicking something", "make a phone call/answer phone",
    "pat on back of other person", "pickup", "playing with phone/tablet", "point finger at the other person",
    "pointing to something with finger", "punching/slapping other person", "pushing other person", "put on a hat/cap",
    "put something inside pocket", "reading", "rub two hands together", "salute", "sitting down", "standing up",
    "take off a hat/cap", "take off glasses", "take off jacket", "take out something from pocket", "taking a selfie",
    "tear up paper", "throw", "touch back (backache)", "touch chest (stomachache/heart pain)", "touch head (headache)",
    "touch neck (neckache)", "typing on a keyboard", "use a fan (with hand or paper)/feeling warm", "wear jacket",
    "wear on glasses", "wipe face", "writing",
)  # fmt: skip
"""Of Actions.xlsx, in its order: label 1 is the first."""

LABELS = "Train_Label_PKU_final"
SPLITS = ("cross-subject", "cross-view")


class PkuMmd:
    """The data set in folder `root`."""

    def __init__(
        self,
        root: Path,
        probe: Probe,
        split: str = "cross-subject",
        videos: str = ".",
        background: str = "",
        background_share: float = 0.35,
        overlaps: Overlap = "refuse",
    ) -> None:
        if split not in SPLITS:
            raise ConfigError(f"split is {split!r}, expected {' or '.join(SPLITS)}")
        self.root = root
        self.skipped: list[Skipped] = []
        self._probe = probe
        self._background = Background(background, background_share)
        self._overlaps = overlaps
        self._video_folder = root / videos
        self._split = _first(root, f"Split/{split}.txt", f"{split}.txt")
        self._labels = _first(root, f"Label/{LABELS}", LABELS)
        self.classes = with_background(ACTIONS, self._background)

    def clips(self) -> list[Clip]:
        return clips_of(self._videos("train"), self._background)

    def streams(self) -> list[LabelledStream]:
        return streams_of(self._videos("test"), self._background)

    def _videos(self, part: Part) -> list[Video]:
        self.skipped.clear()
        names = read_split(self._split)[0 if part == "train" else 1]
        there = by_stem(self._video_folder)
        missing = [name for name in names if name not in there]
        if missing:
            raise named(self._split, missing, len(names))
        seen = usable(self._probe, [there[name] for name in names], self.skipped)
        return [self._video(name, there[name], seen[there[name]], part) for name in names if there[name] in seen]

    def _video(self, name: str, path: Path, seen: Probed, part: Part) -> Video:
        table = self._labels / f"{name}.txt"
        found = []
        for line, text in lines(table):
            fields = text.split(",")
            try:
                label, start, end = (int(field) for field in fields[:3])
            except ValueError:
                raise DatasetError(f"{table}:{line}: {text!r}, expected label,start,end,confidence") from None
            if not 1 <= label <= len(ACTIONS):
                raise DatasetError(f"{table}:{line}: label is {label}, expected 1 to {len(ACTIONS)}")
            end = min(end, seen.frames)  # labels were made on the skeletons, which may be a few frames longer
            if not 0 <= start < end:
                self.skipped.append(Skipped(f"{table}:{line}", f"frames {start} to {end} of {seen.frames}"))
            else:
                found.append(Interval(start, end, ACTIONS[label - 1]))
        intervals = in_order(table, found, self._overlaps, self.skipped)
        return Video(path, seen.frames, intervals, name.partition("-")[0], part)


def read_split(path: Path) -> tuple[list[str], list[str]]:
    """(training, validation) videos of a split file. Raises DatasetError where it is none, or names one twice."""
    parts: list[list[str]] = []
    for _, line in lines(path):
        if re.fullmatch(r"(Train|Valid|Test)\w*\s+videos:", line, re.IGNORECASE):
            parts.append([])
        elif parts:
            parts[-1] += [name for name in re.split(r"[,\s]+", line) if name]
    if len(parts) != 2 or not all(parts):
        raise DatasetError(f"{path}: expected 'Training videos:' and 'Validataion videos:', each with names below")
    both = set(parts[0]) & set(parts[1])
    if both:
        raise DatasetError(f"{path}: {min(both)} is among the training and the validation videos")
    return parts[0], parts[1]


def _first(root: Path, *names: str) -> Path:
    for name in names:
        if (root / name).exists():
            return root / name
    raise DatasetError(f"{root}: {names[0]} is not there; expected PKU-MMD as its archives unpack")
