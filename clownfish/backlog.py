"""Backlog: the uplink's machine. Selected windows wait here for credit, and are watched until answered (DESIGN §7).

The edge never waits for the cloud (§III): when the link or the cloud is slow, windows pile up here and nowhere else, so
this is where they are dropped. A window moves so, and each drop is counted under its reason:

    offer ──→ waiting ──next──→ in flight ──answered──→ over
                 ↑                  │
                 └──close, once─────┘      from either place also: dropped(reason) ──→ over

- Newest wins. When full, the stream with the most waiting windows loses its oldest one ("superseded"), so that a hungry
  stream pays for itself. Streams take turns; each gives its newest window.
- A window is due `deadline_s` after its capture. Past that it is "expired" (waiting) or "unanswered" (in flight).
- Credit is absolute, counted from the session's start, and good only while its lease holds. Sizes are known only after
  encoding, so a window may go while bytes_sent < bytes_total: the last one may overdraw the bytes, never the windows.
- When a session ends, what was in flight waits again, once; the second time it is "lost".

Times are seconds of a monotonic clock, given by the caller. Nothing here reads a clock or owns a socket.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from clownfish.messages import StreamKey, WindowKey

P = TypeVar("P")

Verdict = Literal["accepted", "duplicate", "expired", "unknown"]
"""What became of an answer: only an accepted one goes on to fusion."""

RESENDS = 3
"""How often the router may ask for one window's frames. A cache too small for a window would ask until the deadline."""
ROUTER_REASONS = 16
"""Distinct drop reasons taken from the router; they are the peer's words, and `drops` must not grow with them."""


@dataclass(frozen=True, slots=True)
class Drop:
    """This offer of a window is over, unanswered. `reason` is a key of `Backlog.drops`."""

    key: WindowKey
    reason: str


@dataclass(frozen=True, slots=True)
class Send(Generic[P]):
    """Encode this window, ask `Backlog.sent`, and put it on the wire if that says yes."""

    key: WindowKey
    payload: P
    deadline: float
    """When the answer stops to matter: seconds of the caller's clock."""
    resend: bool
    """The router lacks frames of a window that was sent before."""


@dataclass(frozen=True, slots=True)
class Lapsed:
    """The router has said nothing for longer than the lease: close this session and open another. Said once a lease."""


@dataclass(slots=True)
class _Entry(Generic[P]):
    key: WindowKey
    payload: P
    captured_at: float
    deadline: float
    sent: bool = False
    resends: int = 0
    losses: int = 0

    @property
    def stream_key(self) -> StreamKey:
        return StreamKey(self.key.stream, self.key.epoch)


class Backlog(Generic[P]):
    """Selected windows of all streams of one edge box. `payload` is whatever the caller wants back to send.

    `capacity` bounds what waits, `max_in_flight` what is in flight (whatever credit a router may grant), `memory` how
    many finished windows are remembered to tell a duplicate or late answer from an unknown one.
    """

    def __init__(self, capacity: int, deadline_s: float, max_in_flight: int = 32, memory: int = 1024) -> None:
        if capacity < 1 or max_in_flight < 1 or memory < 1 or not deadline_s > 0:
            raise ValueError(f"a backlog needs room and time, got {capacity=} {deadline_s=} {max_in_flight=} {memory=}")
        self.capacity = capacity
        self.deadline_s = deadline_s
        self.max_in_flight = max_in_flight
        self.memory = memory
        self.offered = 0
        """Windows offered, repeats included."""
        self.answered_total = 0
        """Windows answered; offered = answered_total + sum(drops) + waiting + in_flight, always."""
        self.drops: Counter[str] = Counter()
        """Windows dropped, by reason; the router's reasons carry the prefix "router_"."""
        self.ignored: Counter[str] = Counter()
        """Answers not accepted, by verdict."""
        self._lines: OrderedDict[StreamKey, list[_Entry[P]]] = OrderedDict()  # the first has the next turn; none empty
        self._flying: dict[WindowKey, _Entry[P]] = {}
        self._over: OrderedDict[WindowKey, bool] = OrderedDict()  # True where answered
        self._open = False
        self._windows_sent = self._windows_total = 0
        self._bytes_sent = self._bytes_total = 0
        self._lease_until: float | None = None  # None: no credit in this session, or its lapse was told

    # ---- windows in

    def offer(self, key: WindowKey, payload: P, captured_at: float, now: float) -> list[Drop]:
        """A window was selected. `captured_at` is the capture of its newest frame, on the clock of `now`.

        The drops may be of this window (expired, superseded; duplicate: the offer, not the window that came first)
        or of one that had to make room (superseded).
        """
        self.offered += 1
        if key in self._over or key in self._flying or any(entry.key == key for entry in self._waiting()):
            self.drops["duplicate"] += 1
            return [Drop(key, "duplicate")]
        entry = _Entry(key, payload, captured_at, captured_at + self.deadline_s)
        if entry.deadline <= now:
            return [self._drop(key, "expired")]
        self._wait(entry)
        return self._make_room()

    # ---- session and credit

    def open(self, now: float) -> list[Drop]:
        """A new session begins: no credit yet, all totals zero. One that was still open is closed first."""
        drops = self.close(now)
        self._open = True
        return drops

    def credit(self, windows_total: int, bytes_total: int, lease_s: float, now: float) -> None:
        """The router grants these totals since the session's start, and is believed for `lease_s` from `now`.

        A total never falls: an older grant that comes late changes only the lease. Without a session it is no grant.
        """
        if self._open:
            self._windows_total = max(self._windows_total, windows_total)
            self._bytes_total = max(self._bytes_total, bytes_total)
            self._lease_until = now + lease_s

    def close(self, now: float) -> list[Drop]:
        """The session is over. What was in flight waits again if it is still in time and was never lost before."""
        self._open = False
        self._windows_sent = self._windows_total = self._bytes_sent = self._bytes_total = 0
        self._lease_until = None
        drops = []
        for entry in list(self._flying.values()):
            if entry.deadline <= now:
                drops.append(self._drop(entry.key, "expired"))
            elif entry.losses and entry.sent:
                drops.append(self._drop(entry.key, "lost"))
            else:
                del self._flying[entry.key]
                entry.losses += entry.sent  # one that was never put on the wire was not lost
                entry.sent, entry.resends = False, 0
                self._wait(entry)
        return drops + self._make_room()

    # ---- windows out

    def next(self, now: float) -> Send[P] | None:
        """The window to send now, or None: nothing waits in time, or credit, lease or room in flight are used up."""
        if self._lease_until is None or now >= self._lease_until or len(self._flying) >= self.max_in_flight:
            return None
        if self._windows_given() >= self._windows_total or self._bytes_sent >= self._bytes_total:
            return None
        for stream_key, line in self._lines.items():
            entry = max(line, key=lambda each: each.key.t)
            if entry.deadline > now:  # else timer() drops it
                self._lines.move_to_end(stream_key)
                self._leave(entry)
                self._flying[entry.key] = entry
                return Send(entry.key, entry.payload, entry.deadline, resend=False)
        return None

    def sent(self, key: WindowKey, size_bytes: int) -> bool:
        """Accounts the window, just before it goes on the wire. False: it is over meanwhile, do not send it.

        `size_bytes` is the sum of `len(FrameData.data)` over the frames that go with it; the router counts the same.
        A window that comes to nothing before this (withdrawn, expired) costs no credit.
        """
        entry = self._flying.get(key)
        if entry is None:
            return False
        self._windows_sent += not entry.sent
        self._bytes_sent += size_bytes
        entry.sent = True
        return True

    def withdraw(self, key: WindowKey, reason: str) -> Drop | None:
        """The caller cannot send this window (it does not encode, say). `reason` is the caller's; None: it is over."""
        return self._drop(key, reason) if key in self._flying else None

    # ---- what the router says

    def answered(self, key: WindowKey, now: float) -> Verdict:
        """An answer came. It ends a window in flight, or one that was sent in an earlier session and waits again."""
        entry = self._flying.get(key) or next((e for e in self._waiting() if e.key == key and e.losses), None)
        verdict: Verdict
        if entry is None:
            answered_before = self._over.get(key)
            verdict = "unknown" if answered_before is None else "duplicate" if answered_before else "expired"
        elif entry.deadline <= now:
            self._drop(key, "unanswered")
            verdict = "expired"
        else:
            self._forget(key, answered=True)
            self.answered_total += 1
            return "accepted"
        self.ignored[verdict] += 1
        return verdict

    def dropped(self, key: WindowKey, reason: str) -> Drop | None:
        """The router will not answer this window. None where it was not in flight (any more)."""
        if key not in self._flying:
            return None
        name = f"router_{reason}"
        if name not in self.drops and sum(each.startswith("router_") for each in self.drops) >= ROUTER_REASONS:
            name = "router_other"
        return self._drop(key, name)

    def missing(self, key: WindowKey) -> Send[P] | Drop | None:
        """The router lacks frames of this window: send them again, on the same window credit.

        A Drop ("missing") where it asks too often, None where the window is not in flight (any more).
        """
        entry = self._flying.get(key)
        if entry is None or not entry.sent:
            return None
        if entry.resends >= RESENDS:
            return self._drop(key, "missing")
        entry.resends += 1
        return Send(key, entry.payload, entry.deadline, resend=True)

    # ---- time

    def next_timer(self) -> float | None:
        """When `timer` has something to do, in seconds of the caller's clock; None: nothing to wait for."""
        times = [entry.deadline for entry in self._waiting()]
        times += [entry.deadline for entry in self._flying.values()]
        if self._lease_until is not None:
            times.append(self._lease_until)
        return min(times, default=None)

    def timer(self, now: float) -> list[Drop | Lapsed]:
        """Drops what is overdue, and says when the lease has ended."""
        todo: list[Drop | Lapsed] = []
        todo += [self._drop(e.key, "expired") for e in list(self._waiting()) if e.deadline <= now]
        todo += [self._drop(e.key, "unanswered") for e in list(self._flying.values()) if e.deadline <= now]
        if self._lease_until is not None and self._lease_until <= now:
            self._lease_until = None
            todo.append(Lapsed())
        return todo

    # ---- what can be asked

    @property
    def waiting(self) -> int:
        return sum(len(line) for line in self._lines.values())

    @property
    def in_flight(self) -> int:
        return len(self._flying)

    def ages_s(self, now: float) -> tuple[float, float]:
        """Seconds since the oldest window that waits, and the oldest in flight, was captured; 0 where there is none."""
        waiting = min((entry.captured_at for entry in self._waiting()), default=now)
        in_flight = min((entry.captured_at for entry in self._flying.values()), default=now)
        return max(0.0, now - waiting), max(0.0, now - in_flight)

    def idle(self, stream_key: StreamKey | None = None) -> bool:
        """True when nothing waits or is in flight, of this stream or (None) of any."""
        if stream_key is None:
            return not self._lines and not self._flying
        return stream_key not in self._lines and all(e.stream_key != stream_key for e in self._flying.values())

    def validate(self) -> None:
        """Raises AssertionError where an invariant is broken; tests call it after every step."""
        waiting = [entry.key for entry in self._waiting()]
        assert len(waiting) == len(set(waiting)) == self.waiting <= self.capacity
        assert len(self._flying) <= self.max_in_flight
        assert len(self._over) <= self.memory
        assert not set(waiting) & set(self._flying)
        assert not self._over.keys() & {*waiting, *self._flying}
        assert all(line and {e.stream_key for e in line} == {key} for key, line in self._lines.items())
        assert self.offered == self.answered_total + sum(self.drops.values()) + self.waiting + self.in_flight
        assert self._windows_given() <= self._windows_total
        assert self._open or (not self._flying and self._lease_until is None)
        assert all(not entry.sent for entry in self._waiting())

    # ---- inside

    def _waiting(self) -> Iterator[_Entry[P]]:
        return (entry for line in self._lines.values() for entry in line)

    def _windows_given(self) -> int:
        """Windows that used credit or are about to: one that leaves before it was sent gives its credit back."""
        return self._windows_sent + sum(not entry.sent for entry in self._flying.values())

    def _wait(self, entry: _Entry[P]) -> None:
        self._lines.setdefault(entry.stream_key, []).append(entry)

    def _leave(self, entry: _Entry[P]) -> None:
        line = self._lines[entry.stream_key]
        line.remove(entry)
        if not line:
            del self._lines[entry.stream_key]

    def _make_room(self) -> list[Drop]:
        drops = []
        while self.waiting > self.capacity:
            longest = max(len(line) for line in self._lines.values())
            losers = [entry for line in self._lines.values() if len(line) == longest for entry in line]
            drops.append(self._drop(min(losers, key=lambda each: (each.captured_at, each.key)).key, "superseded"))
        return drops

    def _drop(self, key: WindowKey, reason: str) -> Drop:
        self._forget(key, answered=False)
        self.drops[reason] += 1
        return Drop(key, reason)

    def _forget(self, key: WindowKey, answered: bool) -> None:
        if self._flying.pop(key, None) is None:
            for entry in [each for each in self._waiting() if each.key == key]:
                self._leave(entry)
        self._over[key] = answered
        if len(self._over) > self.memory:
            self._over.popitem(last=False)
