"""What a process has freed goes back to the system (layer 2).

glibc keeps freed memory below what is still in use, page by page: a router that had five hundred connections at once
kept 60 MB of them when they were gone, and touched more of these pages with each connection that came. `malloc_trim`
gives such pages back; it is asked for where the process has grown since the last time, and seldom: it holds the heap
meanwhile, ten milliseconds for a hundred megabytes.
"""

from __future__ import annotations

import asyncio
import ctypes
import resource
from collections.abc import Callable
from pathlib import Path

_EVERY_S = 10.0
_GROWN_BYTES = 8 << 20
_PAGE_BYTES = resource.getpagesize()
_STATM = Path("/proc/self/statm")


def resident_bytes() -> int:
    """This process's memory (RSS). Raises OSError where the system does not tell."""
    return int(_STATM.read_text().split()[1]) * _PAGE_BYTES


def trim() -> None:
    """Free pages go back. Raises AttributeError where the C library cannot."""
    ctypes.CDLL(None).malloc_trim(ctypes.c_size_t(0))


class Heap:
    """`resident` and `trim` are the process's own, but for tests."""

    def __init__(self, resident: Callable[[], int] = resident_bytes, trim: Callable[[], None] = trim) -> None:
        self._resident = resident
        self._trim = trim
        self._least = resident()

    def tend(self) -> bool:
        """Trim, where the process has grown since it was smallest after a trim; whether it did."""
        now = self._resident()
        if now - self._least < _GROWN_BYTES:
            self._least = min(self._least, now)
            return False
        self._trim()
        self._least = self._resident()
        return True


async def tend_heap() -> None:
    """Until cancelled; returns at once where there is no such thing: not Linux, or a C library that is not glibc."""
    try:
        heap = Heap()
        trim()
    except (OSError, AttributeError):
        return
    while True:
        await asyncio.sleep(_EVERY_S)
        await asyncio.to_thread(heap.tend)  # what needs no memory meanwhile goes on
