"""Clips decoded once into one flat file of small uint8 frames, which training then maps into memory.

The file lies under the (git-ignored) runs folder and is named after what it holds, so that a changed size, or another
list of clips, is another file.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from clownfish.datasets.base import Clip
from clownfish.datasets.decode import decode_parts
from clownfish.errors import DatasetError

SKIP_SHARE = 0.1
"""More broken clips than this share is a broken data set, not a few bad files."""


@dataclass(frozen=True, slots=True)
class FrameCache:
    """Frames of all clips one after the other: shape (all, height, width, 3) uint8, every `every`-th frame of a
    clip."""

    frames: npt.NDArray[np.uint8]
    spans: dict[str, tuple[int, int]]
    """Clip's key → [start, end) in `frames`."""
    every: int
    broken: dict[str, str] | None = None
    """Clip's key → why it could not be decoded."""

    def has(self, clip: Clip) -> bool:
        return clip.key in self.spans

    def clip(self, clip: Clip) -> npt.NDArray[np.uint8]:
        """The clip's kept frames, a view."""
        start, end = self.spans[clip.key]
        return self.frames[start:end]

    def held(self, clips: Sequence[Clip]) -> list[Clip]:
        """Those that are here, none said to be longer than it turned out to be."""
        return [
            replace(clip, frames=min(clip.frames, len(self.clip(clip)) * self.every))
            for clip in clips
            if self.has(clip)
        ]


def open_cache(
    folder: Path,
    name: str,
    clips: Sequence[Clip],
    size: tuple[int, int],
    every: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> FrameCache:
    """Open the cache of `clips` at `size` = (width, height), decoding them first where that has not been done.

    A clip that cannot be decoded is left out and named in `broken`, and in a text file beside the cache. Raises
    DatasetError where more than a tenth cannot, or where two clips are one.
    """
    listed = sorted((clip.key, clip.frames) for clip in clips)
    for (key, _), (after, _) in pairwise(listed):
        if key == after:
            raise DatasetError(f"{key} is listed twice; one clip has one label")
    stem = f"{name}-{size[0]}x{size[1]}-every{every}-{hashlib.sha256(repr(listed).encode()).hexdigest()[:8]}"
    data, index = folder / f"{stem}.u8", folder / f"{stem}.json"
    if not index.exists():
        _build(data, index, clips, size, every, progress)
    entries = json.loads(index.read_text(encoding="utf-8"))
    spans = {key: (start, end) for key, (start, end) in entries["spans"].items()}
    total = max(end for _, end in spans.values())
    frames = np.memmap(data, dtype=np.uint8, mode="r", shape=(total, size[1], size[0], 3))
    return FrameCache(frames, spans, every, entries["broken"])


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
    of_file: dict[Path, list[Clip]] = defaultdict(list)
    for clip in clips:
        of_file[clip.path].append(clip)
    end = 0
    part = data.with_suffix(f".{os.getpid()}.part")
    with part.open("wb") as file:
        for path, parts in of_file.items():
            parts.sort(key=lambda clip: clip.start)
            for clip, frames in zip(
                parts, decode_parts(path, [(c.start, c.end) for c in parts], size, every), strict=True
            ):
                if isinstance(frames, DatasetError):
                    broken[clip.key] = str(frames)
                else:
                    file.write(frames.tobytes())
                    spans[clip.key] = (end, end + len(frames))
                    end += len(frames)
                progress(len(spans) + len(broken), len(clips))
    if broken:
        lines = [f"{key}: {why}" for key, why in broken.items()]
        index.with_suffix(".broken.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    if len(broken) > SKIP_SHARE * len(clips):
        part.unlink()
        first = next(iter(broken.values()))
        raise DatasetError(
            f"{len(broken)} of {len(clips)} clips cannot be decoded; the first: {first}. All of them are named in "
            f"{index.with_suffix('.broken.txt')}"
        )
    part.replace(data)
    part = index.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps({"spans": spans, "broken": broken}), encoding="utf-8")
    part.replace(index)  # the index appears only when the data is whole
