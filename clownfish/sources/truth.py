"""Ground truth beside a video: which context each frame shows (layer 1: the standard library only).

For `X.mp4` it is the table `X.csv` with the columns start_frame, end_frame (the first one after) and label; more
columns are left alone. Used to score answers and by the `oracle` similarity, never to answer.
"""

from __future__ import annotations

import bisect
import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from clownfish.errors import DatasetError

_COLUMNS = ("start_frame", "end_frame", "label")


@dataclass(frozen=True, slots=True)
class Context:
    """Frames start ≤ n < end show `label`."""

    start: int
    end: int
    label: str


@dataclass(frozen=True, slots=True)
class Truth:
    """Contexts in order, without overlap. Between two there may be frames without a label."""

    contexts: tuple[Context, ...]

    def context_at(self, n: int) -> Context | None:
        """The context of frame `n`; None where it has no label."""
        index = bisect.bisect_right(self.contexts, n, key=lambda context: context.start) - 1
        if index < 0 or n >= self.contexts[index].end:
            return None
        return self.contexts[index]

    def label_at(self, n: int) -> str | None:
        """The label of frame `n`; None where it has none."""
        context = self.context_at(n)
        return None if context is None else context.label


def read_truth(path: str | os.PathLike[str]) -> Truth | None:
    """The truth beside the video `path` (or that table itself); None where there is no table.

    Raises DatasetError where a column is missing, a number is none, a label is empty, or contexts overlap or are out of
    order.
    """
    table = Path(path).with_suffix(".csv")
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            return Truth(tuple(_contexts(table, csv.DictReader(file))))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeError, csv.Error) as error:
        raise DatasetError(f"cannot read the ground truth {table}: {error}") from error


def _contexts(table: Path, rows: csv.DictReader[str]) -> Iterator[Context]:
    missing = [column for column in _COLUMNS if column not in (rows.fieldnames or ())]
    if missing:
        raise DatasetError(f"{table} has no column {', '.join(missing)}; expected {', '.join(_COLUMNS)}")
    end = 0
    for row in rows:
        where = f"{table}, line {rows.line_num}"
        texts = [row[column] for column in _COLUMNS]
        try:
            context = Context(int(texts[0]), int(texts[1]), (texts[2] or "").strip())
        except (TypeError, ValueError) as error:
            raise DatasetError(f"{where}: frames {texts[0]!r} to {texts[1]!r}; expected two whole numbers") from error
        if not context.label:
            raise DatasetError(f"{where}: the label is empty")
        if not end <= context.start < context.end:
            raise DatasetError(
                f"{where}: frames {context.start} to {context.end} overlap, are out of order or empty; "
                f"expected a start of at least {end}, below the end"
            )
        end = context.end
        yield context
