"""From the statuses of a graph to the text that Prometheus reads, version 0.0.4 (layer 0).

Names follow `measures`. A histogram of ours has 2 % buckets; Prometheus gets every 18th bound of it, about √2 apart,
from 0.1 ms to 100 s: each is a bound of ours, so that counts are exact, and only the sum is an estimate (within 1 %).
Samples that cannot be written, because a name or a label is none, are left out and counted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from clownfish.errors import WireError
from clownfish.measures import SEVERAL, Kind, measure_of
from clownfish.messages import Status
from clownfish.metrics import Histogram

_STEP = 18
_BOUNDS = range(_STEP * 33, _STEP * 72, _STEP)
"""Bounds of Prometheus' buckets, as buckets of ours: 1.02 ** b nanoseconds."""
_NAME = re.compile(r"([a-zA-Z_][a-zA-Z0-9_]{0,99})(?:\{(.*)\})?", re.DOTALL)
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]{0,99})="([^"\\\n]*)"(?:,|$)')
_LAG = "lag"

Labels = tuple[tuple[str, str], ...]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass
class _Family:
    kind: Kind
    help: str
    lines: list[str] = field(default_factory=list)


def expose(statuses: Iterable[Status], version: str) -> str:
    """All of what the statuses say. Each process is to be in it once, with its newest."""
    page = _Page()
    page.add("clownfish_build_info", "gauge", "1; the version is a label.", (("version", version),), 1)
    for status in statuses:
        page.status(status)
    page.add("clownfish_unreadable_samples", "gauge", "Samples that are left out: no such names.", (), page.unreadable)
    return page.text()


class _Page:
    def __init__(self) -> None:
        self._families: dict[str, _Family] = {}
        self.unreadable = 0

    def status(self, status: Status) -> None:
        service, _, which = status.service.partition("-")
        own: Labels = ((service, which),) if service in SEVERAL else ()
        if not _NAME.fullmatch(service) or not _LABEL.fullmatch(f'x="{which}"'):
            self.unreadable += 1
            return
        lags: dict[str, int] = {}
        for key, count in status.counters.items():
            base, labels = self._split(key)
            if base == _LAG and service == "fusion":
                lags[dict(labels)["windows"]] = count
            elif base:
                self._sample(service, base, "counter", (*own, *labels), count)
        for key, value in status.gauges.items():
            base, labels = self._split(key)
            if base:
                self._sample(service, base, "gauge", (*own, *labels), value)
        for name, buckets in status.histograms.items():
            self._durations(service, name, own, buckets)
        if lags:
            self._lags(service, lags)

    def _split(self, key: str) -> tuple[str, Labels]:
        """Name and labels; no name where it is none."""
        found = _NAME.fullmatch(key)
        labels: Labels = tuple(_LABEL.findall(found[2] or "")) if found else ()
        if found is None or ",".join(f'{name}="{value}"' for name, value in labels) != (found[2] or ""):
            self.unreadable += 1
            return "", ()
        return found[1], labels

    def _sample(self, service: str, base: str, kind: Kind, labels: Labels, value: float) -> None:
        measure = measure_of(service, base, kind, socket="socket" in dict(labels))
        suffix = "_total" if kind == "counter" else ""
        if not measure.services:  # every service may have it: one family, and a label tells whose
            service, labels = "", (("service", service), *labels)
        name = "_".join(filter(None, ("clownfish", service, measure.metric)))
        self.add(name + suffix, kind, measure.help, labels, value)

    def _durations(self, service: str, name: str, own: Labels, buckets: Mapping[int, int]) -> None:
        measure = measure_of(service, name, "histogram")
        try:
            histogram = Histogram(buckets)
        except WireError:
            self.unreadable += 1
            return
        below = [(f"{Histogram.GROWTH**bound / 1e9:.4g}", histogram.below(bound)) for bound in _BOUNDS]
        total, count = histogram.sum_ns / 1e9, histogram.count
        self._histogram(f"clownfish_{service}_{measure.metric}", measure.help, own, below, total, count)

    def _lags(self, service: str, lags: Mapping[str, int]) -> None:
        """Lags are counted one by one, and those from 16 on together."""
        counts = {int(lag.rstrip("+")): count for lag, count in lags.items() if lag.rstrip("+").isdigit()}
        measure = measure_of(service, _LAG, "histogram")
        below = [(str(bound), sum(n for lag, n in counts.items() if lag <= bound)) for bound in range(16)]
        total = float(sum(lag * count for lag, count in counts.items()))
        name = f"clownfish_{service}_{measure.metric}"
        self._histogram(name, measure.help, (), below, total, sum(counts.values()))

    def _histogram(
        self, name: str, text: str, own: Labels, below: list[tuple[str, int]], total: float, count: int
    ) -> None:
        family = self._families.setdefault(name, _Family("histogram", text))
        for bound, number in [*below, ("+Inf", count)]:
            family.lines.append(f"{name}_bucket{_braces((*own, ('le', bound)))} {number}")
        family.lines.append(f"{name}_sum{_braces(own)} {_number(total)}")
        family.lines.append(f"{name}_count{_braces(own)} {count}")

    def add(self, name: str, kind: Kind, text: str, labels: Labels, value: float) -> None:
        family = self._families.setdefault(name, _Family(kind, text))
        family.lines.append(f"{name}{_braces(labels)} {_number(value)}")

    def text(self) -> str:
        lines = []
        for name, family in self._families.items():
            if family.help:
                lines.append(f"# HELP {name} {family.help}")
            lines += [f"# TYPE {name} {family.kind}", *family.lines]
        return "\n".join(lines) + "\n"


def _braces(labels: Labels) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels) + "}" if labels else ""


def _number(value: float) -> str:
    if math.isnan(value) or math.isinf(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if float(value).is_integer() and abs(value) < 2**53 else repr(float(value))
