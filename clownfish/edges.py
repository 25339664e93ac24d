"""Edges: the router's side of every uplink session (DESIGN §7). Layer 0.

A session is one routing id, from Hello until it falls silent. It gets credit, its frames are cached, and each of its
windows is submitted when all frames are here, and ends exactly once: with an Answer or a Dropped, which returns its
credit. A peer that is not known is asked to say Hello; one whose classes no worker has is refused in words.

Sessions belong to devices. One that opens more than its share loses its own oldest, nobody else's; and what a device
sends over its limits (`over`, from `limits`) is not served: its windows are Dropped for that reason, credit and all.

What to do is returned as values: Tell (a message for an edge), Submit (a job for the pool), Forget (the pool drops what
it holds for a session). Times are seconds of a monotonic clock, given by the caller.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from clownfish.credit import CreditLedger
from clownfish.framecache import Found, FrameCache
from clownfish.messages import StreamKey, WindowKey
from clownfish.protocol import Again, Answer, Credit, Dropped, Frames, Hello, Missing, Refused, WindowRequest

ToEdge: TypeAlias = Again | Answer | Credit | Dropped | Missing | Refused
WhyRefused: TypeAlias = Callable[[tuple[str, ...], str], str | None]

_STREAMS_PER_EDGE = 256
"""Streams of one session whose bytes are counted between requests."""
_LONGEST_DEADLINE_MS = 3_600_000
"""An hour. The peer's number is not passed on as it is: a worker could not read a Job with the largest ones."""


@dataclass(frozen=True, slots=True)
class Tell:
    """Send this to this edge, on control."""

    edge: bytes
    message: ToEdge


@dataclass(frozen=True, slots=True)
class Submit:
    """All frames of this window are here."""

    edge: bytes
    key: WindowKey
    classes: tuple[str, ...]
    found: Found
    deadline: float
    model: str = ""


@dataclass(frozen=True, slots=True)
class Forget:
    """This session is over; `name` is for the log."""

    edge: bytes
    name: str


EdgeInstruction: TypeAlias = Tell | Submit | Forget


@dataclass
class _Session:
    hello: Hello
    ledger: CreditLedger
    seen: float
    told: tuple[int, int] = (0, 0)
    """The totals of the last Credit."""
    new_bytes: OrderedDict[StreamKey, int] = field(default_factory=OrderedDict)
    """Frame bytes that came since the stream's last request."""
    incomplete: dict[WindowKey, float] = field(default_factory=dict)
    """Windows whose missing frames were asked for, and their deadlines. Bounded by the credit."""
    refused: str | None = None
    over: OrderedDict[StreamKey, str] = field(default_factory=OrderedDict)
    """Streams that sent a frame over a limit since their last request, and which limit."""


class Edges:
    """`why_refused(classes, model)` says why nobody can answer with these classes, and that model, or None."""

    def __init__(
        self,
        why_refused: WhyRefused,
        *,
        windows_per_edge: int,
        bytes_per_edge: int,
        lease_ms: int,
        cache_bytes: int,
        session_s: float = 10.0,
        capacity: int = 4096,
        device: Callable[[bytes], bytes] = lambda edge: edge,
        sessions_per_device: int = 4,
    ) -> None:
        """`device` says whose session an edge is: its key, where there are keys."""
        self._why_refused = why_refused
        self._share = (windows_per_edge, bytes_per_edge)
        self._lease_ms = lease_ms
        self._session_s = session_s
        self._capacity = capacity
        self._sessions: OrderedDict[bytes, _Session] = OrderedDict()  # the longest silent first
        self._device = device
        self._sessions_per_device = sessions_per_device
        self._by_device: dict[bytes, list[bytes]] = {}  # each device's sessions, the oldest first
        self._incomplete_due = math.inf  # no incomplete window is due before; the one that was may be complete by now
        self.cache = FrameCache(cache_bytes)
        self.counts: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._sessions)

    def name(self, edge: bytes) -> str:
        """What the edge calls itself; for the log."""
        session = self._sessions.get(edge)
        return session.hello.edge if session is not None else "?"

    def classes_wanted(self) -> set[tuple[str, ...]]:
        """The class lists of all edges."""
        return {session.hello.classes for session in self._sessions.values()}

    # -- what edges say

    def hello(self, edge: bytes, hello: Hello, now: float) -> list[EdgeInstruction]:
        """A session begins (anew)."""
        out: list[EdgeInstruction] = self._end(edge)
        device = self._device(edge)
        if len(self._by_device.get(device, ())) >= self._sessions_per_device:
            self.counts["sessions_replaced"] += 1
            out += self._end(self._by_device[device][0])
        if len(self._sessions) >= self._capacity:
            self.counts["edges_turned_away"] += 1
            return [*out, Tell(edge, Refused(f"this router serves {self._capacity} edges already"))]
        self._sessions[edge] = _Session(hello, CreditLedger(*self._share), now)
        self._by_device.setdefault(device, []).append(edge)
        return [*out, *self._grant(edge)]

    def ping(self, edge: bytes, now: float, sequence: int = 0) -> list[EdgeInstruction]:
        """A sign of life with its number; answered with Credit, a refusal, or the request to say Hello."""
        session = self._sessions.get(edge)
        if session is None:
            return [Tell(edge, Again("this session is not known here"))]
        session.seen = now
        self._sessions.move_to_end(edge)
        return self._grant(edge, sequence)

    def frames(self, edge: bytes, frames: Frames, over: str | None = None) -> None:
        """Encoded frames of one stream: cached until their window asks for them, or dropped where over a limit."""
        session = self._sessions.get(edge)
        if session is None:
            self.counts["frames_without_session"] += len(frames.data)
            return
        key = StreamKey(frames.stream, frames.epoch)
        if over is None:
            self.cache.put(edge, frames)
        else:
            session.over[key] = over
            if len(session.over) > _STREAMS_PER_EDGE:
                session.over.popitem(last=False)
        session.new_bytes[key] = session.new_bytes.get(key, 0) + sum(map(len, frames.data))
        if len(session.new_bytes) > _STREAMS_PER_EDGE:
            session.new_bytes.popitem(last=False)

    def request(
        self, edge: bytes, request: WindowRequest, now: float, over: str | None = None
    ) -> list[EdgeInstruction]:
        """A window is asked about: submitted, or its missing frames are asked for, or dropped: it is over a limit."""
        session = self._sessions.get(edge)
        if session is None:
            self.counts["requests_without_session"] += 1
            return []
        stream = StreamKey(request.stream, request.epoch)
        over = session.over.pop(stream, over)
        receipt = session.ledger.received(request.key, session.new_bytes.pop(stream, 0))
        if receipt == "overdrawn":
            self.counts["overdrawn"] += 1
            return [Tell(edge, Dropped(*request.key, "overdrawn")), *self._grant(edge)]
        if receipt == "late" or (receipt == "again" and request.key not in session.incomplete):
            self.counts["requests_repeated"] += 1
            return []
        session.incomplete.pop(request.key, None)
        if over is not None:
            return self.finished(edge, Dropped(*request.key, over))
        found = self.cache.get(edge, stream, request.frames)
        deadline = now + min(request.deadline_ms, _LONGEST_DEADLINE_MS) / 1000
        if found.missing or not found.frames:
            self.counts["frames_missing"] += len(found.missing)
            session.incomplete[request.key] = deadline
            self._incomplete_due = min(self._incomplete_due, deadline)
            return [Tell(edge, Missing(*request.key, found.missing))]
        return [Submit(edge, request.key, session.hello.classes, found, deadline, session.hello.model)]

    # -- what becomes of windows

    def finished(self, edge: bytes, message: Answer | Dropped) -> list[EdgeInstruction]:
        """The pool is done with a window: tell its edge, and give the credit back if it may need it before it beats."""
        session = self._sessions.get(edge)
        if session is None:
            return []
        session.ledger.finished(message.key)
        return [Tell(edge, message), *(self._grant(edge) if session.ledger.is_low(session.told) else ())]

    def revoke(self, device: bytes) -> list[EdgeInstruction]:
        """The device may not come in any more: its sessions are over. Nobody is told."""
        return [each for edge in list(self._by_device.get(device, ())) for each in self._end(edge)]

    def farewell(self, reason: str) -> list[EdgeInstruction]:
        """The router ends: every edge begins a session with the next one, in place of waiting for this one's lease."""
        return [Tell(edge, Again(reason)) for edge in self._sessions]

    def regrant(self) -> list[EdgeInstruction]:
        """Workers came or went: an edge that can be served now, or cannot any more, hears so at once."""
        changed = [
            edge
            for edge, session in self._sessions.items()
            if self._why_refused(session.hello.classes, session.hello.model) != session.refused
        ]
        return [each for edge in changed for each in self._grant(edge)]

    # -- time

    def timer(self, now: float) -> list[EdgeInstruction]:
        """Ends sessions that fell silent, and windows whose missing frames did not come in time."""
        out: list[EdgeInstruction] = []
        while self._sessions and (oldest := next(iter(self._sessions.items())))[1].seen + self._session_s <= now:
            out += self._end(oldest[0])
        if self._incomplete_due > now:
            return out
        self._incomplete_due = math.inf
        for edge, session in self._sessions.items():
            for key in [key for key, deadline in session.incomplete.items() if deadline <= now]:
                del session.incomplete[key]
                self.counts["incomplete"] += 1
                out += self.finished(edge, Dropped(*key, "incomplete"))
            self._incomplete_due = min(self._incomplete_due, *session.incomplete.values(), math.inf)
        return out

    def next_timer(self) -> float | None:
        """When `timer` may have something to do; None: nothing to wait for."""
        oldest = next(iter(self._sessions.values()), None)
        due = self._incomplete_due if oldest is None else min(oldest.seen + self._session_s, self._incomplete_due)
        return due if due < math.inf else None

    # -- inside

    def _grant(self, edge: bytes, ping: int = 0) -> list[EdgeInstruction]:
        session = self._sessions[edge]
        session.refused = self._why_refused(session.hello.classes, session.hello.model)
        if session.refused is not None:
            return [Tell(edge, Refused(session.refused))]
        session.told = session.ledger.totals()
        return [Tell(edge, Credit(*session.told, self._lease_ms, ping))]

    def _end(self, edge: bytes) -> list[EdgeInstruction]:
        session = self._sessions.pop(edge, None)
        if session is None:
            return []
        self.cache.forget(edge)
        device = self._device(edge)
        self._by_device[device].remove(edge)
        if not self._by_device[device]:
            del self._by_device[device]
        return [Forget(edge, session.hello.edge)]
