"""Puppets as a data set to train on: streams drawn once into one flat file of small frames, and what they show.

Nothing is decoded and nothing has terms: `clownfish.puppets` draws it. A *clip* here is the stretch of a stream in
which the windows of one interval lie, so that a random window of it has its middle frame in the interval (DESIGN
§5.12: that frame is the window's label).
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from clownfish.datasets.base import Clip
from clownfish.opencv import cv2
from clownfish.puppets import CLASSES, DEFAULT, IDLE, Interval, stream

WINDOW = 16
HALF = WINDOW // 2


@dataclass(frozen=True, slots=True)
class DrawnStream:
    """One stream: where its kept frames lie in the flat file, and what the frames show."""

    name: str
    """SPLIT/INDEX"""
    begin: int
    """Its first kept frame in the file; every `every`-th frame is kept, frame 0 first."""
    frames: int
    """All of them, kept or not."""
    intervals: tuple[Interval, ...]

    def truth(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """(class, number of the context) of every frame, each (frames,)."""
        lengths = [interval.end - interval.start for interval in self.intervals]
        label = np.repeat([CLASSES.index(interval.label) for interval in self.intervals], lengths)
        return label, np.repeat(np.arange(len(self.intervals)), lengths)

    def clips(self) -> list[Clip]:
        """One clip for each interval: from half a window before it to half a window after it. Raises nothing: an
        interval at an end of the stream loses the half that is not there."""
        found = []
        for interval in self.intervals:
            first, end = max(interval.start - HALF, 0), min(interval.end + HALF, self.frames)
            if end - first >= WINDOW:
                name = f"{self.name.replace('/', '-')}-{first}-{end}"
                found.append(Clip(Path(name), interval.label, int(self.name.partition("/")[2]), end - first))
        return found


@dataclass(frozen=True, slots=True)
class Drawn:
    """The flat file, (all kept frames, height, width, 3) uint8, and its streams by name."""

    pixels: npt.NDArray[np.uint8]
    streams: dict[str, DrawnStream]
    every: int

    def of(self, one: DrawnStream) -> npt.NDArray[np.uint8]:
        """The stream's kept frames, a view."""
        return self.pixels[one.begin : one.begin + -(-one.frames // self.every)]

    def spans(self, clips: Sequence[Clip]) -> dict[str, tuple[int, int]]:
        """Clip's name → [start, end) in `pixels`."""
        found = {}
        for clip in clips:
            split, index, first, end = clip.path.name.split("-")
            begin = self.streams[f"{split}/{index}"].begin
            found[clip.path.name] = (begin + -(-int(first) // self.every), begin + int(end) // self.every)
        return found


def draw_streams(
    folder: Path,
    names: Sequence[str],
    size: tuple[int, int],
    every: int,
    processes: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Drawn:
    """Open the file of these streams (SPLIT/INDEX each) at `size` = (width, height), drawing it first where that has
    not been done; another list, size or difficulty is another file. Raises DatasetError for an unknown split."""
    tag = f"puppets-{size[0]}x{size[1]}-every{every}"
    index, data = folder / f"{tag}.json", folder / f"{tag}.u8"
    key = {"names": list(names), "difficulty": repr(DEFAULT)}
    if not index.exists() or json.loads(index.read_text(encoding="utf-8")) != key:
        index.unlink(missing_ok=True)
    streams, begin = {}, 0
    for name in names:
        split, _, number = name.partition("/")
        whole = stream(split, int(number))
        streams[name] = DrawnStream(name, begin, len(whole), whole.intervals)
        begin += -(-len(whole) // every)
    shape = (begin, size[1], size[0], 3)
    if not index.exists():
        folder.mkdir(parents=True, exist_ok=True)
        np.memmap(data, dtype=np.uint8, mode="w+", shape=shape).flush()
        work = partial(_draw, data, shape, every)
        if processes == 1:
            for done, one in enumerate(streams.values()):
                work(one)
                progress(done + 1, len(streams))
        else:
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(processes, context) as pool:
                jobs = [pool.submit(work, one) for one in streams.values()]
                for done, job in enumerate(as_completed(jobs)):
                    job.result()
                    progress(done + 1, len(streams))
        index.write_text(json.dumps(key), encoding="utf-8")  # the index appears only when the data is whole
    return Drawn(np.memmap(data, dtype=np.uint8, mode="r", shape=shape), streams, every)


def _draw(data: Path, shape: tuple[int, int, int, int], every: int, one: DrawnStream) -> None:
    file = np.memmap(data, dtype=np.uint8, mode="r+", shape=shape)
    split, _, number = one.name.partition("/")
    whole = stream(split, int(number))
    for n in range(0, one.frames, every):
        frame = whole.frame(n)
        file[one.begin + n // every] = cv2.resize(frame, (shape[2], shape[1]), interpolation=cv2.INTER_AREA)


def without_much_idle(clips: Sequence[Clip], share: float, rng: np.random.Generator) -> list[Clip]:
    """The clips, of the idle ones only so many, drawn at random, that they are at most `share` of all."""
    idle = [clip for clip in clips if clip.label == IDLE]
    rest = [clip for clip in clips if clip.label != IDLE]
    wanted = min(len(idle), round(share / (1 - share) * len(rest)))
    return rest + [idle[i] for i in sorted(rng.choice(len(idle), wanted, replace=False))]
