"""What a figure is: rows that are computed once, written as CSV, and drawn from nothing but themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from clownfish.errors import ClownfishError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from clownfish.evaluation.paper.context import Context

R = TypeVar("R")


class Unavailable(ClownfishError):
    """This data set, or this machine, has not what the figure shows. The report says so in its place."""


@dataclass(frozen=True, slots=True)
class Table:
    """For a page: the first column is text, the others are figures."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Exhibit(Generic[R]):
    """One figure or table of the paper, or one of ours."""

    name: str
    """As in EXHIBITS, and of its files: NAME.csv, NAME.png."""
    title: str
    caption: str
    """How to read it, in a sentence or two."""
    row: type[R]
    """A dataclass of numbers, texts and None: a line of the CSV."""
    compute: Callable[[Context], list[R]]
    """Raises Unavailable where the data set has nothing to show."""
    draw: Callable[[Sequence[R]], Figure]
    """From rows alone, so that a CSV can be drawn again. Raises ConfigError without matplotlib."""
    table: Callable[[Sequence[R]], Table] | None = None
    """The rows, or the most telling of them, for a page."""
    recorded: bool = False
    """Made of what the network lab recorded alone: needs no stream of the data set."""

    def rows_as(self, rows: Sequence[Any]) -> list[R]:
        """`rows`, which must be this figure's. Raises TypeError."""
        for row in rows:
            if not isinstance(row, self.row):
                raise TypeError(f"{self.name} is made of {self.row.__name__}, not of {type(row).__name__}")
        return list(rows)
