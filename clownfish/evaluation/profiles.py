"""A network profile of the lab as a trace for replay: (t_s, rtt_ms, rate_mbit) of each change, an hour long.

A trace has no packets, so what a profile does to single ones is taken into the rate that one TCP connection gets:

- loss: at most MSS ÷ round trip · √(3 ÷ 2p) bytes/s (Mathis, Semke, Mahdavi, Ott, CCR 1997), p the uplink's loss;
  all of it lost: 0, an outage. Loss on the way back is left out: acknowledgements are cumulative.
- jitter and packets out of order: left out; a round trip is the profile's mean.
- no rate: UNLIMITED_MBIT.
"""

from __future__ import annotations

import math

from clownfish.errors import ConfigError
from clownfish.lab.net.profile import read_profile
from clownfish.lab.net.shape import Phase

UNLIMITED_MBIT = 1000.0
LENGTH_S = 3600.0
_MSS_BYTES = 1448


def rows_of_profile(name: str) -> tuple[tuple[float, float, float], ...]:
    """Of the profile called so, or in that .toml file. Raises ConfigError; also for one that goes by videos."""
    timeline = read_profile(name).timeline
    if timeline.by != "time":
        raise ConfigError(f"profile {name}: goes on with each video; a trace goes by time")
    rows: list[tuple[float, float, float]] = []
    at_s: float | None = 0.0
    while at_s is not None and at_s < LENGTH_S:
        phase = timeline.at(at_s)
        rows.append((at_s, phase.rtt_ms, rate_mbit(phase)))
        at_s = timeline.next_change(at_s)
    return tuple(rows)


def rate_mbit(phase: Phase) -> float:
    """What one connection sends up, in Mbit/s."""
    if phase.round_trip_loss >= 1:
        return 0.0
    rate = UNLIMITED_MBIT if phase.up.rate_mbit is None else phase.up.rate_mbit
    if phase.up.loss and phase.rtt_ms:
        rate = min(rate, 8e-6 * _MSS_BYTES / (phase.rtt_ms / 1000) * math.sqrt(1.5 / phase.up.loss))
    return rate
