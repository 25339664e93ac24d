"""How many frames a video has, how fast they are and how large: read from its packets, without decoding, and kept in an
index so that a second start asks the file system alone.

A container's header is not trusted: many write no count at all, and a truncated file keeps the count of the whole one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass
from pathlib import Path

import av

from clownfish.datasets.decode import is_shown, quarter_turns
from clownfish.errors import DatasetError

Say = Callable[[str], None]

SOME = 500
"""Videos between two lines of progress, and two savings of the index."""


@dataclass(frozen=True, slots=True)
class Probed:
    """What a video file holds; `error` says why it holds nothing, and is "" where it does."""

    frames: int = 0
    fps: float = 0.0
    width: int = 0
    height: int = 0
    error: str = ""


class Probe:
    """Looks into videos; what it saw is kept in the file `index` (None keeps nothing), by path, size and time."""

    def __init__(self, index: Path | None = None, say: Say = lambda line: None) -> None:
        self._index = index
        self._say = say
        self._known: dict[str, list[int | float | str]] = {}
        if index is not None:
            self._known = _read(index)

    def __call__(self, path: Path) -> Probed:
        """One video; raises DatasetError where it is missing."""
        return self.many([path])[path]

    def many(self, paths: Iterable[Path]) -> dict[Path, Probed]:
        """Each of them. Raises DatasetError for one that is missing."""
        found: dict[Path, Probed] = {}
        new = 0
        wanted = list(paths)
        for n, path in enumerate(wanted):
            key = os.path.abspath(path)  # noqa: PTH100 - resolve() would follow links, and ask the disk for each part
            try:
                stat = path.stat()
            except OSError as error:
                raise DatasetError(f"{path}: cannot be read ({error.strerror})") from error
            stamp: list[int | float | str] = [stat.st_size, stat.st_mtime_ns]
            known = self._known.get(key)
            if known is not None and known[:2] == stamp:
                found[path] = Probed(*known[2:])  # type: ignore[arg-type]
                continue
            found[path] = look(path)
            self._known[key] = [*stamp, *astuple(found[path])]
            new += 1
            if new % SOME == 0:
                self._say(f"looked into {n + 1} of {len(wanted)} videos")
                self._save()
        if new:
            self._save()
        return found

    def _save(self) -> None:
        if self._index is None:
            return
        self._index.parent.mkdir(parents=True, exist_ok=True)
        part = self._index.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps(self._known), encoding="utf-8")
        part.replace(self._index)


def _read(index: Path) -> dict[str, list[int | float | str]]:
    """The index, empty where it is missing or damaged: it holds nothing that cannot be looked up again."""
    try:
        found = json.loads(index.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {path: entry for path, entry in found.items() if isinstance(entry, list) and len(entry) == 7}


def look(path: Path) -> Probed:
    """Count the packets of the first video stream, one each frame in every codec met here, and decode one frame."""
    try:
        with av.open(str(path)) as container:
            first = next(container.decode(video=0), None)
            if first is None:
                return Probed(error="holds no frames")
            width, height = (first.width, first.height)[:: -1 if quarter_turns(first) % 2 else 1]
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            frames = sum(1 for packet in container.demux(stream) if is_shown(packet))
            return Probed(frames, float(stream.average_rate or 0), width, height)
    except IndexError:
        return Probed(error="holds no video")
    except (av.FFmpegError, OSError, ValueError) as error:
        return Probed(error=f"cannot be read as video ({error})")
