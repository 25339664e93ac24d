"""Records of live runs: everything that fusion saw and said of one stream and epoch, as columns (layer 1).

One file per stream and epoch, `STREAM-EPOCH.record`, of chunks (`chunks`): the first holds the header (JSON), each
other one the columns of what came since, as an .npz file with arrays called `table.column`. A killed run leaves all
chunks that were whole. The tables, one row for each:

- `step`, `kind`: the order in which fusion took and gave: BEGIN (a fusion process opened the epoch), LOCAL, REMOTE,
  ANSWER, END; each but BEGIN stands for the next row of the table of its name;
- `local`: t, p as it came (float32), rho (NaN where undefined), capture_ns, model_ns;
- `remote`: t, p as it came: every remote result in the order in which it was applied, repeated and late ones included;
- `answer`: t, revision, p (float64), alpha, beta, lag (−1: none), rho, source (a place in SOURCES), final, class;
- `end`: frames, reason;
- `feature`: t, feature (float32), from `local`;
- `filter`: t, what, at_s, value: the gate was told of a `pace …` (`messages.Pace.words`), of `window` t, of its `rho`
  (value; NaN: undefined), of the time (`timer`) or the `end`; it said `sent WHY` or `released WHY`; RESTARTED: a new
  process, which knows nothing, goes on;
- `uplink`: t, what, at_s, value: `offered`, `sent` (value: encoded bytes), `answered`, `ignored WHY`, `dropped WHY`;
- `lost`: service, count: notes of that service that are missing here. A record with such a row is not whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from clownfish.chunks import Columns, pack_columns, read_chunks, unpack_columns
from clownfish.errors import DatasetError
from clownfish.messages import FusedResult, Source

FORMAT = "clownfish-record/1"
MAGIC = b"clownfish record 1\n"
SUFFIX = ".record"
SOURCES: tuple[Source, ...] = ("local", "fused", "remote")
"""What a number in a column `source` stands for: its place here."""
NO_LAG = -1
NAN = float("nan")
RESTARTED = "restarted"

BEGIN, LOCAL, REMOTE, ANSWER, END = range(5)
STEPS = {LOCAL: "local", REMOTE: "remote", ANSWER: "answer", END: "end"}

_INT, _REAL, _TEXT = np.dtype(np.int64), np.dtype(np.float64), np.dtype(np.str_)
_AS_IT_CAME = None

_EVENTS = {"t": _INT, "what": _TEXT, "at_s": _REAL, "value": _REAL}
TABLES: Mapping[str, Mapping[str, np.dtype[Any] | None]] = {
    "step": {"kind": np.dtype(np.int8)},
    "local": {"t": _INT, "p": _AS_IT_CAME, "rho": _REAL, "capture_ns": _INT, "model_ns": _INT},
    "remote": {"t": _INT, "p": _AS_IT_CAME},
    "answer": {
        **{"t": _INT, "revision": _INT, "p": _REAL, "alpha": _REAL, "beta": _REAL, "lag": _INT, "rho": _REAL},
        **{"source": np.dtype(np.int8), "final": np.dtype(np.bool_), "class": _INT},
    },
    "end": {"frames": _INT, "reason": _TEXT},
    "feature": {"t": _INT, "feature": _AS_IT_CAME},
    "filter": _EVENTS,
    "uplink": _EVENTS,
    "lost": {"service": _TEXT, "count": _INT},
}
"""Table → its columns → their type; None: vectors of the type that they came in."""

Row: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class RecordHeader:
    """Where a record comes from."""

    stream: str
    epoch: int
    classes: tuple[str, ...]
    size: int
    stride: int
    settings: Mapping[str, Any]
    """The run's own: `stream`, and the sections `capture`, `local`, `filter`, `uplink` (or null), `fusion`."""
    format: str = FORMAT

    def chunk(self) -> bytes:
        return json.dumps(asdict(self), sort_keys=True).encode()


@dataclass(frozen=True)
class Record:
    """A record as far as it is whole."""

    path: Path
    header: RecordHeader
    cut_bytes: int
    """What follows the last whole chunk, and was not read."""
    _columns: Mapping[str, npt.NDArray[Any]] = field(repr=False)

    def column(self, table: str, name: str) -> npt.NDArray[Any]:
        return self._columns[f"{table}.{name}"]

    def rows(self, table: str) -> int:
        return len(self.column(table, next(iter(TABLES[table]))))

    @property
    def lost(self) -> dict[str, int]:
        """Notes that are missing, by service; empty in a whole record."""
        lost: dict[str, int] = {}
        for service, count in zip(self.column("lost", "service"), self.column("lost", "count"), strict=True):
            lost[str(service)] = lost.get(str(service), 0) + int(count)
        return lost


def or_nan(value: float | None) -> float:
    return NAN if value is None else value


def answer_row(result: FusedResult, classes: Mapping[str, int]) -> Row:
    """A row of the table `answer`; `classes`: label → number."""
    return (
        result.t,
        result.revision,
        result.p,
        result.alpha,
        result.beta,
        NO_LAG if result.lag is None else result.lag,
        or_nan(result.rho),
        SOURCES.index(result.source),
        result.final,
        classes.get(result.label, -1),
    )


def record_name(stream: str, epoch: int) -> str:
    return f"{stream}-{epoch}{SUFFIX}"


def pack_rows(tables: Mapping[str, list[Row]]) -> bytes:
    """A chunk of these rows, table by table; empty tables are left out. Raises ValueError for vectors of two sizes."""
    columns: dict[str, npt.NDArray[Any]] = {}
    for table, rows in tables.items():
        if rows:
            for (name, kind), values in zip(TABLES[table].items(), zip(*rows, strict=True), strict=True):
                columns[f"{table}.{name}"] = np.stack(values) if kind is None else np.array(values, kind)
    return pack_columns(columns)


def read_record(path: Path) -> Record:
    """Read what is whole. Raises DatasetError where that is nothing, or the file is no record."""
    try:
        chunks, cut_bytes = read_chunks(path, MAGIC)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise DatasetError(
            f"{path}: is no record of a live run: {error}; record one with `clownfish run SOURCE --record FOLDER`"
        ) from error
    if not chunks:
        raise DatasetError(f"{path}: is empty ({cut_bytes} bytes, no whole chunk): its run ended before it began")
    try:
        header = _header(json.loads(chunks[0]))
        parts = [unpack_columns(chunk) for chunk in chunks[1:]]
        columns = _joined(parts, len(header.classes))
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path}: is no record that this release can read: {error}") from error
    return _checked(Record(path, header, cut_bytes, columns))


def _header(tree: Any) -> RecordHeader:
    if tree["format"] != FORMAT:
        raise ValueError(f"format is {tree['format']!r}, expected {FORMAT!r}")
    known = {each.name for each in fields(RecordHeader)}
    if set(tree) != known:
        raise ValueError(f"header holds {', '.join(sorted(tree))}; expected {', '.join(sorted(known))}")
    return RecordHeader(**{**tree, "classes": tuple(tree["classes"])})


def _joined(parts: Sequence[Columns], classes: int) -> dict[str, npt.NDArray[Any]]:
    """Each column over all chunks; one that no chunk has is empty."""
    columns: dict[str, npt.NDArray[Any]] = {}
    for table, names in TABLES.items():
        for name, kind in names.items():
            key = f"{table}.{name}"
            found = [part[key] for part in parts if key in part]
            empty: npt.NDArray[Any] = np.zeros((0, classes), np.float32) if kind is None else np.zeros(0, kind)
            columns[key] = np.concatenate(found) if found else empty
            if name == "p" and found and columns[key].shape[1:] != (classes,):
                raise ValueError(f"{key} has shape {columns[key].shape}; the header names {classes} classes")
    return columns


def _checked(record: Record) -> Record:
    """Raises DatasetError where tables do not belong together."""
    for table, names in TABLES.items():
        lengths = {name: len(record.column(table, name)) for name in names}
        if len(set(lengths.values())) > 1:
            raise DatasetError(f"{record.path}: columns of table {table} have lengths {lengths}; expected the same")
    kinds = record.column("step", "kind")
    for kind, table in STEPS.items():
        steps = int((kinds == kind).sum())
        if steps != record.rows(table):
            raise DatasetError(
                f"{record.path}: {record.rows(table)} rows of {table} for {steps} steps; expected as many"
            )
    return record
