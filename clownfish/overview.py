"""Overview: how a graph fares, in the few figures that a person asks for first (layer 0).

From two statuses of each process, some seconds apart: what grew between them gives rates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from clownfish.health import Verdict, verdict_of
from clownfish.messages import Status
from clownfish.metrics import Histogram

Heard = tuple[float, Status]
"""When, in seconds of any clock, and what."""


@dataclass(frozen=True)
class ProcessLine:
    """One process."""

    process: str
    pid: int | None
    state: str
    done: int
    """The counter that says best what it has done."""
    dropped: int
    restarts: int
    text: str


@dataclass(frozen=True)
class StreamLine:
    """One stream of an edge."""

    stream: str
    fps: float
    answers_per_s: float
    answers: int
    beta: float | None
    last_lag: int | None
    """Windows, of the newest answer of the cloud that was applied."""
    agreement: float | None
    """Share of the cloud's answers that the small model had agreed with."""
    corrected: int
    """Windows whose label a late answer changed."""
    stalled: bool


@dataclass(frozen=True)
class CloudLine:
    """An edge's uplink."""

    state: str
    windows_sent: int
    windows_answered: int
    dropped: Mapping[str, int]
    """By reason; nothing that is 0."""
    waiting: int
    oldest_waiting_s: float
    in_flight: int
    bytes_sent: int
    bytes_per_s: float
    round_trip_ms: tuple[float, float] | None
    """p50 and p99."""
    corrections_per_mb: float | None
    """What a megabyte sent has bought: windows whose label it changed."""


@dataclass(frozen=True)
class Overview:
    """All of it."""

    live: bool
    ready: bool
    reasons: Mapping[str, str]
    processes: tuple[ProcessLine, ...]
    streams: tuple[StreamLine, ...] = ()
    cloud: CloudLine | None = None
    capture_to_answer_ms: tuple[float, float] | None = None
    """p50 and p99."""
    lags: Mapping[str, int] = field(default_factory=dict)


DONE = {
    "capture": 'sent{socket="window"}',
    "window": "windows",
    "local": "windows_inferred",
    "filter": 'sent{socket="uplink"}',
    "uplink": "windows_answered",
    "fusion": "windows_answered",
    "sink": "written",
    "record": "notes",
    "router": "answered",
    "worker": "jobs_done",
    "metrics": "scrapes",
    "trace": "spans",
}
"""The counter that says best what a service has done."""

_LOST = ("dropped{", "malformed{", "frames_dropped{")


def drops(counters: Mapping[str, int]) -> int:
    """Messages and windows that a service has dropped, for whatever reason."""
    return sum(count for name, count in counters.items() if name.startswith(_LOST))


def done(service: str, status: Status) -> int:
    """What the service has done, as its own best counter says."""
    return status.counters.get(DONE.get(service, ""), 0)


def labelled(values: Mapping[str, int], name: str, label: str) -> dict[str, int]:
    """{label's value: count} of the counters `name{label="value"}` that are not zero."""
    pattern = re.compile(rf'{name}{{(?:.*,)?{label}="([^"]*)"(?:,.*)?}}')
    found: dict[str, int] = {}
    for key, count in values.items():
        if count and (match := pattern.fullmatch(key)):
            found[match[1]] = found.get(match[1], 0) + count
    return found


def overview(before: Mapping[str, Heard], after: Mapping[str, Heard], supervisor: Heard | None, now: float) -> Overview:
    """`before`, `after`: the first and newest of each process; `supervisor`: its own newest, None: never heard."""
    verdict = verdict_of(*((supervisor[1], now - supervisor[0]) if supervisor is not None else (None, 0.0)))
    said = supervisor[1] if supervisor is not None else None
    growth = _Growth(before, after)
    fusion = after["fusion"][1] if "fusion" in after else None
    return Overview(
        verdict.live,
        verdict.ready,
        dict(verdict.unready),
        _processes(after, said, verdict),
        _streams(after, growth) if fusion is not None else (),
        _cloud(after["uplink"][1], fusion, growth) if "uplink" in after else None,
        _percentiles(fusion, "capture_to_fused") if fusion is not None else None,
        labelled(fusion.counters, "lag", "windows") if fusion is not None else {},
    )


class _Growth:
    def __init__(self, before: Mapping[str, Heard], after: Mapping[str, Heard]) -> None:
        self._before, self._after = before, after

    def per_s(self, process: str, name: str) -> float:
        """How fast a counter grew; 0 where only one status is known."""
        (then, old), (now, new) = self._before[process], self._after[process]
        return (new.counters.get(name, 0) - old.counters.get(name, 0)) / (now - then) if now > then else 0.0


def _processes(after: Mapping[str, Heard], supervisor: Status | None, verdict: Verdict) -> tuple[ProcessLine, ...]:
    restarts = labelled(supervisor.counters, "restarts", "process") if supervisor is not None else {}
    names = [*(_named(supervisor.gauges, "ready", "process") if supervisor is not None else ())]
    lines = []
    for name in [*names, *(each for each in after if each not in names)]:
        status = after[name][1] if name in after else None
        state = "hung" if name in verdict.hung else status.state if status is not None else "starting"
        lines.append(
            ProcessLine(
                name,
                status.pid if status is not None else None,
                state,
                done(name.partition("-")[0], status) if status is not None else 0,
                drops(status.counters) if status is not None else 0,
                restarts.get(name, 0),
                verdict.hung.get(name, "") or (status.text if status is not None else ""),
            )
        )
    return tuple(lines)


def _streams(after: Mapping[str, Heard], growth: _Growth) -> tuple[StreamLine, ...]:
    counters, gauges = after["fusion"][1].counters, after["fusion"][1].gauges
    captured = after["capture"][1] if "capture" in after else None
    names = dict.fromkeys([
        *(_named(captured.counters, "frames", "stream") if captured is not None else ()),
        *_named(counters, "stream_answers", "stream"),
    ])  # fmt: skip
    lines = []
    for name in names:
        agrees, differs = (
            counters.get(f'remote_answers{{stream="{name}",local="{how}"}}', 0) for how in ("agrees", "differs")
        )
        answers, lag = f'stream_answers{{stream="{name}"}}', gauges.get(f'last_lag{{stream="{name}"}}')
        lines.append(
            StreamLine(
                name,
                growth.per_s("capture", f'frames{{stream="{name}"}}') if captured is not None else 0.0,
                growth.per_s("fusion", answers),
                counters.get(answers, 0),
                gauges.get(f'beta{{stream="{name}"}}'),
                None if lag is None else int(lag),
                agrees / (agrees + differs) if agrees + differs else None,
                counters.get(f'labels_corrected{{stream="{name}"}}', 0),
                captured is not None and captured.gauges.get(f'stalled{{stream="{name}"}}', 0.0) > 0,
            )
        )
    return tuple(lines)


def _cloud(uplink: Status, fusion: Status | None, growth: _Growth) -> CloudLine:
    sent = uplink.counters.get("bytes_sent", 0)
    corrected = sum(labelled(fusion.counters, "labels_corrected", "stream").values()) if fusion is not None else 0
    return CloudLine(
        uplink.text,
        uplink.counters.get("windows_sent", 0),
        uplink.counters.get("windows_answered", 0),
        labelled(uplink.counters, "dropped", "reason"),
        int(uplink.gauges.get("waiting", 0)),
        uplink.gauges.get("oldest_waiting_seconds", 0.0),
        int(uplink.gauges.get("in_flight", 0)),
        sent,
        growth.per_s("uplink", "bytes_sent"),
        _percentiles(uplink, "round_trip"),
        corrected / (sent / 1e6) if sent else None,
    )


def _percentiles(status: Status, name: str) -> tuple[float, float] | None:
    histogram = Histogram(status.histograms.get(name))
    p50, p99 = histogram.percentile(50), histogram.percentile(99)
    return None if p50 is None or p99 is None else (p50 / 1e6, p99 / 1e6)


def _named(values: Mapping[str, float], name: str, label: str) -> list[str]:
    """Values of the label of all measures `name{label="value"}`, in their order."""
    prefix = f'{name}{{{label}="'
    return [key[len(prefix) : -2] for key in values if key.startswith(prefix) and key.endswith('"}')]
