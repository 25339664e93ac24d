"""Which cores a measurement has: what is measured on some, what loads it on others."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

from clownfish.errors import ClownfishError


@contextlib.contextmanager
def pinned(cores: set[int]) -> Iterator[None]:
    """What this thread starts meanwhile runs on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def divided() -> tuple[set[int], set[int]]:
    """(cores for what is measured, the core of what loads it): all but the last, and the last.

    Raises ClownfishError where there are not two, or processes cannot be kept to them.
    """
    if sys.platform != "linux":
        raise ClownfishError("processes can be kept to cores on Linux only; this part of the bench needs that")
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise ClownfishError("one core; this part of the bench needs two: one for what is measured, one for its load")
    return set(cores[:-1]), {cores[-1]}
