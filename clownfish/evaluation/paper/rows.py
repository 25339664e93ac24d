"""Rows of a figure as CSV and back: one column a field of the dataclass, floats with six digits, None as nothing."""

from __future__ import annotations

import csv
import typing
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from clownfish.errors import DatasetError

R = TypeVar("R")


def write_rows(path: Path, row_type: type[R], rows: Sequence[R]) -> None:
    """Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = [field.name for field in fields(row_type)]  # type: ignore[arg-type]  # a dataclass, see Exhibit.row
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([_text(getattr(row, name)) for name in names] for row in rows)


def read_rows(path: Path, row_type: type[R]) -> list[R]:
    """Raises DatasetError where the file is missing or holds other columns or values."""
    types = typing.get_type_hints(row_type)
    names = [field.name for field in fields(row_type)]  # type: ignore[arg-type]
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if list(reader.fieldnames or ()) != names:
                raise DatasetError(
                    f"{path}: columns are {', '.join(reader.fieldnames or ())}; expected {', '.join(names)}: make the "
                    "figure anew"
                )
            return [row_type(**{name: _value(row[name], types[name]) for name in names}) for row in reader]
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise DatasetError(f"{path}: cannot be read as a figure's rows ({error}): make the figure anew") from error


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _value(text: str, of: Any) -> Any:
    """`of` is str, int, float, or one of them or None."""
    options = typing.get_args(of) or (of,)
    if text == "" and type(None) in options:
        return None
    for kind in (int, float, str):
        if kind in options:
            return kind(text)
    raise TypeError(f"a column of type {of}")
