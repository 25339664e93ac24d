"""Reading the tables of data sets: CSV with a header, each fault named with its file and line."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator
from pathlib import Path

from clownfish.errors import DatasetError

Row = dict[str, str]


def rows(path: Path, needed: Collection[str], exact: bool = False) -> Iterator[tuple[int, Row]]:
    """(line number, row) of a CSV with a header. Raises DatasetError where the file is missing or no text, and where a
    `needed` column is missing (`exact`: or where there are others)."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            found = tuple(reader.fieldnames or ())
            if set(needed) - set(found) or (exact and len(found) > len(needed)):
                raise DatasetError(f"{path}: columns are {', '.join(found)}; expected {', '.join(needed)}")
            for row in reader:
                yield reader.line_num, row
    except OSError as error:
        raise DatasetError(
            f"{path}: cannot be read ({error.strerror}); is this the folder of that data set?"
        ) from error
    except (UnicodeError, csv.Error) as error:
        raise DatasetError(f"{path}: is no CSV in UTF-8 ({error})") from error


def columns(path: Path) -> tuple[str, ...]:
    """The names in the first line; none where the file is empty. Raises DatasetError where it cannot be read."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return tuple(csv.DictReader(file).fieldnames or ())
    except (OSError, UnicodeError, csv.Error) as error:
        raise DatasetError(f"{path}: cannot be read as CSV ({error})") from error


def number(where: str, row: Row, column: str) -> int:
    """A whole number from a row. Raises DatasetError."""
    try:
        return int(row[column])
    except (TypeError, ValueError):
        raise DatasetError(f"{where}: {column} is {row[column]!r}, expected a whole number") from None


def seconds(where: str, row: Row, column: str) -> float:
    """Seconds from a row. Raises DatasetError."""
    try:
        value = float(row[column])
    except (TypeError, ValueError):
        raise DatasetError(f"{where}: {column} is {row[column]!r}, expected seconds") from None
    if not 0 <= value < 1e7:
        raise DatasetError(f"{where}: {column} is {value} s, expected 0 or more, and no whole year")
    return value


def one_of(where: str, row: Row, column: str, allowed: Collection[str]) -> str:
    """A name from a row. Raises DatasetError with those that are known."""
    value = (row[column] or "").strip()
    if value not in allowed:
        raise DatasetError(f"{where}: {column} is {value!r}, expected one of {', '.join(allowed)}")
    return value


def lines(path: Path) -> list[tuple[int, str]]:
    """(line number, text) of all lines that are not blank. Raises DatasetError where the file cannot be read."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise DatasetError(f"{path}: cannot be read ({error})") from error
    return [(n, line.strip()) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
