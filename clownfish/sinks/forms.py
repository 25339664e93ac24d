"""Answers and events as plain values: one form for files, databases and the network (layer 1)."""

from __future__ import annotations

import datetime
import json
from typing import Any

import numpy as np

from clownfish.errors import SinkError
from clownfish.eventing import SceneEvent
from clownfish.messages import FusedResult
from clownfish.sinks.base import Item

RESULT_COLUMNS = {
    "stream": "text",
    "epoch": "integer",
    "t": "integer",
    "revision": "integer",
    "label": "text",
    "confidence": "real",
    "source": "text",
    "final": "boolean",
    "lag": "integer",
    "rho": "real",
    "alpha": "real",
    "beta": "real",
    "p": "reals",
}
EVENT_COLUMNS = {
    "id": "text",
    "stream": "text",
    "epoch": "integer",
    "revision": "integer",
    "label": "text",
    "state": "text",
    "final": "boolean",
    "start_frame": "integer",
    "end_frame": "integer",
    "start_s": "real",
    "end_s": "real",
    "confidence": "real",
    "source": "text",
}
"""The keys of a record, in order, each with what its value is; any may be None where it is unknown."""


def record_of(item: Item) -> dict[str, Any]:
    """`item` as JSON's values, by the names above. Numbers are rounded to 6 places."""
    if isinstance(item, SceneEvent):
        return {name: _rounded(getattr(item, name)) for name in EVENT_COLUMNS}
    record = {name: _rounded(getattr(item, name)) for name in RESULT_COLUMNS if name != "p"}
    record["p"] = np.asarray(item.p, np.float64).round(6).tolist()
    return record


def line_of(item: Item, **more: Any) -> bytes:
    """One line of JSON, UTF-8, without its newline. Raises SinkError where a number is not finite (JSON has none such).

    `more`: keys beside those of the record.
    """
    try:
        text = json.dumps({**record_of(item), **more}, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError as error:
        raise SinkError(f"{key_of(item)} has a number that JSON cannot hold: {error}") from error
    return text.encode()


def key_of(item: FusedResult | SceneEvent) -> str:
    """What is the same in all revisions of an answer or event: STREAM/EPOCH/T."""
    return item.id if isinstance(item, SceneEvent) else f"{item.stream}/{item.epoch}/{item.t}"


def utc_now() -> str:
    """The time of day, UTC, to the millisecond: 2026-01-31T12:00:00.000Z."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _rounded(value: Any) -> Any:
    return round(float(value), 6) if isinstance(value, (float, np.floating)) else value
