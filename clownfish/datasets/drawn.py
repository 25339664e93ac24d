"""Data sets that this repository draws, to train on: streams drawn once into one flat file of small frames, and what
they show.

Nothing is decoded and nothing has terms: `clownfish.puppets` and `clownfish.shapes` draw it. A *clip* here is the
stretch of a stream in which the windows of one interval lie, so that a random window of it has its middle frame in the
interval (DESIGN §5.12: that frame is the window's label).
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import astuple, dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from clownfish import puppets, shapes
from clownfish.datasets.base import Clip
from clownfish.errors import DatasetError
from clownfish.messages import Pixels
from clownfish.opencv import cv2

WINDOW = 16
HALF = WINDOW // 2
LONGEST_IDLE = 48
"""Of an idle stretch, in frames: a minute of waiting teaches no more than a second of it."""


class Shown(NamedTuple):
    """Frames [start, end) of a stream show `label`."""

    start: int
    end: int
    label: str


class Stream(Protocol):
    """A video that is drawn when asked for."""

    def __len__(self) -> int:
        """Frames."""

    def frame(self, n: int) -> Pixels:
        """Frame n: (height, width, 3) uint8 RGB."""

    @property
    def intervals(self) -> Sequence[tuple[int, int, str]]:
        """(start, end, label) in order, without gap or overlap from frame 0 to the end."""


@dataclass(frozen=True, slots=True)
class DrawnSet:
    """A data set that is drawn."""

    classes: tuple[str, ...]
    idle: str | None
    """The class that means nothing happens, where there is one: there is too much of it to learn from all."""
    stream: Callable[[str, int], Stream]
    """(split, index) → that stream."""
    version: object
    """What else decides how frames look: another one is drawn anew."""


DRAWN = {
    "puppets": DrawnSet(puppets.CLASSES, puppets.IDLE, puppets.stream, puppets.DEFAULT),
    "shapes": DrawnSet(shapes.CLASSES, None, shapes.stream, shapes.VERSION),
}
"""To add one: a line here, and its terms in `training.card`."""


def drawn_set(name: str) -> DrawnSet:
    """The data set of that name. Raises DatasetError with the known ones."""
    if name not in DRAWN:
        raise DatasetError(f"no data set {name!r} is drawn; known: {', '.join(DRAWN)}")
    return DRAWN[name]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Frames [first, end) of a stream, of which the kept ones lie in the file from `begin` on."""

    first: int
    end: int
    label: str
    """What the windows in it show; of a stream that is drawn whole, nothing."""
    begin: int


@dataclass(frozen=True, slots=True)
class DrawnStream:
    """One stream, SPLIT/INDEX: what it shows, and what of it is drawn."""

    name: str
    frames: int
    intervals: tuple[Shown, ...]
    stretches: tuple[Stretch, ...]

    def truth(self, classes: Sequence[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """(class, number of the context) of every frame, each (frames,)."""
        lengths = [interval.end - interval.start for interval in self.intervals]
        label = np.repeat([classes.index(interval.label) for interval in self.intervals], lengths)
        return label, np.repeat(np.arange(len(self.intervals)), lengths)


@dataclass(frozen=True, slots=True)
class Drawn:
    """The flat file, (all kept frames, height, width, 3) uint8, and its streams by name."""

    of: DrawnSet
    pixels: npt.NDArray[np.uint8]
    streams: dict[str, DrawnStream]
    every: int

    def whole(self, one: DrawnStream) -> npt.NDArray[np.uint8]:
        """The kept frames of a stream that is drawn whole, a view."""
        begin = one.stretches[0].begin
        return self.pixels[begin : begin + -(-one.frames // self.every)]

    def clips(self, one: DrawnStream) -> tuple[list[Clip], dict[str, tuple[int, int]]]:
        """(clips, clip's name → [start, end) in `pixels`), one for each interval of the stream that is drawn."""
        clips, spans = [], {}
        whole = len(one.stretches) == 1 and not one.stretches[0].label
        for piece in _around(one, self.of.idle) if whole else one.stretches:
            name = f"{one.name.replace('/', '-')}-{piece.first}"
            begin = one.stretches[0].begin + piece.first // self.every if whole else piece.begin
            clips.append(Clip(Path(name), piece.label, int(one.name.partition("/")[2]), piece.end - piece.first))
            spans[name] = (begin, begin + (piece.end - piece.first) // self.every)
        return clips, spans


def _around(one: DrawnStream, idle: str | None) -> list[Stretch]:
    """A stretch for each interval, from half a window before it to half a window after it; of long idling a part."""
    found = []
    for interval in one.intervals:
        first, end = max(interval.start - HALF, 0), min(interval.end + HALF, one.frames)
        if interval.label == idle:
            middle = (first + end) // 2
            first, end = max(first, middle - LONGEST_IDLE // 2), min(end, middle + LONGEST_IDLE // 2)
        first += first % 2
        if end - first >= WINDOW:
            found.append(Stretch(first, end, interval.label, 0))
    return found


def draw_streams(
    dataset: str,
    folder: Path,
    whole: Sequence[str],
    parts: Sequence[str],
    size: tuple[int, int],
    every: int,
    idle_share: float = 0.5,
    processes: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Drawn:
    """Open the file of these streams (SPLIT/INDEX each) at `size` = (width, height), drawing it first where that has
    not been done; another list, size or difficulty is another file.

    Of those in `parts` the stretches to learn from are drawn, of idle ones only so many that they are `idle_share` of
    all. Raises DatasetError for an unknown data set or split.
    """
    of = drawn_set(dataset)
    key = repr((list(whole), list(parts), size, every, idle_share, of.version, LONGEST_IDLE))
    stem = f"{dataset}-{size[0]}x{size[1]}-every{every}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"
    index, data = folder / f"{stem}.json", folder / f"{stem}.u8"
    if not index.exists():
        folder.mkdir(parents=True, exist_ok=True)
        planned = _plan(of, whole, parts, every, idle_share)
        _draw_all(dataset, data, index, planned, size, every, processes, progress)
    streams = {}
    for name, frames, intervals, stretches in json.loads(index.read_text(encoding="utf-8")):
        streams[name] = DrawnStream(
            name, frames, tuple(Shown(*each) for each in intervals), tuple(Stretch(*each) for each in stretches)
        )
    count = _kept(streams.values(), every)
    return Drawn(of, np.memmap(data, np.uint8, "r", shape=(count, size[1], size[0], 3)), streams, every)


def _plan(of: DrawnSet, whole: Sequence[str], parts: Sequence[str], every: int, idle_share: float) -> list[DrawnStream]:
    rng = np.random.default_rng(len(parts))
    planned, begin = [], 0
    for name in [*whole, *parts]:
        split, _, number = name.partition("/")
        drawn = of.stream(split, int(number))
        intervals = tuple(Shown(*each) for each in drawn.intervals)
        one = DrawnStream(name, len(drawn), intervals, (Stretch(0, len(drawn), "", 0),))
        if name in parts:
            one = replace(one, stretches=tuple(_without_much_idle(_around(one, of.idle), of.idle, idle_share, rng)))
        placed = []
        for piece in one.stretches:
            placed.append(replace(piece, begin=begin))
            begin += -(-(piece.end - piece.first) // every)
        planned.append(replace(one, stretches=tuple(placed)))
    return planned


def _without_much_idle(
    stretches: list[Stretch], label: str | None, share: float, rng: np.random.Generator
) -> list[Stretch]:
    """The same, of the idle ones only so many, drawn at random, that they are at most `share` of all."""
    idle = [n for n, each in enumerate(stretches) if each.label == label]
    wanted = min(len(idle), round(share / (1 - share) * (len(stretches) - len(idle))))
    dropped = set(idle) - set(rng.choice(idle, wanted, replace=False).tolist())
    return [each for n, each in enumerate(stretches) if n not in dropped]


def _kept(streams: Iterable[DrawnStream], every: int) -> int:
    return sum(-(-(piece.end - piece.first) // every) for one in streams for piece in one.stretches)


def _draw_all(
    dataset: str,
    data: Path,
    index: Path,
    planned: list[DrawnStream],
    size: tuple[int, int],
    every: int,
    processes: int,
    progress: Callable[[int, int], None],
) -> None:
    shape = (_kept(planned, every), size[1], size[0], 3)
    np.memmap(data, np.uint8, "w+", shape=shape).flush()
    work = partial(_draw, dataset, data, shape, every)
    if processes == 1:
        for done, one in enumerate(planned):
            work(one)
            progress(done + 1, len(planned))
    else:
        with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
            for done, job in enumerate(as_completed([pool.submit(work, one) for one in planned])):
                job.result()
                progress(done + 1, len(planned))
    text = json.dumps([[one.name, one.frames, one.intervals, [astuple(s) for s in one.stretches]] for one in planned])
    index.write_text(text, encoding="utf-8")  # the index appears only when the data is whole


def _draw(dataset: str, data: Path, shape: tuple[int, int, int, int], every: int, one: DrawnStream) -> None:
    file = np.memmap(data, np.uint8, "r+", shape=shape)
    split, _, number = one.name.partition("/")
    drawn = drawn_set(dataset).stream(split, int(number))
    for piece in one.stretches:
        for place, n in enumerate(range(piece.first, piece.end, every)):
            small = cv2.resize(drawn.frame(n), (shape[2], shape[1]), interpolation=cv2.INTER_AREA)
            file[piece.begin + place] = small
