"""The contract of a sink: where answers and events go (layer 1). Each sink is a process of its own, so none can slow
the edge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from clownfish.eventing import SceneEvent
from clownfish.messages import End, Frame, FusedResult

Mode = Literal["live", "revisions", "final"]
Item: TypeAlias = FusedResult | SceneEvent


def wanted(mode: Mode, item: Item) -> bool:
    """Whether a consumer of `mode` gets `item`.

    `live`: what is said as it happens: revision 0 of an answer, of an event its beginning and its first end.
    `final`: what no later revision changes, but for events that were withdrawn. `revisions`: all.
    """
    if mode == "live":
        return item.live if isinstance(item, SceneEvent) else item.revision == 0
    if mode == "final":
        return item.final and not (isinstance(item, SceneEvent) and item.state == "withdrawn")
    return True


class Sink(Protocol):
    """Options are keyword arguments of the constructor, which raises SinkError where the target cannot be opened.

    A constructor that has a parameter `context` is given a SinkContext beside its options.
    """

    def write(self, item: Item) -> None:
        """Take one answer or event. May raise SinkError (a full disk): the service counts it and goes on."""

    def end(self, end: End) -> None:
        """A stream ended: flush what concerns it."""

    def close(self) -> None:
        """Flush and release. Safe to call twice."""


@runtime_checkable
class Counting(Protocol):
    """A sink that counts for itself what the service cannot see."""

    @property
    def counts(self) -> Mapping[str, int]:
        """Each only grows."""

    def gauges(self) -> Mapping[str, float]:
        """As they are now."""


@runtime_checkable
class Running(Protocol):
    """A sink that works beside `write`: it talks to a target that may be away, or does things by the clock."""

    async def run(self) -> None:
        """Runs until it is cancelled. What it raises ends the process."""

    async def drain(self, patience_s: float) -> None:
        """Nothing more is written: get rid of what waits, for so long at most. `run` runs on meanwhile."""


@runtime_checkable
class Watching(Protocol):
    """A sink that wants frames, too: `services.window` gives it a copy of those of live streams, and may drop any."""

    def frame(self, frame: Frame) -> None:
        """Take one frame. May raise SinkError."""


@dataclass(frozen=True)
class StreamInfo:
    """What the configuration says of a stream."""

    source: str = ""
    fps: float | None = None
    loop: bool = False
    seconds: float | None = None


def _nobody(text: str) -> None:
    """Hears nothing."""


@dataclass(frozen=True)
class SinkContext:
    """Where a sink stands."""

    name: str = "sink"
    edge: str = "edge"
    streams: Mapping[str, StreamInfo] = field(default_factory=dict)
    size: int = 16
    stride: int = 4
    classes: tuple[str, ...] = ()
    background: str = "idle"
    behind: int = 64
    """Windows by which a closing answer comes after the first one."""
    mode: Mode = "revisions"
    state_folder: Path = Path("state")
    """What should outlive a restart of the box lies below this."""
    tell: Callable[[str], None] = _nobody
    """Tell the user something, once where it is a state."""
