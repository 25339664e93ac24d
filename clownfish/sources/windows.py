"""Windows spread evenly over a source, for what needs a few of all that it shows (layer 1)."""

from __future__ import annotations

import contextlib
from itertools import islice

from clownfish.errors import ConfigError, SourceError
from clownfish.messages import Frame, Pixels, Window
from clownfish.opencv import resized
from clownfish.sources import is_live, open_source
from clownfish.windowing import WindowManager

CALIBRATION_WINDOWS = 32
"""Ranges need some of all that is to be seen, not much of it."""


def spread_windows(
    source: str,
    size: int,
    stride: int,
    width: int,
    height: int,
    count: int,
    *,
    run: int = 1,
    seconds: float | None = None,
) -> list[Window]:
    """At most `count` windows of a source, from its first `seconds`: runs of `run` that follow each other as in a live
    stream, as evenly apart as its length allows.

    Frames are resized as capture does. Never holds more than about twice as many, however long the source is. Raises
    ConfigError for a live source, which has no length, and SourceError where there is not one window.
    """
    if is_live(source):
        raise ConfigError(f"{source} is live and never ends; record a video of it, and name that")
    manager = WindowManager(size, stride)
    runs = -(-count // run)
    kept: dict[int, list[Window]] = {}
    step = 1
    n = -1
    with contextlib.closing(open_source(source)) as opened:
        frames = None if seconds is None else max(size, round(seconds * opened.fps))
        for n, pixels in enumerate(islice(opened, frames)):
            window = manager.push(Frame("windows", 0, n, 0, False, resized(pixels, width, height)))
            if window is None or window.t // run % step:
                continue
            if window.t // run not in kept and len(kept) >= 2 * runs:
                step *= 2
                kept = {number: each for number, each in kept.items() if number % step == 0}
                if window.t // run % step:
                    continue
            kept.setdefault(window.t // run, []).append(window)
    if not kept:
        raise SourceError(f"{source} has {n + 1} frames; one window needs {size}: use a longer video")
    found = list(kept.values())
    if len(found) > runs:
        found = [each for each in found if len(each) == run]  # the source's end may have cut the last one short
        found = [found[round(i * (len(found) - 1) / max(runs - 1, 1))] for i in range(runs)]
    return [window for each in found for window in each][:count]


def calibration_windows(source: str, width: int, height: int, size: int) -> list[tuple[Pixels, ...]]:
    """The frames of windows from the first minute of a source, for engines that are calibrated."""
    windows = spread_windows(source, size, max(1, size // 4), width, height, CALIBRATION_WINDOWS, seconds=60.0)
    return [window.frames for window in windows]
