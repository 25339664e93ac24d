"""Roster: the workers of a pool, by what they serve and how much they hold (layer 0)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, Protocol, TypeVar

from clownfish.classes import difference


class Leased(Protocol):
    """What a roster asks of a job."""

    @property
    def lease_until(self) -> float: ...


J = TypeVar("J", bound=Leased)

Classes = tuple[str, ...]

_KNOWN_MODELS = 64
"""Models that are remembered as having been here, for what is said to an edge that asks for another."""
_ASKED = 256
"""Answers of `why_not` that are kept: every beat of every edge asks anew."""
_TOLD_MODELS = 8
"""The newest of them are named: a message has its bounds."""


class Kind(NamedTuple):
    """What a worker is, and what a job asks for: there `model` may be empty, for any with these classes."""

    classes: Classes
    model: str


@dataclass(eq=False, slots=True)
class Member(Generic[J]):
    """One worker, as its pool sees it."""

    id: bytes
    name: str
    kind: Kind
    credit: int
    """Jobs it may hold; 0 once it leaves."""
    seen: float
    advanced: float
    """When it last finished a job, or last began to hold one."""
    done: int = 0
    suspects: int = 0
    """Jobs among those it holds that another worker has failed."""
    leaving: bool = False
    jobs: dict[int, J] = field(default_factory=dict)
    """In the order they were assigned."""

    def due(self, lease_s: float, liveness_s: float) -> tuple[float, str]:
        """When it will be evicted unless something happens, and for what."""
        silent = self.seen + liveness_s
        if not self.jobs:
            return silent, "silent"
        hung = min(self.advanced + lease_s, *(job.lease_until for job in self.jobs.values()))
        return (hung, "hung") if hung < silent else (silent, "silent")


_Held = dict[int, "OrderedDict[bytes, Member[J]]"]


class Roster(Generic[J]):
    """Say `moved` of a member whenever its jobs or its credit have changed."""

    def __init__(self, reserved: str = "") -> None:
        """`reserved`: the canary's model, if there is one."""
        self._reserved = reserved
        self._known: OrderedDict[str, Classes] = OrderedDict()  # every model that was here lately
        self._members: dict[bytes, Member[J]] = {}
        self._free: dict[Kind, _Held[J]] = {}  # each kind's members with room, by how many jobs they hold
        self._where: dict[bytes, int] = {}  # in which of those lists each is
        self._of_kind: dict[Kind, int] = {}
        self._why_not: dict[Kind, str | None] = {}  # of those who have asked since a worker came or went

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Member[J]]:
        return iter(self._members.values())

    def get(self, worker: bytes) -> Member[J] | None:
        return self._members.get(worker)

    def kinds(self) -> Iterator[Kind]:
        """Those of the members, each once, the longest here first."""
        return iter(self._of_kind)

    @property
    def has_room(self) -> bool:
        """Whether any member may be given a job."""
        return bool(self._where)

    def add(self, member: Member[J]) -> None:
        """A worker comes; it is no member yet."""
        self._known.pop(member.kind.model, None)
        self._known[member.kind.model] = member.kind.classes
        if len(self._known) > _KNOWN_MODELS:
            self._known.popitem(last=False)
        self._members[member.id] = member
        self._of_kind[member.kind] = self._of_kind.get(member.kind, 0) + 1
        self._why_not.clear()
        self.moved(member)

    def pop(self, worker: bytes) -> Member[J] | None:
        member = self._members.pop(worker, None)
        if member is not None:
            self._leave(member)
            self._why_not.clear()
            self._of_kind[member.kind] -= 1
            if not self._of_kind[member.kind]:
                del self._of_kind[member.kind]
                self._free.pop(member.kind, None)
        return member

    def moved(self, member: Member[J]) -> None:
        """It holds more or fewer jobs than before, or may."""
        self._leave(member)
        held = len(member.jobs)
        if held < member.credit:
            self._free.setdefault(member.kind, {}).setdefault(held, OrderedDict())[member.id] = member
            self._where[member.id] = held

    def freest(self, kind: Kind, suspect: bool = False, but: bytes | None = None) -> Member[J] | None:
        """Of the members of this kind that have room: one that holds least, and of those the least recently moved.

        A `suspect` job goes to none that holds such a one already, nor to `but`.
        """
        free = self._free.get(kind, {})
        for held in sorted(free):
            for member in free[held].values():
                if not suspect or (member.suspects == 0 and member.id != but):
                    return member
        return None

    def free_for(self, asks: Kind, failed_by: bytes | None = None) -> Member[J] | None:
        """Of the members that serve who asks so and have room, one that holds least; not `failed_by`, who failed it."""
        suspect = failed_by is not None
        free = [self.freest(kind, suspect, failed_by) for kind in self.kinds() if self.serves(kind, asks)]
        return min((each for each in free if each is not None), key=lambda each: len(each.jobs), default=None)

    def serves(self, kind: Kind, asks: Kind) -> bool:
        """Whether a worker of this kind may take a job that asks so.

        The canary's workers serve those who ask for it by name; others only where nobody else can.
        """
        if kind.classes != asks.classes or (asks.model and asks.model != kind.model):
            return False
        if asks.model or kind.model != self._reserved:
            return True
        return not any(each.classes == kind.classes and each.model != kind.model for each in self.kinds())

    def why_not(self, asks: Kind) -> str | None:
        """Why no member serves who asks so, in words for people.

        None where one does, or where one may still come: there is none at all, or one with that model was here.
        """
        if asks not in self._why_not:
            if len(self._why_not) >= _ASKED:
                self._why_not.clear()
            self._why_not[asks] = self._find_why_not(asks)
        return self._why_not[asks]

    def _find_why_not(self, asks: Kind) -> str | None:
        if not self._members or any(self.serves(kind, asks) for kind in self.kinds()):
            return None
        classes, model = asks
        if model in self._known:
            words = difference(classes, self._known[model])
            return f"model {model!r}, which the edge asks for, {words}" if words is not None else None
        if model:
            known = ", ".join(repr(each[:64]) for each in list(self._known)[-_TOLD_MODELS:])
            return f"no worker with model {model!r} has been here; known: {known}. Leave [uplink] model empty for any"
        nearest = max(self, key=lambda each: len(set(classes) & set(each.kind.classes)))
        words = difference(classes, nearest.kind.classes)
        nearest_to = f"nearest is worker {nearest.name!r}, whose model {nearest.kind.model!r} {words}"
        return f"no worker that is ready has the edge's classes; {nearest_to}"

    def _leave(self, member: Member[J]) -> None:
        held = self._where.pop(member.id, None)
        if held is not None:
            lists = self._free[member.kind]
            del lists[held][member.id]
            if not lists[held]:
                del lists[held]
