"""Cadence: a live source's frames, at whatever times they were taken, as a stream of one steady rate (layer 0).

Theory of operation. Models learnt from frames that are 1/fps apart, and a window is frames that follow each other. So
each frame of the source has a place x on the stream's own axis, seconds since the epoch's first frame × fps, and the
stream's frame k shows what the source showed then:

    e = x − k, k the next frame to give
    |e| ≤ SLACK   the frame is frame k: sources of about the stream's own rate pass one to one, jitter and all
    e > SLACK     it came after k's time: the frame before it is repeated up to its own place, round(x)
    e < −SLACK    k is still to come: it is skipped

Steps in x come from the source's own timestamps where they make sense, else from the clock at arrival: what the network
holds up is not time that passed. Nothing depends on anything else, so equal timestamps give equal frames.

Where one frame does not follow the one before, the epoch is over and the frame is the first of the next:

    size     the picture has another size: another scene, as a rule, never the same pixels
    gap      nothing was taken for HOLE_S, or three times the usual interval where that is longer
    clock    timestamps went back, or leapt ahead while no such time passed; or they run at another speed than time
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from statistics import median
from typing import Literal

Break = Literal["size", "gap", "clock"]

SLACK = 0.9
"""Places that a frame may be off its own. 0.5 would be exact, and a camera's jitter would skip and repeat frames."""
HOLE_S = 0.5
"""What is repeated to fill a hole is no more than this."""
_BACK_S = 0.1
"""Timestamps may go back so far: cameras correct their clock a little."""
_USUAL = 5
"""Intervals whose median is the usual one."""
_LOOK_S = 5.0
_RUN_OFF_S = 0.75
_RUN_OFF = 3
"""Timestamps that run off the clock by more than this in _LOOK_S, so often in a row, are no timestamps. Once may be a
jump, or a network that has become slower; twice a sender that cannot keep up."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A frame of a source, as far as time is concerned."""

    at_s: float
    """When it came, on the machine's monotonic clock."""
    pts_s: float | None = None
    """The source's own timestamp; any origin. None where it has none."""
    size: tuple[int, int] = (0, 0)
    """(width, height) in pixels, as the source has it."""


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done with a frame: end the epoch (`broken`), give the one before `repeats` times, give this one."""

    broken: Break | None
    repeats: int
    given: bool


class Cadence:
    """One connection to one source. `repeated` and `skipped` count frames."""

    def __init__(self, fps: float) -> None:
        """`fps`: of the stream. Raises ValueError unless it is finite and above 0."""
        if not (math.isfinite(fps) and fps > 0):
            raise ValueError(f"fps is {fps}; expected a finite number above 0")
        self.fps = fps
        self.repeated = 0
        self.skipped = 0
        self._before: Taken | None = None
        self._place = 0.0
        """x of the newest frame."""
        self._next = 0
        """k."""
        self._steps: deque[float] = deque(maxlen=_USUAL)
        self._run_off = 0
        """How often in a row; at _RUN_OFF timestamps are not gone by any more."""
        self._looked_s = 0.0
        self._least: float | None = None
        """Least of clock − timestamp since then, and in the span before: what the network holds up only adds to it."""
        self._least_before: float | None = None

    def step(self, taken: Taken) -> Step:
        """The next frame of the source."""
        before, self._before = self._before, taken
        if before is None:
            self._look(taken)
            return self._begin(None)
        step_s, broken = self._passed(before, taken)
        ran_off = self._look(taken)
        usual_s = median(self._steps) if self._steps else 0.0
        self._steps.append(max(0.0, min(step_s, taken.at_s - before.at_s)))  # what a clock that leaps says is not usual
        if taken.size != before.size:
            return self._begin("size")
        if broken is None and step_s > max(HOLE_S, 3 * usual_s):
            broken = "clock" if step_s - (taken.at_s - before.at_s) > HOLE_S / 2 else "gap"
        if broken is None and ran_off:
            broken = "clock"
        return self._begin(broken) if broken is not None else self._place_it(max(0.0, step_s))

    def _passed(self, before: Taken, taken: Taken) -> tuple[float, Break | None]:
        """Seconds between the two, and whether the source's clock broke in between."""
        by_clock_s = taken.at_s - before.at_s
        if self._run_off >= _RUN_OFF or taken.pts_s is None or before.pts_s is None:
            return by_clock_s, None
        by_source_s = taken.pts_s - before.pts_s
        if by_source_s < -_BACK_S:
            return by_clock_s, "clock"
        return (by_source_s, None) if by_source_s > 0 else (by_clock_s, None)

    def _look(self, taken: Taken) -> bool:
        """Whether timestamps have just turned out to run at another speed than the clock."""
        if taken.pts_s is None or self._run_off >= _RUN_OFF:
            return False
        off_s = taken.at_s - taken.pts_s
        if self._least is None:
            self._looked_s, self._least = taken.at_s, off_s
        self._least = min(self._least, off_s)
        if taken.at_s - self._looked_s < _LOOK_S:
            return False
        before, self._least_before = self._least_before, self._least
        self._looked_s, self._least = taken.at_s, off_s
        off = before is not None and abs(self._least_before - before) > _RUN_OFF_S
        self._run_off = self._run_off + 1 if off else 0
        return self._run_off >= _RUN_OFF

    def _begin(self, broken: Break | None) -> Step:
        self._place, self._next = 0.0, 1
        return Step(broken, 0, True)

    def _place_it(self, step_s: float) -> Step:
        self._place += step_s * self.fps
        off = self._place - self._next
        if off < -SLACK:
            self.skipped += 1
            return Step(None, 0, False)
        repeats = round(self._place) - self._next if off > SLACK else 0
        self.repeated += repeats
        self._next += repeats + 1
        return Step(None, repeats, True)
