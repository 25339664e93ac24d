"""What the worker pool holds, and what it says is to be done about it (layer 0): values of `dispatch`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from clownfish.messages import WindowKey
from clownfish.roster import Kind

P = TypeVar("P")

Line = tuple[bytes, str]
"""(edge session, stream name): what takes turns within an edge's. A restarted capture stays in its stream's line."""


@dataclass(frozen=True, slots=True)
class Assign(Generic[P]):
    """Send this job to this worker. If that fails, tell `WorkerPool.gone`."""

    worker: bytes
    job: int
    edge: bytes
    key: WindowKey
    payload: P
    deadline: float
    """When the answer stops to matter: seconds of the caller's clock."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer that just came is this window's: pass it on to the edge. `model` is the worker's."""

    edge: bytes
    key: WindowKey
    job: int
    model: str
    took_s: float
    """Since it was assigned."""


@dataclass(frozen=True, slots=True)
class Shadowed:
    """The answer that just came is the canary's beside another's: nobody but its counts is told."""

    edge: bytes
    key: WindowKey
    model: str
    took_s: float


@dataclass(frozen=True, slots=True)
class Drop:
    """This window will not be answered: tell the edge. `reason` is a key of `WorkerPool.drops`."""

    edge: bytes
    key: WindowKey
    reason: str


@dataclass(frozen=True, slots=True)
class Evicted:
    """This worker is not one of the pool any more; for the log. `reason` is silent, hung or gone."""

    worker: bytes
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class AskReady:
    """The pool does not know this worker (any more): ask it to send READY."""

    worker: bytes


Instruction = Assign[P] | Answered | Shadowed | Drop | Evicted | AskReady


@dataclass(eq=False, slots=True)
class Job(Generic[P]):
    number: int
    edge: bytes
    key: WindowKey
    asks: Kind
    payload: P
    deadline: float
    owner: bytes
    failed_by: bytes | None = None  # "another worker" is one that is not this; None: not failed yet
    waits: bool = False
    held_by: bytes = b""
    given: float = 0.0  # when it was assigned
    lease_until: float = 0.0  # while held
    trial: bool = False  # held by the canary, whose failures do not count
    forgotten: bool = False  # nobody waits for it any more; the worker does not know

    @property
    def line(self) -> Line:
        return self.edge, self.key.stream
