"""The sink `console`: what a person wants to see of many streams (layer 1).

One line when a stream's answer changes, not one per window; and one line when an answer already given is corrected
(REINFORCE, §IV-D), for a run of windows together. Of events, one line for each revision.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TextIO

from clownfish.errors import SinkError
from clownfish.eventing import SceneEvent
from clownfish.messages import End, FusedResult
from clownfish.sinks.base import Item

_ORIGIN = {"local": "edge", "fused": "edge + cloud", "remote": "cloud"}
_REMEMBERED_WINDOWS = 1024
"""Per stream; a correction of a window further back is not shown."""


@dataclass(slots=True)
class _Said:
    """What was said of one stream in one epoch."""

    epoch: int
    labels: OrderedDict[int, str] = field(default_factory=OrderedDict)
    """By window, in the order of their first answer."""
    corrected: tuple[int, str, str] | None = None
    """The newest window, old and new label of the last correction: the next window's may belong to it."""


class Console:
    """Writes lines for people to a text stream, flushed one by one."""

    def __init__(self, out: TextIO | None = None) -> None:
        """`out`: standard output where not given. It is not closed by this sink."""
        self._out = sys.stdout if out is None else out
        self._streams: dict[str, _Said] = {}

    def write(self, item: Item) -> None:
        """Says what `item` changes, if anything. Raises SinkError where the output takes no more."""
        if isinstance(item, SceneEvent):
            self._print(_line(item))
        else:
            self._write_result(item)

    def _write_result(self, result: FusedResult) -> None:
        said = self._streams.get(result.stream)
        if said is None or said.epoch != result.epoch:
            said = self._streams[result.stream] = _Said(result.epoch)
        before = said.labels.get(result.t)
        newest = next(reversed(said.labels), -1)
        if before is None and result.t <= newest:
            return
        if before is None:
            changed = newest < 0 or said.labels[newest] != result.label
            said.labels[result.t] = result.label
            if len(said.labels) > _REMEMBERED_WINDOWS:
                said.labels.popitem(last=False)
            if changed:
                self._say(result, result.label)
        elif before != result.label:
            said.labels[result.t] = result.label
            run_on = said.corrected == (result.t - 1, before, result.label)
            said.corrected = (result.t, before, result.label)
            if not run_on:
                self._say(result, f"{result.label}  (corrected, was {before})")

    def end(self, end: End) -> None:
        """Says that the stream ended, and forgets it. Raises SinkError where the output takes no more."""
        self._streams.pop(end.stream, None)
        self._print(f"{end.stream}  ended after {end.frames} frames: {end.reason}")

    def close(self) -> None:
        try:
            self._out.flush()
        except (OSError, ValueError):
            return  # nobody reads on: there is nobody to tell either

    def _say(self, result: FusedResult, text: str) -> None:
        lag = "" if result.lag is None else f", lag {result.lag}"
        origin = f"{_ORIGIN[result.source]}{lag}"
        self._print(f"{result.stream}  window {result.t:>6}  {result.confidence:4.0%}  {text}  [{origin}]")

    def _print(self, line: str) -> None:
        try:
            self._out.write(line + "\n")
            self._out.flush()
        except (OSError, ValueError) as error:
            raise SinkError(f"cannot write to the console: {error}") from error


def _line(event: SceneEvent) -> str:
    end = "…" if event.end_s is None else f"{event.end_s:.1f} s"
    words = [word for word, holds in (("withdrawn", event.state == "withdrawn"), ("final", event.final)) if holds]
    marks = f"  ({', '.join(words)})" if words else ""
    when = f"{event.start_s:.1f} s to {end}"
    return f"{event.stream}  {when}  {event.confidence:4.0%}  {event.label}{marks}  [{event.source}]"
