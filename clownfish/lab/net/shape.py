"""What a network does to packets, and when: shapes of its two directions, in phases over time (pure).

`up` is from the edge to the cloud, `down` the way back. Everything in a shape is one way: a round trip has the delays
of both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

MTU = 1500
HEADER_BYTES = 14
"""Of a packet on an Ethernet link beside its IP bytes: tc counts them, so the link of our own does too."""
WIRE_BYTES = MTU + HEADER_BYTES
"""Of the largest packet."""
MAX_DELAY_MS, MAX_RATE_MBIT = 60_000.0, 10_000.0


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One direction of a link. Raises ValueError for what no link can be."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    delay_ms: float = 0.0
    """From one end to the other, for a packet that waits for no other."""
    jitter_ms: float = 0.0
    """Each packet's delay is drawn evenly from delay ± jitter, so packets overtake each other, as with netem."""
    loss: float = 0.0
    """Share of packets that are lost, each by itself; 1: nothing passes."""
    reorder: float = 0.0
    """Share of packets that have no delay, and so overtake the others."""
    rate_mbit: float | None = None
    """Without it packets do not wait for each other."""
    queue_bytes: int = 150_000
    """What may wait for the rate; packets beyond it are dropped."""

    def __post_init__(self) -> None:
        for name, low, high in (
            ("delay_ms", 0, MAX_DELAY_MS), ("jitter_ms", 0, self.delay_ms), ("loss", 0, 1), ("reorder", 0, 1),
        ):  # fmt: skip
            value = getattr(self, name)
            if not low <= value <= high:
                at_most = "delay_ms" if name == "jitter_ms" else f"{high:g}"
                raise ValueError(f"{name} is {value:g}; expected {low:g} to {at_most}")
        if self.rate_mbit is not None and not 0 < self.rate_mbit <= MAX_RATE_MBIT:
            raise ValueError(
                f"rate_mbit is {self.rate_mbit:g}; expected more than 0, at most {MAX_RATE_MBIT:g}: leave it out for a "
                "link without a limit, or set loss = 1 for one that is dead"
            )
        if self.queue_bytes < WIRE_BYTES:
            raise ValueError(f"queue_bytes is {self.queue_bytes}; expected room for one packet, {WIRE_BYTES} at least")
        if self.reorder and not self.delay_ms:
            raise ValueError(f"reorder is {self.reorder:g} without a delay_ms: there is nothing to be ahead of")

    @property
    def caps_only(self) -> bool:
        """Whether it has a rate, a queue, and nothing else."""
        return self.rate_mbit is not None and not (self.delay_ms or self.loss)

    @property
    def plain(self) -> bool:
        """Whether packets pass as they come."""
        return self.rate_mbit is None and not (self.delay_ms or self.loss)


@dataclass(frozen=True, kw_only=True)
class Phase:
    """Both directions, for a while. Raises ValueError for a time that does not pass."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    up: Shape
    down: Shape
    for_s: float = math.inf

    def __post_init__(self) -> None:
        if not self.for_s > 0:
            raise ValueError(f"for_s is {self.for_s:g}; expected more than 0")

    @property
    def rtt_ms(self) -> float:
        """Of a small packet, in the middle of its jitter."""
        return self.up.delay_ms + self.down.delay_ms

    @property
    def round_trip_loss(self) -> float:
        return 1 - (1 - self.up.loss) * (1 - self.down.loss)


@dataclass(frozen=True)
class Timeline:
    """Phases one after the other. `by` time: each lasts its `for_s`; by video: one for each video that is played.

    After the last phase comes the first again where it `repeat`s; else the last stays. Times are seconds since the
    link's start. Raises ValueError without a phase.
    """

    phases: tuple[Phase, ...]
    repeat: bool = False
    by: Literal["time", "video"] = "time"

    def __post_init__(self) -> None:
        if not self.phases:
            raise ValueError("no phases; expected one at least")

    @property
    def steady(self) -> bool:
        """Whether it never changes."""
        return len(self.phases) == 1

    @property
    def period_s(self) -> float:
        """Of all phases together."""
        return sum(phase.for_s for phase in self.phases)

    def starts(self) -> list[float]:
        """When each phase begins, the first time."""
        return [sum(phase.for_s for phase in self.phases[:i]) for i in range(len(self.phases))]

    def index(self, t_s: float) -> int:
        """Which phase it is at that time."""
        return self._locate(t_s)[0]

    def _locate(self, t_s: float) -> tuple[int, float | None]:
        """(which phase it is, when that is over). Both from one place in the round, so that no phase is skipped."""
        if self.steady:
            return 0, None
        within_s = t_s % self.period_s if self.repeat else t_s
        last = len(self.phases) - 1
        end_s = 0.0
        for i, phase in enumerate(self.phases):
            end_s += phase.for_s
            if within_s < end_s and (i < last or self.repeat):
                return i, max(t_s + (end_s - within_s), math.nextafter(t_s, math.inf))
        return last, None

    def at(self, t_s: float) -> Phase:
        """The phase at that time."""
        return self.phases[self.index(t_s)]

    def at_video(self, n: int) -> int:
        """Which phase it is while video n plays, counted from 0."""
        return n % len(self.phases) if self.repeat else min(n, len(self.phases) - 1)

    def next_change(self, t_s: float) -> float | None:
        """When the phase that it is at that time is over; None: never."""
        return None if self.by == "video" else self._locate(t_s)[1]

    def megabits(self, direction: Literal["up", "down"], begin_s: float, end_s: float) -> float | None:
        """What may pass between two times, in Mbit; None where it is not limited, throughout or for a while."""
        total, t_s = 0.0, begin_s
        while t_s < end_s:
            change = self.next_change(t_s)
            until = end_s if change is None else min(end_s, change)
            shape: Shape = getattr(self.at(t_s), direction)
            if shape.loss < 1:
                if shape.rate_mbit is None:
                    return None
                total += shape.rate_mbit * (until - t_s)
            t_s = until
        return total

    def to_tree(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    @classmethod
    def from_tree(cls, tree: Mapping[str, Any]) -> Timeline:
        """What `to_tree` gave."""
        phases = (Phase(up=Shape(**p["up"]), down=Shape(**p["down"]), for_s=p["for_s"]) for p in tree["phases"])
        return cls(tuple(phases), tree["repeat"], tree["by"])
