"""Spans: from what services say happened to a window to the spans of its trace, across edge and cloud (layer 0).

A trace is one window. Its id, and that of each of its spans, follow from (stream, epoch, t) and the span's name, so
that edge and cloud write into one trace, and agree which windows are traced at all, without a byte more on the wire.

    window ─┬─ local                              capture … answered;  the small model
            ├─ filter                             formed … chosen or released
            ├─ uplink                             chosen … sent: encoding and the wait for credit
            ├─ cloud ── router ── worker          sent … answered: what is neither router's nor worker's is the WAN's
            └─ reinforce                          the cloud's answer is applied; `lag` windows late

A span is written when its end is heard. Times are seconds of the box's own monotonic clock; across boxes they are as
good as the boxes' clocks agree.
"""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from clownfish.messages import Event, WindowKey

PARENTS: Mapping[str, str | None] = {
    "window": None,
    "local": "window",
    "filter": "window",
    "uplink": "window",
    "cloud": "window",
    "reinforce": "window",
    "router": "cloud",
    "worker": "router",
}
"""Every span, and which it is part of."""

_BEGINS: Mapping[tuple[str, str], str] = {
    ("filter", "formed"): "filter",
    ("uplink", "offered"): "uplink",
    ("uplink", "sent"): "cloud",
    ("router", "submitted"): "router",
    ("router", "assigned"): "worker",
}
_ENDS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("filter", "sent"): ("filter",),
    ("filter", "released"): ("filter",),
    ("uplink", "sent"): ("uplink",),
    ("uplink", "answered"): ("cloud",),
    ("uplink", "dropped"): ("uplink", "cloud"),
    ("router", "done"): ("worker",),
    ("router", "answered"): ("router",),
    ("router", "dropped"): ("worker", "router"),
}
"""What ends which spans; of several, those that have begun."""
_VALUES = {("uplink", "sent"): "bytes", ("router", "done"): "model_ms", ("fusion", "applied"): "lag"}
"""What the number of an event is."""
_OPEN = 4096


@dataclass(frozen=True)
class Span:
    """One span, over."""

    key: WindowKey
    name: str
    service: str
    begin_s: float
    end_s: float
    failed: bool
    attributes: Mapping[str, str | float] = field(default_factory=dict)

    @property
    def trace_id(self) -> bytes:
        return trace_id(self.key)

    @property
    def span_id(self) -> bytes:
        return span_id(self.key, self.name)

    @property
    def parent_id(self) -> bytes | None:
        parent = PARENTS[self.name]
        return None if parent is None else span_id(self.key, parent)


def trace_id(key: WindowKey) -> bytes:
    """16 bytes."""
    return hashlib.sha256(f"{key.stream}\0{key.epoch}\0{key.t}".encode()).digest()[:16]


def span_id(key: WindowKey, name: str) -> bytes:
    """8 bytes."""
    return hashlib.sha256(trace_id(key) + name.encode()).digest()[:8]


def sampled(key: WindowKey, ratio: float) -> bool:
    """Whether a window is traced, where this share of them is: alike on every box."""
    return int.from_bytes(trace_id(key)[8:], "big") < ratio * 2.0**64


class Spans:
    """Waits for the end of what has begun, for `capacity` spans at most."""

    def __init__(self, capacity: int = _OPEN) -> None:
        self._capacity = capacity
        self._open: OrderedDict[tuple[WindowKey, str], float] = OrderedDict()
        self.lost: Counter[str] = Counter()
        """Spans whose end never came (`open`), or whose begin did not (`begin`)."""

    def take(self, service: str, event: Event) -> list[Span]:
        """The spans that end with this event."""
        key = WindowKey(event.stream, event.epoch, event.t)
        word, _, rest = event.what.partition(" ")
        spans = self._whole(key, service, word, event) + self._ended(key, service, word, rest, event)
        begins = _BEGINS.get((service, word))
        if begins is not None:
            self._open[key, begins] = event.at_s
            self._open.move_to_end((key, begins))
            if len(self._open) > self._capacity:
                self._open.popitem(last=False)
                self.lost["open"] += 1
        return spans

    def _whole(self, key: WindowKey, service: str, word: str, event: Event) -> list[Span]:
        """Spans of which one event says both ends."""
        value, end_s = event.value, event.at_s
        if (service, word) == ("local", "inferred") and value is not None:
            return [Span(key, "local", service, end_s - value, end_s, False)]
        if (service, word) == ("fusion", "fused") and value is not None:
            return [Span(key, "window", service, min(value, end_s), end_s, False)]
        if (service, word) == ("fusion", "applied"):
            return [Span(key, "reinforce", service, end_s, end_s, False, _attributes(service, word, "", event))]
        return []

    def _ended(self, key: WindowKey, service: str, word: str, rest: str, event: Event) -> list[Span]:
        names = _ENDS.get((service, word), ())
        spans = []
        for name in names:
            begin_s = self._open.pop((key, name), None)
            if begin_s is not None:
                attributes = _attributes(service, word, rest, event)
                spans.append(Span(key, name, service, begin_s, event.at_s, word == "dropped", attributes))
        if names and not spans:
            self.lost["begin"] += 1
        return spans


def _attributes(service: str, word: str, rest: str, event: Event) -> dict[str, str | float]:
    attributes: dict[str, str | float] = {"end": word}
    if rest:
        attributes["why"] = rest
    name = _VALUES.get((service, word))
    if name is not None and event.value is not None:
        attributes[name] = event.value
    return attributes
