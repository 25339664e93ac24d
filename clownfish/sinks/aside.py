"""Files that were put aside when they were large or old enough: named, compressed, and the oldest removed (layer 1)."""

from __future__ import annotations

import contextlib
import datetime
import gzip
import shutil
from pathlib import Path


class Aside:
    """`answers.jsonl` becomes answers.20260131T120000.000Z.jsonl, and .gz: names in the order of time."""

    def __init__(self, path: Path, keep: int, compress: bool) -> None:
        self._path, self._keep, self._compress = path, keep, compress

    def put(self, now: float) -> None:
        """Rename the file; `now` in seconds since 1970. Raises OSError."""
        moment = datetime.datetime.fromtimestamp(now, datetime.timezone.utc)
        while True:  # two in a millisecond
            name = moment.strftime("%Y%m%dT%H%M%S.") + f"{moment.microsecond // 1000:03d}Z"
            target = self._path.with_name(f"{self._path.stem}.{name}{self._path.suffix}")
            if not target.exists() and not target.with_name(target.name + ".gz").exists():
                break
            moment += datetime.timedelta(milliseconds=1)
        self._path.rename(target)

    def files(self) -> list[Path]:
        """Those put aside, oldest first."""
        stem, suffix = self._path.stem, self._path.suffix
        found = self._path.parent.glob(f"{stem}.*Z{suffix}*")
        return sorted(each for each in found if each.name.endswith((suffix, suffix + ".gz")))

    def tidy(self) -> None:
        """Remove what is too many, compress the rest. A full disk leaves a file as it is, for the next time."""
        for unfinished in self._path.parent.glob(f"{self._path.stem}.*Z{self._path.suffix}.gz.part"):
            unfinished.unlink(missing_ok=True)
        files = self.files()
        for file in files[: max(0, len(files) - self._keep)]:
            file.unlink(missing_ok=True)
        if not self._compress:
            return
        for file in self.files():
            if file.suffix != ".gz":
                with contextlib.suppress(OSError):
                    _compress(file)


def _compress(file: Path) -> None:
    whole = file.with_name(file.name + ".gz")
    unfinished = whole.with_name(whole.name + ".part")
    try:
        with file.open("rb") as plain, gzip.open(unfinished, "wb", compresslevel=6) as packed:
            shutil.copyfileobj(plain, packed)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
    unfinished.rename(whole)
    file.unlink()
