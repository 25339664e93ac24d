"""Gate: joins window t with its ρ_t and asks the filter policy twice (§III-D, DESIGN §5.3; layer 0).

Theory of operation. Windows come from `window`, their ρ from `local`, over two sockets, each in order of t but in
any order between them. A window is decided at once where the policy can (by period), else it waits for ρ_t. It waits
in vain if `local` has skipped it, which shows when a later ρ comes, or if `local` is late, which shows by the clock.

    window(t) ─ on_window ─ SEND → Send "periodic"
                          ─ SKIP → Release "skipped"
                          ─ WAIT → ρ_t here or later ─ on_rho or on_local → Send "transition", or Release "unchanged"
                                   a later ρ was here first   → Release "uninferred"
                                   `timeout_s` passed         → Release "timeout" (live streams only)
                                   too many wait              → Release "capacity", the oldest

A ρ that is ahead of its window is kept until the window, or a later one, is here: the policy sees each window before
its ρ, and each ρ once, in order of t. With ρ_t comes p_local of the window, for policies that look at it. All that is
kept is bounded: `capacity` waiting windows over all streams, as many early ρ in each stream, and `streams` streams.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeAlias, TypeVar

from clownfish.errors import ConfigError
from clownfish.filters.base import FilterPolicy, Paced, SeesLocal, Verdict
from clownfish.messages import Pace, StreamKey, Vector, WindowKey
from clownfish.streams import StreamTable

P = TypeVar("P")

SendWhy = Literal["periodic", "transition"]
"""`periodic`: decided when the window was formed; `transition`: decided by ρ, or by what the local model said."""

ReleaseWhy = Literal[
    "skipped", "unchanged", "uninferred", "timeout", "capacity", "stale", "ended", "replaced", "evicted"
]
"""`stale`: a window that came twice, went back in t, or belongs to an epoch that is over. `ended`, `replaced`,
`evicted`: it was waiting when its stream's epoch ended, a new one began, or the stream made room for another."""


@dataclass(frozen=True)
class Send(Generic[P]):
    """This window goes to the uplink."""

    key: WindowKey
    payload: P
    why: SendWhy


@dataclass(frozen=True, slots=True)
class Release:
    """This window is not sent, and no longer kept."""

    key: WindowKey
    why: ReleaseWhy


Decision: TypeAlias = Send[P] | Release


@dataclass
class _Stream(Generic[P]):
    policy: FilterPolicy
    waiting: OrderedDict[int, P] = field(default_factory=OrderedDict)
    """Windows that wait for ρ, by t, oldest first."""
    early: deque[tuple[int, float | None, Vector | None]] = field(default_factory=deque)
    """(t, ρ, p_local) of windows that are not here yet, oldest first."""
    newest_window: int = -1
    newest_rho: int = -1
    _sees_local: SeesLocal | None = field(init=False)

    def __post_init__(self) -> None:  # once: looking for methods by name costs, and asking comes with every window
        self._sees_local = self.policy if isinstance(self.policy, SeesLocal) else None

    def asked(self, t: int, rho: float | None, p_local: Vector | None) -> bool:
        """Whether the policy wants window t, now that `local` has spoken."""
        if p_local is not None and self._sees_local is not None:
            return self._sees_local.on_local(t, rho, p_local)
        return self.policy.on_rho(t, rho)


class Gate(Generic[P]):
    """Over many streams; `payload` is whatever the uplink is to get of a window.

    `counts` grows only: windows = every sent{why} + every released{why} + `waiting`; rhos (taken); rhos_stale (twice,
    back in t, or of an epoch that is over); transitions_missed (the policy wanted a window that is not here).
    """

    def __init__(
        self,
        make_policy: Callable[[], FilterPolicy],
        timeout_s: float = 1.0,
        capacity: int = 64,
        streams: int = 1024,
    ) -> None:
        """`make_policy` is called once for each (stream, epoch). Raises ConfigError where a bound is not positive."""
        if not timeout_s > 0 or capacity < 1 or streams < 1:
            raise ConfigError(
                f"gate: timeout_s is {timeout_s}, capacity {capacity}, streams {streams}; expected timeout_s > 0 and "
                "the others at least 1"
            )
        self.timeout_s = timeout_s
        self.capacity = capacity
        self.counts: Counter[str] = Counter()
        self._pace: Pace | None = None
        self._streams: StreamTable[_Stream[P]] = StreamTable(lambda: _Stream[P](self._paced(make_policy())), streams)
        self._waiting: OrderedDict[WindowKey, None] = OrderedDict()
        self._deadlines: OrderedDict[WindowKey, float] = OrderedDict()

    @property
    def waiting(self) -> int:
        """Windows that wait for their ρ."""
        return len(self._waiting)

    @property
    def open(self) -> int:
        """Epochs that are not over."""
        return len(self._streams)

    def pace(self, pace: Pace) -> None:
        """Every stream's policy that takes a pace goes on at this one, and those of streams to come."""
        if pace != self._pace:
            self._pace = pace
            for _, stream in self._streams:
                self._paced(stream.policy)

    def window(self, key: WindowKey, payload: P, now: float, live: bool = True) -> list[Decision[P]]:
        """Window `key` is formed. A window that is not live waits for ρ however long `local` takes."""
        self.counts["windows"] += 1
        stream, decisions = self._enter(key)
        t = key.t
        if stream is None or t <= stream.newest_window:
            decisions.append(self._release(key, "stale"))
            return decisions
        while stream.early and stream.early[0][0] < t:  # windows lost on their way here: their ρ still counts
            self._missed(stream.asked(*stream.early.popleft()))
        stream.newest_window = t
        verdict = stream.policy.on_window(t)
        here = bool(stream.early) and stream.early[0][0] == t
        wanted = here and stream.asked(*stream.early.popleft())
        if verdict is Verdict.SEND:
            decisions.append(self._send(key, payload, "periodic"))
        elif verdict is Verdict.SKIP:
            decisions.append(self._release(key, "skipped"))
        elif here:
            decisions.append(self._send(key, payload, "transition") if wanted else self._release(key, "unchanged"))
        elif t < stream.newest_rho:
            decisions.append(self._release(key, "uninferred"))
        else:
            if len(self._waiting) >= self.capacity:
                decisions.append(self._give_up(next(iter(self._waiting)), "capacity"))
            stream.waiting[t] = payload
            self._waiting[key] = None
            if live:
                self._deadlines[key] = now + self.timeout_s
        return decisions

    def rho(self, key: WindowKey, rho: float | None, now: float, p_local: Vector | None = None) -> list[Decision[P]]:
        """ρ of window `key` is known, None where it is undefined: decides that window, and all before it.

        `p_local` is the local model's answer for it, None where nobody said.
        """
        stream, decisions = self._enter(key)
        if stream is None or key.t <= stream.newest_rho:
            self.counts["rhos_stale"] += 1
            return decisions
        self.counts["rhos"] += 1
        stream.newest_rho = key.t
        while stream.waiting and next(iter(stream.waiting)) < key.t:
            passed = key._replace(t=next(iter(stream.waiting)))
            decisions.append(self._give_up(passed, "uninferred"))
        if key.t > stream.newest_window:
            stream.early.append((key.t, rho, p_local))
            if len(stream.early) > self.capacity:
                self._missed(stream.asked(*stream.early.popleft()))
            return decisions
        wanted = stream.asked(key.t, rho, p_local)
        if key.t not in stream.waiting:  # sent by period, or given up
            return decisions
        if wanted:
            decisions.append(self._send(key, self._take(key), "transition"))
        else:
            decisions.append(self._give_up(key, "unchanged"))
        return decisions

    def timer(self, now: float) -> list[Decision[P]]:
        """Releases the windows whose time is out."""
        decisions: list[Decision[P]] = []
        while self._deadlines:
            key, deadline = next(iter(self._deadlines.items()))
            if deadline > now:
                break
            decisions.append(self._give_up(key, "timeout"))
        return decisions

    def next_timer(self) -> float | None:
        """When to call `timer` next, on the clock of `now`; None while nothing can time out."""
        return next(iter(self._deadlines.values()), None)

    def end(self, key: StreamKey, now: float) -> list[Decision[P]]:
        """The stream's last ρ has come, or none will: release what waits and forget this epoch."""
        stream = self._streams.end(key)
        return [] if stream is None else self._close(key, stream, "ended")

    def _paced(self, policy: FilterPolicy) -> FilterPolicy:
        if self._pace is not None and isinstance(policy, Paced):
            policy.pace(self._pace)
        return policy

    def _enter(self, key: WindowKey) -> tuple[_Stream[P] | None, list[Decision[P]]]:
        stream, departed = self._streams.enter(StreamKey(key.stream, key.epoch))
        decisions: list[Decision[P]] = []
        for gone in departed:
            decisions += self._close(gone.key, gone.state, gone.why)
        return stream, decisions

    def _close(
        self, key: StreamKey, stream: _Stream[P], why: Literal["ended", "replaced", "evicted"]
    ) -> list[Decision[P]]:
        decisions: list[Decision[P]] = []
        for t in stream.waiting:
            window = WindowKey(*key, t)
            del self._waiting[window]
            self._deadlines.pop(window, None)
            decisions.append(self._release(window, why))
        stream.waiting.clear()
        return decisions

    def _take(self, key: WindowKey) -> P:
        stream = self._streams.get(StreamKey(key.stream, key.epoch))
        assert stream is not None, "a stream that left the table took its waiting windows with it"
        del self._waiting[key]
        self._deadlines.pop(key, None)
        return stream.waiting.pop(key.t)

    def _give_up(self, key: WindowKey, why: ReleaseWhy) -> Release:
        self._take(key)
        return self._release(key, why)

    def _missed(self, wanted: bool) -> None:
        self.counts["transitions_missed"] += wanted

    def _send(self, key: WindowKey, payload: P, why: SendWhy) -> Send[P]:
        self.counts[f'sent{{why="{why}"}}'] += 1
        return Send(key, payload, why)

    def _release(self, key: WindowKey, why: ReleaseWhy) -> Release:
        self.counts[f'released{{why="{why}"}}'] += 1
        return Release(key, why)
