"""`clownfish lab check`: is a network what its profile says? Asked against got, measured from both ends.

Round trips and loss are measured with ICMP echoes on an idle link, each against what the profile says of its moment,
rates with streams each way. A profile that changes is looked at around a change, so that the change is measured too.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np

from clownfish.lab.net.echo import Echoes, Floats, echo, open_echo
from clownfish.lab.net.network import Network
from clownfish.lab.net.plan import Backend
from clownfish.lab.net.profile import Profile
from clownfish.lab.net.shape import Timeline
from clownfish.lab.net.stream import Arrivals, Goodput, datagram_stream, goodput, zeromq_stream

Way = Literal["up", "down"]

RTT_OVER_MS = 2.0
"""A median round trip may take so much longer than asked, and no less."""
GOODPUT_LOW, GOODPUT_HIGH = 0.90, 0.97
"""Share of the rate that is payload: the rest is headers."""
OFFERED_MBIT = 30.0
"""On a link without a cap; at least `OFFERED_SHARE` of it must arrive."""
OFFERED_SHARE = 0.95
_Z = 3.29
"""Of intervals that hold 99.9 %: nine profiles are checked, and a right one should pass."""
_BEFORE_CHANGE_S = 1.7
_ROUND_TRIPS = 10


@dataclass(frozen=True)
class Effort:
    """How long to measure. With the defaults nine profiles, three at a time, take half a minute."""

    echo_s: float = 2.5
    warm_s: float = 0.8
    """Of a stream, that is not measured; with some round trips more."""
    stream_s: float = 2.0
    """After that; once each way."""

    def echoes(self, lossy: bool) -> int:
        return round(self.echo_s * (400 if lossy else 140))


@dataclass(frozen=True)
class Finding:
    """One quantity."""

    asked: str
    got: str
    well: bool


@dataclass(frozen=True)
class Checked:
    """What came of one profile. `error` says why it could not be measured."""

    profile: str
    backend: str
    findings: dict[str, Finding]
    error: str = ""

    @property
    def well(self) -> bool:
        return not self.error and all(finding.well for finding in self.findings.values())


def check(
    profiles: Iterable[Profile],
    backend: Backend | None,
    at_once: int,
    done: Callable[[Checked], None],
    effort: Effort | None = None,
) -> list[Checked]:
    """Measure all, so many at a time; `done` is told of each as it is measured. Raises ClownfishError."""
    with ThreadPoolExecutor(at_once) as threads:
        running = [threads.submit(_check_one, profile, backend, done, effort or Effort()) for profile in profiles]
        return [each.result() for each in running]


def _check_one(profile: Profile, backend: Backend | None, done: Callable[[Checked], None], effort: Effort) -> Checked:
    timeline = profile.timeline
    begin_s = interesting(timeline)
    lossy = any(phase.round_trip_loss for phase in timeline.phases)
    # of an outage the echoes tell, and then what waits in the queue would be counted to it
    rate_begin_s = 0.0 if lossy else begin_s
    findings = {}
    with Network(profile, backend) as network:
        count = effort.echoes(lossy)
        socket = network.edge.call(open_echo)
        start = network.seek(begin_s)
        with socket:
            echoes = echo(socket, network.cloud_address, count, effort.echo_s / count, _patience_s(timeline))
        findings["rtt"], findings["loss"] = judge_echoes(timeline, echoes, start)
        for way in ("up", "down"):
            findings[way] = _check_rate(network, way, rate_begin_s, lossy, effort)
    checked = Checked(profile.name, network.plan.backend, findings)
    done(checked)
    return checked


def interesting(timeline: Timeline) -> float:
    """When to begin, so that a change is seen: between two phases with a cap where there are such, else at any."""
    if timeline.steady or timeline.by == "video":
        return 0.0
    changes = timeline.starts()[1:]
    pairs = zip(timeline.phases, timeline.phases[1:], strict=False)
    capped = [
        at_s
        for at_s, (before, after) in zip(changes, pairs, strict=True)
        if before.up.rate_mbit is not None and after.up.rate_mbit is not None
    ]
    return max(0.0, (capped or changes)[0] - _BEFORE_CHANGE_S)


def _patience_s(timeline: Timeline) -> float:
    return max(phase.rtt_ms + phase.up.jitter_ms + phase.down.jitter_ms for phase in timeline.phases) / 1000 + 0.3


# -- round trips and loss


def judge_echoes(timeline: Timeline, echoes: Echoes, start: float) -> tuple[Finding, Finding]:
    """(round trip, loss). `start`: time.monotonic() at the timeline's 0.

    Requests that a change may have met on their way are left out: it is not known what they saw.
    """
    times = (echoes.sent_s - start).tolist()
    phases = [timeline.at(t_s) for t_s in times]
    sure = np.array([timeline.at(t_s + p.rtt_ms / 1000 + 0.03) is p for t_s, p in zip(times, phases, strict=True)])
    asked_ms = np.array([phase.rtt_ms for phase in phases])
    over = (echoes.rtt_ms - asked_ms)[sure & ~np.isnan(echoes.rtt_ms)]
    asked_loss = np.array([phase.round_trip_loss for phase in phases])[sure]
    lost = int(np.isnan(echoes.rtt_ms[sure]).sum())
    alive = asked_ms[sure][asked_loss < 1]
    jitter_ms = max(math.hypot(phase.up.jitter_ms, phase.down.jitter_ms) for phase in phases)
    return _judge_rtt(alive, over, jitter_ms), _judge_loss(asked_loss, lost)


def _judge_rtt(alive: Floats, over: Floats, jitter_ms: float) -> Finding:
    if not len(alive):
        return Finding("none", "none" if not len(over) else f"{len(over)} answers", not len(over))
    low, high = float(alive.min()), float(alive.max())
    asked = f"{low:g}" if low == high else f"{low:g}–{high:g}"
    if not len(over):
        return Finding(asked, "none", False)
    median, p95 = (float(value) for value in np.percentile(over, (50, 95)))
    # the median of jitter's draws has a spread of its own; evenly drawn from ± j they have a deviation of j ÷ √3
    spread = _Z * 1.25 * jitter_ms / math.sqrt(3 * len(over))
    well = -spread <= median <= RTT_OVER_MS + spread
    return Finding(asked, f"{median:+.2f} (p95 {p95:+.1f})", well)


def _judge_loss(asked: Floats, lost: int) -> Finding:
    expected, variance = float(asked.sum()), float((asked * (1 - asked)).sum())
    reach = _Z * math.sqrt(variance) + (0.5 if variance else 0.0)
    return Finding(
        f"{expected / len(asked):.2%}", f"{lost / len(asked):.2%} of {len(asked)}", abs(lost - expected) <= reach
    )


# -- rates


def _check_rate(network: Network, way: Way, begin_s: float, lossy: bool, effort: Effort) -> Finding:
    timeline = network.profile.timeline
    ends = (network.edge, network.cloud, network.cloud_address)
    if way == "down":
        ends = (network.cloud, network.edge, network.edge_address)
    # TCP finds its speed in round trips: until then the beginning of a stream is TCP's and not the link's.
    warm_s = effort.warm_s + _ROUND_TRIPS * timeline.at(begin_s).rtt_ms / 1000
    seconds = warm_s + effort.stream_s
    phases = {timeline.index(begin_s + i * seconds / 100): None for i in range(100)}
    most = max(getattr(timeline.phases[i], way).rate_mbit or OFFERED_MBIT for i in phases)
    start = network.seek(begin_s)
    begin = time.monotonic()
    # Of a ZeroMQ stream as much payload as the rate has room for packets: the link is never idle, and its queue is not
    # flooded at once, which would have TCP repair its losses for seconds.
    arrivals = datagram_stream(*ends, seconds, 1.5 * most) if lossy else zeromq_stream(*ends, seconds, most)
    return judge_rate(timeline, way, arrivals, (begin + warm_s, begin + seconds), start, "udp" if lossy else "zmq")


def judge_rate(
    timeline: Timeline, way: Way, arrivals: Arrivals, between: tuple[float, float], start: float, how: str
) -> Finding:
    """The goodput in that time against the rate, where there is one, else against what was offered."""
    got: Goodput = goodput(arrivals, *between)
    mbit = timeline.megabits(way, got.begin_s - start, got.end_s - start)
    if mbit is None:
        return Finding("no cap", f"{got.mbit:.1f} of {OFFERED_MBIT:g} {how}", got.mbit >= OFFERED_SHARE * OFFERED_MBIT)
    asked = mbit / (got.end_s - got.begin_s)
    if not asked:
        return Finding("none", f"{got.mbit:.2f}" if arrivals else "none", not arrivals)
    share = got.mbit / asked
    return Finding(f"{asked:.2f}", f"{got.mbit:.2f} ({share:.1%}) {how}", GOODPUT_LOW <= share <= GOODPUT_HIGH)
