"""A process that works for as long as it is told to: a line of seconds in, a line of windows per second out.

It prints "ready" first, and ends when its standard input does. So several can be measured in turn, each with its model
loaded, while the others wait.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence

from clownfish.errors import ClownfishError
from clownfish.lab.cores import pinned


class Driven:
    """The side that tells: one process, or several that work at the same time."""

    def __init__(self, processes: Sequence[subprocess.Popen[str]]) -> None:
        self._processes = processes

    def measure(self, seconds: float) -> float:
        """Windows per second, of all together. Raises ClownfishError where one has ended."""
        for process in self._processes:
            assert process.stdin is not None  # a pipe
            with contextlib.suppress(BrokenPipeError):  # what it printed, or did not, says so
                process.stdin.write(f"{seconds}\n")
                process.stdin.flush()
        return sum(float(_line(process)) for process in self._processes)


@contextlib.contextmanager
def driven(module: str, arguments: Sequence[str], cores: set[int], count: int = 1) -> Iterator[Driven]:
    """`count` processes of `python -m MODULE ARGUMENTS`, ready, kept to these cores. Raises ClownfishError."""
    with contextlib.ExitStack() as stack:
        processes = []
        with pinned(cores):
            for _ in range(count):
                process = subprocess.Popen(
                    [sys.executable, "-m", module, *arguments],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
                stack.callback(_end, process)
                processes.append(process)
        for process in processes:
            _line(process)
        yield Driven(processes)


def obey(measure: Callable[[float], float]) -> None:
    """The side that works: `measure(seconds)` gives windows per second."""
    print("ready", flush=True)
    for line in sys.stdin:
        print(measure(float(line)), flush=True)


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None  # a pipe
    line = process.stdout.readline()
    if not line:
        raise ClownfishError(f"{' '.join(map(str, process.args[1:4]))} ended: see what it said above")  # type: ignore[index]
    return line


def _end(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None  # a pipe
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
