"""What a run says while it works: lines, and on a terminal a progress bar below them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")
Say = Callable[[str], None]


class Terminal:
    """Takes lines as any `Say` does, and draws progress on a console that is a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __call__(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def track(self, items: Iterable[T], total: int, what: str) -> Iterator[T]:
        """The same items, a bar on the console while they are taken."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=self._console, transient=True) as progress:
            yield from progress.track(items, total=total, description=what)


def reporter() -> Say:
    """Lines with bars where standard output is a terminal; plain lines in a pipe, a file or CI."""
    console = Console()
    return Terminal(console) if console.is_terminal else typer.echo


def track(say: Say, items: Iterable[T], total: int, what: str) -> Iterable[T]:
    """The same items; where `say` is a terminal, with a progress bar."""
    return say.track(items, total, what) if isinstance(say, Terminal) else items
