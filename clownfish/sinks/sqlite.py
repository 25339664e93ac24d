"""The sink `sqlite`: one database file, a table of answers and one of events, for analysis (layer 1).

One row for each window, one for each event: a newer revision takes the place of the older, an older one that comes late
changes nothing. Written in WAL mode, each row a transaction of its own, so it can be read while it is written, and a
killed process leaves it whole; a cut of power may take the last seconds (synchronous = NORMAL).
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clownfish.errors import SinkError
from clownfish.eventing import SceneEvent
from clownfish.messages import End
from clownfish.sinks.base import Item
from clownfish.sinks.forms import EVENT_COLUMNS, RESULT_COLUMNS, record_of, utc_now

_TYPES = {"text": "TEXT", "integer": "INTEGER", "real": "REAL", "boolean": "INTEGER", "reals": "TEXT"}
_BUSY_S = 0.5
"""How long another writer is waited for."""
_PRUNE_S = 600.0
_DAY_S = 86400.0


class Sqlite:
    """Appends to `path`, which other processes may read meanwhile."""

    def __init__(self, path: str, *, keep_days: float = 0.0) -> None:
        """`keep_days`: rows said longer ago are deleted; 0: none is. Raises SinkError where it is no such database."""
        if keep_days < 0:
            raise ValueError(f"keep_days {keep_days}; expected 0 (for ever) or more")
        self._path = Path(path)
        self._keep_s = keep_days * _DAY_S
        self._prune_at = 0.0
        self._database: sqlite3.Connection | None = None
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            for table, columns, key in _TABLES:
                self._database.execute(_create(table, columns, key))
            self._database.execute("CREATE INDEX IF NOT EXISTS events_by_start ON events (stream, said_at)")
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise SinkError(f"{path}: cannot be used as a database of answers: {error}") from error

    def write(self, item: Item) -> None:
        """One row. Raises SinkError (full disk, locked), and the next one may be written again."""
        if self._database is None:
            raise SinkError(f"{self._path} is closed; nothing can be written to it")
        table, statement = ("events", _UPSERT_EVENT) if isinstance(item, SceneEvent) else ("results", _UPSERT_RESULT)
        values = {name: _cell(value) for name, value in record_of(item).items()}
        try:
            self._database.execute(statement, {**values, "said_at": utc_now()})
            self._prune()
        except sqlite3.Error as error:
            raise SinkError(f"{self._path}: table {table}: {error}") from error

    def end(self, end: End) -> None:
        """Nothing to do: every row is in the file already."""

    def close(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            database.close()

    def _prune(self) -> None:
        now = time.time()
        if self._database is None or not self._keep_s or now < self._prune_at:
            return
        self._prune_at = now + _PRUNE_S
        for table, *_ in _TABLES:
            self._database.execute(
                f"DELETE FROM {table} WHERE said_at < strftime('%Y-%m-%dT%H:%M:%fZ', ?, 'unixepoch')",
                (now - self._keep_s,),
            )


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list) else value


def _create(table: str, columns: Mapping[str, str], key: str) -> str:
    lines = [f"{name} {_TYPES[kind]}" for name, kind in columns.items()]
    return f"CREATE TABLE IF NOT EXISTS {table} ({', '.join(lines)}, said_at TEXT, PRIMARY KEY ({key})) WITHOUT ROWID"


def _upsert(table: str, columns: Mapping[str, str], key: str) -> str:
    names = [*columns, "said_at"]
    changed = ", ".join(f"{name} = excluded.{name}" for name in names if name not in key.split(", "))
    return (
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(':' + name for name in names)}) "
        f"ON CONFLICT ({key}) DO UPDATE SET {changed} WHERE excluded.revision > {table}.revision"
    )


_TABLES = (("results", RESULT_COLUMNS, "stream, epoch, t"), ("events", EVENT_COLUMNS, "id"))
_UPSERT_RESULT, _UPSERT_EVENT = (_upsert(*table) for table in _TABLES)
