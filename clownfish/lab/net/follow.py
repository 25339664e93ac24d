"""Time passes for shapers that keep none themselves: the kernel's are told of each phase when it begins."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

from clownfish.lab.net.shape import Phase, Timeline


def follow(
    timeline: Timeline,
    enter: Callable[[Phase], None],
    stop: threading.Event,
    t_s: float = 0.0,
    until_s: float = math.inf,
) -> None:
    """Call `enter` with each phase as it begins, from `t_s` of the timeline on, which is now; that one is known.

    Returns when `stop` is set, at `until_s`, or where nothing changes any more and there is no `until_s`.
    """
    begin = time.monotonic() - t_s
    while t_s < until_s:
        change_s = timeline.next_change(t_s)
        if change_s is None and math.isinf(until_s):
            return
        t_s = until_s if change_s is None else min(change_s, until_s)
        if stop.wait(max(0.0, begin + t_s - time.monotonic())):
            return
        if t_s < until_s:
            t_s = math.nextafter(t_s, math.inf)  # of two phases that meet the one that begins
            enter(timeline.at(t_s))
