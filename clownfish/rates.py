"""Frames per second of each stream, left by `capture` in the run folder for who counts in seconds (layer 1)."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path

UNKNOWN_FPS = 30.0


def write_rate(run_dir: Path, stream: str, fps: float) -> None:
    """To be called before the stream's first frame leaves. A full disk is no reason to stop: seconds are wrong then."""
    path = run_dir / f"{stream}.fps"
    with contextlib.suppress(OSError):
        unfinished = path.with_suffix(".fps.part")
        unfinished.write_text(f"{fps!r}\n", encoding="ascii")
        unfinished.rename(path)


def read_rate(run_dir: Path, stream: str) -> float:
    """UNKNOWN_FPS where nothing sane is there."""
    try:
        fps = float((run_dir / f"{stream}.fps").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return UNKNOWN_FPS
    return fps if math.isfinite(fps) and fps > 0 else UNKNOWN_FPS


def forget_rate(run_dir: Path, stream: str) -> None:
    """The stream is no more."""
    with contextlib.suppress(OSError):
        (run_dir / f"{stream}.fps").unlink(missing_ok=True)
