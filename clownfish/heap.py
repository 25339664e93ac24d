"""What a process has freed goes back to the system (layer 2).

glibc keeps freed memory below what is still in use: a router that had five hundred connections at once kept 60 MB of
them when they were gone, and touched more of these pages with each connection that came. `malloc_trim` gives such pages
back. It holds the heap meanwhile, ten milliseconds for a hundred megabytes, so it is asked for seldom, and only where
there is something to give: memory that the process has beyond what is in use has grown since the last time.
"""

from __future__ import annotations

import asyncio
import ctypes
import resource
from collections.abc import Callable
from pathlib import Path

_EVERY_S = 10.0
_SPARE_BYTES = 8 << 20
_PAGE_BYTES = resource.getpagesize()
_STATM = Path("/proc/self/statm")


class _Use(ctypes.Structure):
    """glibc's `struct mallinfo2`."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]
    hblkhd: int
    uordblks: int


def beyond_use() -> int:
    """Bytes of this process's memory (RSS) beyond what is in use of its heap: all that is no heap, and what is spare.

    Raises OSError where the system does not tell, AttributeError where the C library does not (glibc 2.33 does).
    """
    mallinfo = ctypes.CDLL(None).mallinfo2
    mallinfo.restype = _Use
    use = mallinfo()
    resident = int(_STATM.read_text().split()[1]) * _PAGE_BYTES
    return resident - int(use.uordblks) - int(use.hblkhd)


def trim() -> None:
    """Free pages go back. Raises AttributeError where the C library cannot."""
    ctypes.CDLL(None).malloc_trim(ctypes.c_size_t(0))


class Heap:
    """`beyond` and `trim` are the process's own, but for tests."""

    def __init__(self, beyond: Callable[[], int] = beyond_use, trim: Callable[[], None] = trim) -> None:
        self._beyond = beyond
        self._trim = trim
        self._least = beyond()

    def tend(self) -> bool:
        """Trim, where more is spare than at the least since the last trim; whether it did."""
        now = self._beyond()
        if now - self._least < _SPARE_BYTES:
            self._least = min(self._least, now)
            return False
        self._trim()
        self._least = self._beyond()
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
