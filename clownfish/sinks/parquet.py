"""The sink `parquet`: columns for analysis, FOLDER/results/day=2026-01-31/stream=door/PART.parquet (layer 1). Extra
`parquet`.

Rows are kept in memory and written as one file when there are `rows` of them, when the oldest is `minutes` old, at the
end of a stream and of the process. A file appears under its name when it is whole, and is never changed: so what reads
the folder needs no lock, and a row is in it once for each of its revisions. A killed process takes the rows along that
were not written yet; where that is too much, `jsonl` and `sqlite` lose none.
"""

from __future__ import annotations

import asyncio
import datetime
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from clownfish.errors import SinkError
from clownfish.eventing import SceneEvent
from clownfish.messages import End
from clownfish.sinks.base import Item
from clownfish.sinks.forms import EVENT_COLUMNS, RESULT_COLUMNS, record_of

_TYPES = {
    "text": pa.string(),
    "integer": pa.int64(),
    "real": pa.float64(),
    "boolean": pa.bool_(),
    "reals": pa.list_(pa.float32()),
}
_TICK_S = 1.0

_Place: TypeAlias = tuple[str, str, str]
"""Table, day, stream."""


class Parquet:
    """Options in docs/sinks.md."""

    def __init__(
        self,
        folder: str,
        *,
        rows: int = 50_000,
        minutes: float = 10.0,
        compression: str = "zstd",
        now: Callable[[], float] = time.time,
    ) -> None:
        """`now`: seconds since 1970. Raises SinkError where the folder cannot be used."""
        if rows < 1 or not minutes > 0:
            raise ValueError(f"rows {rows}, minutes {minutes}; expected at least 1, and above 0")
        self._folder = Path(folder)
        self._rows, self._age_s = rows, minutes * 60
        self._compression = compression
        self._now = now
        self._waiting: dict[_Place, list[dict[str, Any]]] = {}
        self._since: dict[_Place, float] = {}
        self._parts = 0
        self._own: Counter[str] = Counter()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for left in self._folder.rglob("*.parquet.part"):  # of a process that was killed
                left.unlink(missing_ok=True)
        except OSError as error:
            raise SinkError(f"{folder}: cannot be used for Parquet files: {error.strerror}") from error

    @property
    def counts(self) -> Mapping[str, int]:
        return self._own

    def gauges(self) -> Mapping[str, float]:
        return {"rows_waiting": sum(map(len, self._waiting.values()))}

    def write(self, item: Item) -> None:
        """One row. Raises SinkError where what is due cannot be written: it is kept, and tried again."""
        table = "events" if isinstance(item, SceneEvent) else "results"
        now = self._now()
        said_at = datetime.datetime.fromtimestamp(now, datetime.timezone.utc)
        place = (table, said_at.date().isoformat(), item.stream)
        rows = self._waiting.setdefault(place, [])
        self._since.setdefault(place, now)
        if len(rows) >= 2 * self._rows:  # the disk takes none, and memory has an end
            rows.pop(0)
            self._own['dropped{reason="disk"}'] += 1
        rows.append({**record_of(item), "said_at": said_at})
        if len(rows) >= self._rows and len(rows) % self._rows == 0:
            self._flush(place)

    def end(self, end: End) -> None:
        """Write what there is of that stream."""
        self._flush_each([place for place in self._waiting if place[2] == end.stream])

    def close(self) -> None:
        try:
            self._flush_each(list(self._waiting))
        finally:
            lost = sum(map(len, self._waiting.values()))
            self._own['dropped{reason="disk"}'] += lost
            self._waiting.clear()
            self._since.clear()

    def tick(self) -> None:
        """Write what is old enough."""
        now = self._now()
        self._flush_each([place for place, since in self._since.items() if now - since >= self._age_s])

    async def run(self) -> None:
        failing = False
        while True:
            await asyncio.sleep(_TICK_S)
            try:
                self.tick()
                failing = False
            except SinkError:
                self._own["write_failures"] += not failing
                failing = True

    async def drain(self, patience_s: float) -> None:
        """Nothing to wait for: `close` writes it."""

    def _flush_each(self, places: list[_Place]) -> None:
        failure: SinkError | None = None
        for place in places:
            try:
                self._flush(place)
            except SinkError as error:
                failure = error
        if failure is not None:
            raise failure

    def _flush(self, place: _Place) -> None:
        table, day, stream = place
        folder = self._folder / table / f"day={day}" / f"stream={stream}"
        columns = RESULT_COLUMNS if table == "results" else EVENT_COLUMNS
        fields = [pa.field(name, _TYPES[kind]) for name, kind in columns.items() if name != "stream"]
        schema = pa.schema([*fields, pa.field("said_at", pa.timestamp("ms", "UTC"))])
        self._parts += 1
        path = folder / f"{time.time_ns()}-{os.getpid()}-{self._parts}.parquet"
        unfinished = path.with_suffix(".parquet.part")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            rows = pa.Table.from_pylist(self._waiting[place], schema)
            pq.write_table(rows, unfinished, compression=self._compression)
            with unfinished.open("rb") as file:
                os.fsync(file.fileno())
            unfinished.rename(path)
        except (OSError, pa.ArrowException) as error:
            unfinished.unlink(missing_ok=True)
            raise SinkError(f"{path}: cannot be written: {error}") from error
        self._own["files"] += 1
        del self._waiting[place], self._since[place]
