"""Progress over many streams on a terminal: windows done, windows a second, time left."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


class _Rate(ProgressColumn):
    """Windows a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} windows/s")


class WindowsBar(AbstractContextManager["WindowsBar"]):
    """One bar for all streams. What a stream had before it was gone on with is no work, and taken off the total."""

    def __init__(self, console: Console, expected: Mapping[str, int]) -> None:
        """`expected`: source → windows that it holds, 0 where that is not known beforehand."""
        self._left = dict(expected)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=console, transient=True)
        self._task = self._progress.add_task("both models", total=sum(expected.values()) or None)
        self._begun: set[str] = set()

    def __enter__(self) -> WindowsBar:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def window(self, source: str, t: int) -> None:
        """Window t of `source` is done."""
        if source not in self._begun:
            self._begun.add(source)
            self._take_off(source, t)
        self._left[source] = max(0, self._left[source] - 1)
        self._progress.update(self._task, description=source, advance=1)

    def done(self, source: str) -> None:
        """Nothing is left to do of `source`."""
        self._take_off(source, self._left[source])

    def _take_off(self, source: str, windows: int) -> None:
        self._left[source] -= min(windows, self._left[source])
        done = self._progress.tasks[self._task].completed
        self._progress.update(self._task, total=done + sum(self._left.values()) or None)
