"""Recent: what a page draws of the newest windows of every stream, put together from notes (layer 0).

One row a window: what the edge said by itself, what the cloud said and how late, what was said at once (live), and what
is said now, after corrections. A row changes as answers come; `changes` gives the rows that changed since it was last
asked, so that what goes over the wire is what is new, however long the timeline.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clownfish.messages import End, Event, Feature, FusedResult, LocalResult, Note, RemoteResult, StreamKey

SOURCES = ("local", "fused", "remote")
"""`FusedResult.source` as a number in a row."""
COLUMNS = (
    "t", "truth", "local", "local_p", "remote", "lag", "live", "live_source", "now", "now_source", "p", "revision",
    "final", "rho", "beta", "sent",
)  # fmt: skip
"""Of a row, in order. Labels are places in `Recent.labels`, shares are rounded to thousandths, unknown is None."""

Row = list[Any]
_AT = {name: at for at, name in enumerate(COLUMNS)}


@dataclass(slots=True)
class _Stream:
    epoch: int
    rows: OrderedDict[int, Row] = field(default_factory=OrderedDict)
    changed: set[int] = field(default_factory=set)
    fresh: bool = True
    """Began anew since it was last asked about: what was drawn of it before is over."""
    ended: str | None = None


class Recent:
    """The newest `capacity` windows of each of `streams` (others are left out); `truth_of` says what a window shows.

    `classes` are the model's, in order. `labels` grows where truth has others.
    """

    def __init__(
        self,
        classes: Sequence[str],
        streams: Sequence[str],
        truth_of: Callable[[str, int], str | None] = lambda stream, t: None,
        capacity: int = 600,
    ) -> None:
        if capacity < 1:
            raise ValueError(f"a timeline needs room, got {capacity=}")
        self.labels = list(classes)
        self.capacity = capacity
        self._told = len(self.labels)
        self._places = {label: place for place, label in enumerate(classes)}
        self._truth_of = truth_of
        self._streams: dict[str, _Stream | None] = dict.fromkeys(streams)

    def follow(self, streams: Sequence[str]) -> None:
        """These streams from now on, in this order; what was drawn of others is forgotten."""
        self._streams = {name: self._streams.get(name) for name in streams}

    def note(self, note: Note) -> None:
        """Take what a process noted."""
        for message in note.messages:
            self._take(message)

    def changes(self) -> dict[str, dict[str, Any]]:
        """Stream → rows that changed since this was last called, oldest first; streams without any are left out."""
        found = {}
        for name, stream in self._streams.items():
            if stream is not None and (stream.changed or stream.fresh):
                rows = [stream.rows[t] for t in sorted(stream.changed) if t in stream.rows]
                found[name] = self._said(stream, rows, stream.fresh)
                stream.changed.clear()
                stream.fresh = False
        return found

    def grown_labels(self) -> list[str] | None:
        """All labels, where there are more than when this was last called; who comes anew changes nothing of that."""
        if len(self.labels) == self._told:
            return None
        self._told = len(self.labels)
        return self.labels

    def whole(self) -> dict[str, dict[str, Any]]:
        """Likewise, all rows of all streams: what one who comes anew has to know."""
        return {
            name: self._said(stream, [stream.rows[t] for t in sorted(stream.rows)], True)
            for name, stream in self._streams.items()
            if stream is not None
        }

    def _said(self, stream: _Stream, rows: list[Row], fresh: bool) -> dict[str, Any]:
        return {"fresh": fresh, "ended": stream.ended, "rows": rows}

    # -- inside

    def _take(self, message: LocalResult | RemoteResult | FusedResult | End | Feature | Event) -> None:
        if message.stream not in self._streams or isinstance(message, Feature):
            return
        stream = self._epoch(StreamKey(message.stream, message.epoch), isinstance(message, LocalResult))
        if stream is None:
            return
        if isinstance(message, End):
            stream.ended = message.reason
            stream.changed |= set(list(stream.rows)[-1:])  # so that it is told
            return
        if isinstance(message, Event) and not message.what.startswith(("sent", "dropped")):
            return
        row = self._row(message.stream, stream, message.t)
        if row is None:
            return
        if isinstance(message, LocalResult):
            self._put(row, local=int(message.p.argmax()), local_p=_share(message.p.max()))
        elif isinstance(message, RemoteResult):
            self._put(row, remote=int(message.p.argmax()))
        elif isinstance(message, FusedResult):
            self._answer(row, message)
        else:
            self._put(row, sent=message.what)
        stream.changed.add(message.t)

    def _answer(self, row: Row, result: FusedResult) -> None:
        known = row[_AT["revision"]]
        if known is not None and result.revision < known:
            return  # older than what is drawn
        label, source = self._place(result.label), SOURCES.index(result.source)
        if result.revision == 0:
            self._put(row, live=label, live_source=source)
        if result.source == "remote" and result.lag is not None:
            self._put(row, lag=result.lag)
        rho = None if result.rho is None else _share(result.rho)
        self._put(row, now=label, now_source=source, p=_share(result.confidence), revision=result.revision)
        self._put(row, final=int(result.final), rho=rho, beta=_share(result.beta))

    def _epoch(self, key: StreamKey, begins: bool) -> _Stream | None:
        """Where that stream is. Another epoch takes its place when its first answer comes; what is late is over."""
        stream = self._streams[key.stream]
        if stream is None or (stream.epoch != key.epoch and begins):
            stream = self._streams[key.stream] = _Stream(key.epoch)
        return stream if stream.epoch == key.epoch else None

    def _row(self, name: str, stream: _Stream, t: int) -> Row | None:
        row = stream.rows.get(t)
        if row is None:
            if stream.rows and t < next(reversed(stream.rows)) - self.capacity:
                return None
            row = stream.rows[t] = [None] * len(COLUMNS)
            truth = self._truth_of(name, t)
            self._put(row, t=t, truth=None if truth is None else self._place(truth))
            while len(stream.rows) > self.capacity:
                gone, _ = stream.rows.popitem(last=False)
                stream.changed.discard(gone)
        return row

    def _put(self, row: Row, **values: Any) -> None:
        for name, value in values.items():
            row[_AT[name]] = value

    def _place(self, label: str) -> int:
        if label not in self._places:
            self._places[label] = len(self.labels)
            self.labels.append(label)
        return self._places[label]


def _share(value: float) -> float:
    return round(float(value), 3)


def as_records(rows: Sequence[Row]) -> list[Mapping[str, Any]]:
    """Rows by the names of their columns, for people and tests."""
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]
