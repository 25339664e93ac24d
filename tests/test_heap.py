"""Memory that was freed goes back to the system: when it is asked for, and that it does."""

from __future__ import annotations

import subprocess
import sys

import pytest

from clownfish.heap import Heap

MB = 1 << 20
FRAGMENTED = """
from clownfish.heap import Heap, beyond_use
heap = Heap()
kept, freed = [], []
for _ in range(4_000):
    freed.append(bytearray(12_000))
    kept.append(bytearray(600))  # above it in the heap, and stays
in_use = heap.tend()
freed.clear()
spare = beyond_use()
print(in_use, heap.tend(), spare - beyond_use(), heap.tend())
"""


def test_it_is_trimmed_where_it_has_grown_since_and_not_else() -> None:
    sizes, trims = [50 * MB], 0

    def trim() -> None:
        nonlocal trims
        trims += 1
        sizes.append(sizes[-1] - 3 * MB)

    heap = Heap(lambda: sizes[-1], trim)
    assert not heap.tend()
    for grown, trimmed in ((57, False), (59, True), (60, False), (65, True), (50, False), (57, False), (58, True)):
        sizes.append(grown * MB)
        assert heap.tend() == trimmed, grown
    assert trims == 3


def test_what_was_freed_below_what_is_in_use_goes_back() -> None:
    """Four thousand blocks, each below something that stays: glibc alone keeps them."""
    if not sys.platform.startswith("linux"):
        pytest.skip("the system tells no process its size in /proc")
    run = subprocess.run([sys.executable, "-c", FRAGMENTED], capture_output=True, text=True, check=True, timeout=60)
    in_use, first, given, second = run.stdout.split()
    assert (in_use, first, second) == ("False", "True", "False")
    assert int(given) > 15 * MB
