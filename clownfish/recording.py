"""Recording: from what the services of an edge note to a record file for each stream and epoch (layer 1).

Notes are numbered in each process, so a gap shows; it is put down in every record that is open then, whose claim to be
whole it ends. Rows wait in memory until `flush` appends them as one chunk.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from clownfish.chunks import append_chunk, cut_to_whole_chunks
from clownfish.messages import End, Event, Feature, FusedResult, LocalResult, Note, RemoteResult, StreamKey
from clownfish.records import (
    ANSWER,
    BEGIN,
    END,
    LOCAL,
    MAGIC,
    NAN,
    REMOTE,
    RESTARTED,
    TABLES,
    RecordHeader,
    Row,
    answer_row,
    or_nan,
    pack_rows,
    record_name,
)

BEGAN = "begin"
"""What fusion notes when it opens an epoch."""
_PROCESSES = 64
"""Processes whose next number is remembered: those that run, and those whose last notes are still on the way."""


@dataclass
class _Epoch:
    path: Path
    header: RecordHeader
    classes: dict[str, int]
    processes: dict[str, int] = field(default_factory=dict)
    """Service → which of its processes the last row was of."""
    tables: dict[str, list[Row]] = field(default_factory=lambda: {table: [] for table in TABLES})


class Recording:
    """Records below `folder`; `header_of` says what the file of a stream and epoch begins with.

    `counts` grows only: notes, notes_lost (gaps), rows_refused (vectors of another size), rows_unwritten (disk full).
    """

    def __init__(self, folder: Path, header_of: Callable[[StreamKey], RecordHeader], capacity: int = 256) -> None:
        """`capacity`: records open at a time; the one that was used longest ago makes room."""
        self.counts: Counter[str] = Counter()
        self.waiting = 0
        """Rows that `flush` will write."""
        self._folder = folder
        self._header_of = header_of
        self._capacity = capacity
        self._epochs: OrderedDict[StreamKey, _Epoch] = OrderedDict()
        self._next: OrderedDict[tuple[str, int], int] = OrderedDict()

    def note(self, note: Note) -> None:
        """Take a note. Raises OSError where the folder or a file in it cannot be used."""
        self.counts["notes"] += 1
        for message in note.messages:
            self._epoch(StreamKey(message.stream, message.epoch))
        process = (note.service, note.process)
        gap = note.sequence - self._next.get(process, 0)
        self._next[process] = note.sequence + 1
        self._next.move_to_end(process)
        if len(self._next) > _PROCESSES:
            self._next.popitem(last=False)
        if gap:
            self._lost(note.service, abs(gap))
        for message in note.messages:
            self._row(note, message)

    def flush(self) -> OSError | None:
        """Append what waits. What cannot be written is lost, and is put down as such; the last such error."""
        failed: OSError | None = None
        for epoch in self._epochs.values():
            failed = self._write(epoch) or failed
        self.waiting = 0
        return failed

    # -- rows

    def _row(self, note: Note, message: LocalResult | RemoteResult | FusedResult | End | Feature | Event) -> None:
        epoch = self._epoch(StreamKey(message.stream, message.epoch))
        if isinstance(message, LocalResult):
            row = (message.t, message.p, or_nan(message.rho), message.capture_ns, message.model_ns)
            self._add(epoch, "local", row, LOCAL)
        elif isinstance(message, RemoteResult):
            self._add(epoch, "remote", (message.t, message.p), REMOTE)
        elif isinstance(message, FusedResult):
            self._add(epoch, "answer", answer_row(message, epoch.classes), ANSWER)
        elif isinstance(message, End):
            self._add(epoch, "end", (message.frames, message.reason), END)
        elif isinstance(message, Feature):
            self._add(epoch, "feature", (message.t, message.feature))
        elif message.what == BEGAN:
            self._add(epoch, "step", (BEGIN,))
        elif note.service in ("filter", "uplink"):
            before = epoch.processes.setdefault(note.service, note.process)
            if before != note.process:
                epoch.processes[note.service] = note.process
                self._add(epoch, note.service, (message.t, RESTARTED, message.at_s, NAN))
            self._add(epoch, note.service, (message.t, message.what, message.at_s, or_nan(message.value)))
        else:
            self.counts["rows_refused"] += 1

    def _add(self, epoch: _Epoch, table: str, row: Row, step: int | None = None) -> None:
        rows = epoch.tables[table]
        vectors = [at for at, kind in enumerate(TABLES[table].values()) if kind is None]
        if rows and any(rows[0][at].shape != row[at].shape for at in vectors):
            self.counts["rows_refused"] += 1
            self._lost(table, 1)
            return
        rows.append(row)
        if step is not None:
            epoch.tables["step"].append((step,))
        self.waiting += 1

    def _lost(self, service: str, count: int) -> None:
        self.counts["notes_lost"] += count
        for epoch in self._epochs.values():
            epoch.tables["lost"].append((service, count))

    # -- files

    def _epoch(self, key: StreamKey) -> _Epoch:
        epoch = self._epochs.get(key)
        if epoch is not None:
            self._epochs.move_to_end(key)
            return epoch
        self._folder.mkdir(parents=True, exist_ok=True)
        header = self._header_of(key)
        path = self._folder / record_name(*key)
        epoch = _Epoch(path, header, {name: number for number, name in enumerate(header.classes)})
        if path.exists():  # this process was started again, or had to close the record meanwhile
            cut_to_whole_chunks(path, MAGIC)
            epoch.tables["lost"].append(("record", 1))
        else:
            append_chunk(path, MAGIC, header.chunk())
        self._epochs[key] = epoch
        if len(self._epochs) > self._capacity:
            _, oldest = self._epochs.popitem(last=False)
            self._write(oldest)
        return epoch

    def _write(self, epoch: _Epoch) -> OSError | None:
        count = sum(map(len, epoch.tables.values()))
        if not count:
            return None
        payload = pack_rows(epoch.tables)
        for rows in epoch.tables.values():
            rows.clear()
        try:
            append_chunk(epoch.path, MAGIC, payload)
        except OSError as error:
            self.counts["rows_unwritten"] += count
            epoch.tables["lost"].append(("record", count))
            return error
        return None
