"""What the processes of one box say to each other (layer 0: no bytes, no sockets).

`(stream, epoch, t)` is the identity of a window everywhere: the stream's name, a random number drawn when its capture
(re)starts, and the window's index. That triple makes results idempotent and restarts harmless. What edge and cloud say
to each other is in `protocol`; how either becomes bytes is in `wire`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
"""One frame, uint8, shape (height, width, 3), RGB."""

Vector = npt.NDArray[np.floating]
"""Class probabilities, shape (classes,): finite, not negative, sum 1."""

Source = Literal["local", "fused", "remote"]


class StreamKey(NamedTuple):
    """One run of one camera: a restarted capture begins a new epoch."""

    stream: str
    epoch: int


class WindowKey(NamedTuple):
    """The identity of a window everywhere."""

    stream: str
    epoch: int
    t: int


@dataclass(frozen=True, slots=True)
class Frame:
    """capture → window: one frame, resized once at capture. `n` counts from 0 in its epoch."""

    stream: str
    epoch: int
    n: int
    capture_ns: int
    live: bool
    """A live stream drops frames when a process falls behind; one that is not live makes the graph wait."""
    pixels: Pixels

    @property
    def stream_key(self) -> StreamKey:
        return StreamKey(self.stream, self.epoch)


@dataclass(frozen=True, slots=True)
class Window:
    """window → local, filter → uplink: `size` consecutive frames, oldest first; t = first frame's number ÷ stride."""

    stream: str
    epoch: int
    t: int
    first: int
    capture_ns: int
    """CLOCK_MONOTONIC at the capture of the newest frame."""
    live: bool
    frames: tuple[Pixels, ...]

    @property
    def key(self) -> WindowKey:
        return WindowKey(self.stream, self.epoch, self.t)


@dataclass(frozen=True, slots=True)
class End:
    """Follows a stream's last frame through the graph. `frames` is how many were captured; `reason` is for people."""

    stream: str
    epoch: int
    frames: int
    reason: str


@dataclass(frozen=True, slots=True)
class LocalResult:
    """local → fusion: the small model's answer. `rho` is None where no window was inferred before (§III-C)."""

    stream: str
    epoch: int
    t: int
    p: Vector
    rho: float | None
    capture_ns: int
    model_ns: int
    """Time the model itself took for this window's batch; what the graph adds is latency minus this."""

    @property
    def key(self) -> WindowKey:
        return WindowKey(self.stream, self.epoch, self.t)


@dataclass(frozen=True, slots=True)
class Rho:
    """local → filter: similarity of this window to the one inferred before it, and the small model's answer."""

    stream: str
    epoch: int
    t: int
    rho: float | None
    p: Vector

    @property
    def key(self) -> WindowKey:
        return WindowKey(self.stream, self.epoch, self.t)


@dataclass(frozen=True, slots=True)
class Pace:
    """uplink → filter: how much to send, in the words of `filters.drift`. Repeated, so that a lost one does no harm."""

    threshold: float
    patience: int
    follow: int
    n_w: int

    @property
    def words(self) -> str:
        """As a record has it; `from_words` reads it."""
        return f"pace {self.threshold!r} {self.patience} {self.follow} {self.n_w}"

    @classmethod
    def from_words(cls, words: str) -> Pace:
        """Raises ValueError where they are none of `words`."""
        _, threshold, *others = words.split()
        return cls(float(threshold), *map(int, others))


@dataclass(frozen=True, slots=True)
class RemoteResult:
    """uplink → fusion: the large model's answer, on time or late."""

    stream: str
    epoch: int
    t: int
    p: Vector
    model: str

    @property
    def key(self) -> WindowKey:
        return WindowKey(self.stream, self.epoch, self.t)


@dataclass(frozen=True, slots=True)
class FusedResult:
    """fusion → sinks: the system's answer for one window, at one revision.

    Revision 0 leaves in real time, one per inferred window, in order. REINFORCE emits revision r + 1 for every window
    whose vector changed. The closing revision has `final` set: no later result may change the window any more.
    """

    stream: str
    epoch: int
    t: int
    revision: int
    p: Vector
    label: str
    confidence: float
    """Largest entry of `p`."""
    rho: float | None
    alpha: float
    beta: float
    lag: int | None
    """Of the remote result that caused this revision, in windows; None where none did."""
    source: Source
    final: bool

    @property
    def key(self) -> WindowKey:
        return WindowKey(self.stream, self.epoch, self.t)


@dataclass(frozen=True, slots=True)
class Feature:
    """local → record: what ρ of this window, and of the next, was computed from (beside p)."""

    stream: str
    epoch: int
    t: int
    feature: npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Event:
    """filter, uplink, fusion → record: something that happened to a window there."""

    stream: str
    epoch: int
    t: int
    what: str
    """`window`, `sent periodic`, `dropped expired` …: the service's own words, and few."""
    at_s: float
    """CLOCK_MONOTONIC."""
    value: float | None
    """A number that belongs to it: ρ, or bytes."""


@dataclass(frozen=True, slots=True)
class Note:
    """local, filter, uplink, fusion → record: what a process took and what it gave, in that order.

    Numbered from 0 in each process, so that a lost note shows.
    """

    service: str
    process: int
    """Random, drawn when the process starts."""
    sequence: int
    messages: tuple[LocalResult | RemoteResult | FusedResult | End | Feature | Event, ...]


@dataclass(frozen=True, slots=True)
class LinkShape:
    """page → link: what the simulated link is to be like from now on."""

    rate_mbit: float | None
    """None: no cap."""
    delay_ms: float
    """One way."""
    cut: bool


@dataclass(frozen=True, slots=True)
class Command:
    """command line → supervisor → capture: what to do about the streams of this box."""

    sequence: int
    """Its Reply has the same."""
    what: str
    text: str
    """JSON: what `what` is about."""


@dataclass(frozen=True, slots=True)
class Reply:
    """capture → supervisor → command line."""

    sequence: int
    well: bool
    text: str
    """JSON; where it is not well: why, in words for people."""


@dataclass(frozen=True, slots=True)
class Status:
    """Any service → supervisor, once a second: counters, gauges and latency histograms; all that is ever watched."""

    service: str
    pid: int
    state: Literal["starting", "ready", "draining", "failed", "ended"]
    text: str
    """For people: why it failed, or what it waits for; empty when all is well."""
    counters: dict[str, int]
    gauges: dict[str, float]
    histograms: dict[str, dict[int, int]]
