"""Similarity from labelled video: what a perfect SimiNet would say, the paper's OptSim (§VI-B, DESIGN §5.12)."""

from __future__ import annotations

import csv
from bisect import bisect_right
from collections.abc import Callable, Mapping
from pathlib import Path

from clownfish.errors import ConfigError, DatasetError
from clownfish.similarity.base import Inferred

Truth = Mapping[tuple[str, int], str] | Callable[[str, int], str]
"""The context's label of (stream, t); a window that a mapping does not hold has context ""."""


class Oracle:
    """ρ = 1 where both windows have the same true context, else 0. A window's true context is its middle frame's."""

    def __init__(
        self,
        truth_dir: str | Path | None = None,
        size: int = 16,
        stride: int = 4,
        truth: Truth | None = None,
    ) -> None:
        """Either `truth`, or `truth_dir`: a folder of `<stream>.csv` files with columns start_frame, end_frame
        (exclusive) and label; a frame outside every interval has context "". Raises ConfigError, and DatasetError for a
        broken file."""
        if (truth_dir is None) == (truth is None):
            raise ConfigError("oracle: expected one of truth_dir and truth, the labels it is to look up")
        if not 1 <= stride <= size:
            raise ConfigError(f"oracle: window size is {size} and stride {stride}; expected 1 ≤ stride ≤ size")
        if truth_dir is not None:
            truth = _FramesTruth(Path(truth_dir), size, stride)
        self._truth = truth

    def rho(self, previous: Inferred, current: Inferred) -> float:
        """Raises DatasetError where the folder has no file for the stream."""
        return 1.0 if self._context(previous) == self._context(current) else 0.0

    def _context(self, window: Inferred) -> str:
        if isinstance(self._truth, Mapping):
            return self._truth.get((window.stream, window.t), "")
        assert self._truth is not None
        return self._truth(window.stream, window.t)


class _FramesTruth:
    """(stream, t) → label, from intervals of frames."""

    def __init__(self, folder: Path, size: int, stride: int) -> None:
        if not folder.is_dir():
            raise ConfigError(f"oracle: truth_dir is {folder}, which is no folder; expected one of <stream>.csv files")
        self._folder = folder
        self._size = size
        self._stride = stride
        self._intervals = {file.stem: _read(file) for file in sorted(folder.glob("*.csv"))}

    def __call__(self, stream: str, t: int) -> str:
        intervals = self._intervals.get(stream)
        if intervals is None:
            known = ", ".join(self._intervals) or "none at all"
            raise DatasetError(
                f"oracle: no {stream}.csv in {self._folder}, which has {known}; give stream its file's name"
            )
        frame = t * self._stride + self._size // 2
        at = bisect_right(intervals, frame, key=lambda interval: interval[0]) - 1
        return intervals[at][2] if at >= 0 and frame < intervals[at][1] else ""


def _read(file: Path) -> list[tuple[int, int, str]]:
    """(start, end exclusive, label) in order. Raises DatasetError where they overlap or the file is no such."""
    with file.open(newline="", encoding="utf-8") as lines:
        try:
            intervals = sorted(
                (int(row["start_frame"]), int(row["end_frame"]), row["label"]) for row in csv.DictReader(lines)
            )
        except (KeyError, TypeError, ValueError, csv.Error) as error:
            raise DatasetError(
                f"{file}: {error!r}; expected columns start_frame, end_frame and label, whole numbers and text"
            ) from error
    for (start, end, label), (following, _, _) in zip(intervals, [*intervals[1:], (2**63, 0, "")], strict=True):
        if not 0 <= start < end <= following:
            raise DatasetError(
                f"{file}: {label!r} from frame {start} to {end}, and the next from {following}; "
                "expected start < end (exclusive), no two overlapping"
            )
    return intervals
