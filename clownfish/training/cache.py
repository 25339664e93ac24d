"""Clips decoded once into one flat file of small uint8 frames, which training then maps into memory.

The file lies under the (git-ignored) runs folder and is named after what it holds, so that a changed size is another
file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from clownfish.datasets.base import Clip
from clownfish.datasets.decode import decode
from clownfish.errors import DatasetError

SKIP_SHARE = 0.1
"""More broken clips than this share is a broken data set, not a few bad files."""


@dataclass(frozen=True, slots=True)
class FrameCache:
    """Frames of all clips one after the other: shape (all, height, width, 3) uint8, every `every`-th frame of a
    clip."""

    frames: npt.NDArray[np.uint8]
    spans: dict[str, tuple[int, int]]
    """Clip's file name → [start, end) in `frames`."""
    every: int

    def has(self, clip: Clip) -> bool:
        return clip.path.name in self.spans

    def clip(self, clip: Clip) -> npt.NDArray[np.uint8]:
        """The clip's kept frames, a view."""
        start, end = self.spans[clip.path.name]
        return self.frames[start:end]


def open_cache(
    folder: Path,
    name: str,
    clips: Sequence[Clip],
    size: tuple[int, int],
    every: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> FrameCache:
    """Open the cache of `clips` at `size` = (width, height), decoding them first where that has not been done.

    A clip that cannot be decoded is left out and named in the index; `FrameCache.has` says which are there. Raises
    DatasetError where more than a tenth cannot.
    """
    stem = f"{name}-{size[0]}x{size[1]}-every{every}"
    data, index = folder / f"{stem}.u8", folder / f"{stem}.json"
    if not index.exists():
        _build(data, index, clips, size, every, progress)
    entries = json.loads(index.read_text(encoding="utf-8"))
    spans = {key: (start, end) for key, (start, end) in entries["spans"].items()}
    missing = [clip.path.name for clip in clips if clip.path.name not in spans | entries["broken"]]
    if missing:
        raise DatasetError(
            f"{index}: does not know {missing[0]} (and {len(missing) - 1} more); delete it to decode anew"
        )
    total = max(end for _, end in spans.values())
    frames = np.memmap(data, dtype=np.uint8, mode="r", shape=(total, size[1], size[0], 3))
    return FrameCache(frames, spans, every)


def _build(
    data: Path,
    index: Path,
    clips: Sequence[Clip],
    size: tuple[int, int],
    every: int,
    progress: Callable[[int, int], None],
) -> None:
    data.parent.mkdir(parents=True, exist_ok=True)
    spans: dict[str, tuple[int, int]] = {}
    broken: dict[str, str] = {}
    end = 0
    with data.open("wb") as file:
        for done, clip in enumerate(clips):
            try:
                frames = decode(clip.path, size, every)
            except DatasetError as error:
                broken[clip.path.name] = str(error)
                continue
            file.write(frames.tobytes())
            spans[clip.path.name] = (end, end + len(frames))
            end += len(frames)
            progress(done + 1, len(clips))
    if len(broken) > SKIP_SHARE * len(clips):
        first = next(iter(broken.values()))
        raise DatasetError(f"{len(broken)} of {len(clips)} clips cannot be decoded; the first: {first}")
    part = index.with_suffix(".part")
    part.write_text(json.dumps({"spans": spans, "broken": broken}), encoding="utf-8")
    part.replace(index)  # the index appears only when the data is whole
