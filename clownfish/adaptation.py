"""Adaptation: adaptive sending as the uplink has it: what it is told, and what it says to the filter (layer 2).

The thinking is the `Pacer`'s and the `LinkMeter`'s. Here are the ladder's file, the codecs of its ways, the month's
count in the state folder, the round trip of a Ping, and the pace for the filter. Without `[uplink] adaptive` the way is
the configured one for ever and nobody is told anything; with `in_flight = "credit"`, too, there is always room. The
link is measured in any case.

A Ping is answered with a Credit that has its number; any other Credit tells nothing of the round trip.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from clownfish.allowance import BUFFER_BYTES, Allowance
from clownfish.codecs import CODECS
from clownfish.codecs.base import AnyCodec
from clownfish.errors import ConfigError
from clownfish.ladder import Ladder, Way, ladder_from
from clownfish.linkmeter import LinkMeter
from clownfish.messages import WindowKey
from clownfish.pacing import Pacer
from clownfish.process import Process
from clownfish.protocol import Answer, Credit
from clownfish.settings import Adaptive, Plugin
from clownfish.zoo import locate


def read_ladder(name: str) -> Ladder:
    """The ladder `zoo:SET/ladder`, or of that file. Raises ConfigError."""
    path = locate(name).with_suffix(".json") if name.startswith("zoo:") else Path(name)
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"uplink.adaptive.ladder: {path}: cannot be read ({error})") from error
    return ladder_from(tree if isinstance(tree, dict) else {}, str(path))


class Adaptation:
    """Of one uplink. Raises ConfigError where the ladder cannot be read or names a codec that is not there."""

    def __init__(self, process: Process) -> None:
        uplink = process.config.uplink
        assert uplink is not None  # the uplink has checked it
        self._process = process
        fixed = Way(uplink.codec.kind, tuple(sorted(uplink.codec.options.items())))
        self._fixed = fixed
        self._codecs: dict[Way, AnyCodec] = {fixed: uplink.codec.build(CODECS)}
        self._pacer: Pacer | None = None
        self._meter = LinkMeter()
        self._bounds = uplink.in_flight == "measured" or uplink.adaptive is not None
        self._pinged: tuple[int, float] | None = None
        """The Ping that waits for its Credit: its number, and when it went."""
        if uplink.adaptive is not None:
            self._adapt(uplink.adaptive)
        process.before_status(self._publish)

    def _adapt(self, to: Adaptive) -> None:
        process = self._process
        ladder = read_ladder(to.ladder)
        for rung in ladder.rungs:
            if rung.way not in self._codecs:
                self._codecs[rung.way] = Plugin(rung.way.codec, dict(rung.way.options)).build(CODECS)
        buffer = process.kept("allowance", BUFFER_BYTES) if to.gb_month is not None else None
        allowance = Allowance(to.mbit_s, to.gb_month, buffer)
        if allowance.origin == "reset":
            process.state_lost("allowance", process.config.state_dir())
        self._pacer = Pacer(
            ladder,
            allowance,
            streams=len(process.config.streams),
            price=to.price,
            rise_s=to.rise_s,
        )
        self._meter = self._pacer.meter
        self._filter = process.bus.outbox(process.config.ipc("filter-pace"), "pace", hwm=4)

    # -- what happens

    def offered(self) -> None:
        """The filter has chosen a window."""
        if self._pacer is not None:
            self._pacer.offered(time.monotonic())

    def pinged(self, sequence: int) -> None:
        """A Ping of that number goes out."""
        if self._pinged is None or time.monotonic() - self._pinged[1] > 10:
            self._pinged = sequence, time.monotonic()
        self._choose()

    def heard(self, message: object, now: float) -> None:
        """The router has said this."""
        if isinstance(message, Credit):
            if self._pinged is not None and message.ping == self._pinged[0]:
                self._meter.round_trip(now - self._pinged[1], now)
                self._pinged = None
            if self._pacer is not None:
                self._pacer.opened(now)
        if isinstance(message, Answer):
            arrival = self._meter.answered(message.key, message.model_ms / 1000, now)
            if arrival is not None:
                self._process.histogram("age_at_router").add(arrival.age_s * 1e9)
                self._process.histogram("age_bound").add(arrival.bound_s * 1e9)
                self._process.counters.add("windows_beyond_bound", arrival.age_s > arrival.bound_s)
            self._choose()

    def sent(self, key: WindowKey, size_bytes: int) -> None:
        """A window goes on the wire."""
        now = time.monotonic()
        if self._pacer is not None:
            self._pacer.sent(key, size_bytes, now, time.time())
        else:
            self._meter.sent(key, size_bytes, now)

    def gone(self, key: WindowKey) -> None:
        """It will not be answered."""
        self._meter.gone(key)

    def closed(self) -> None:
        """The session is over."""
        self._pinged = None
        if self._pacer is not None:
            self._pacer.closed(time.monotonic())
            self._choose()
        else:
            self._meter.session_over()

    # -- what to do

    @property
    def way(self) -> Way:
        """How frames become bytes from now on."""
        return self._fixed if self._pacer is None else self._pacer.rung.way

    def codec(self, way: Way) -> AnyCodec:
        """Its codec."""
        return self._codecs[way]

    def room(self, now: float) -> bool:
        """Whether a window that goes now meets no standing queue."""
        return not self._bounds or self._meter.room(now)

    def room_in_s(self, now: float) -> float | None:
        """How long until there may be room by time alone; None: something else must happen first."""
        at = self._meter.next_room(now) if self._bounds else None
        return None if at is None else max(0.0, at - now)

    def may_send(self) -> bool:
        """Whether the allowance has something left."""
        return self._pacer is None or self._pacer.may_send(time.monotonic(), time.time())

    # -- inside

    def _choose(self) -> None:
        if self._pacer is None:
            return
        before = self._pacer.rung
        rung = self._pacer.choose(time.monotonic(), time.time())
        if rung is not before:
            self._process.counters.add("setting_changes")
            self._process.log.info("setting", codec=rung.way.name, mbit_s=round(rung.bytes_per_s * 8e-6, 3))
            self._filter.try_send(rung.pace)

    def _publish(self) -> None:
        """Once a second: what was measured; and the pace again, for a filter that was away."""
        counters = self._process.counters
        counters.set("link_mbit_s", (self._meter.rate(time.monotonic()) or 0.0) * 8e-6)
        counters.set("link_rtt_ms", self._meter.rtt_s * 1000)
        if self._pacer is not None:
            self._pacer.streams = len(self._process.lineup.streams)
            self._filter.try_send(self._pacer.rung.pace)
            counters.set("setting", self._pacer.ladder.rungs.index(self._pacer.rung))
            counters.set("month_bytes", self._pacer.allowance.month_bytes)
