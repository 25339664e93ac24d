"""Networks for replay: when, counted in windows, the answer to a window that was sent is there (§VI-C, DESIGN §7).

A network is opened for each replay, and its link is asked in the order of the live graph: a window is sent, then it is
fused. `before(t)` says which results have come since the last window was fused and are applied before `t` is: that of
`t` itself is on time, any other counts from the window fused before. What comes after the last window is `rest`.

- an int, or `FixedLag`: every result is applied that many windows later; 0 is on time;
- None, or `Never`: a cloud that never answers;
- `RecordedArrivals`: each result is applied after the window after which a live run applied it;
- `Trace` (module `trace`): a link of given round trip and rate, with the live uplink's own backlog before it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from clownfish.evaluation.dump import Dump
from clownfish.gate import SendWhy
from clownfish.messages import Pace, Vector
from clownfish.registry import Registry

BEFORE_ALL = -1
"""In place of the window after which a result was applied: it was there before any window was fused."""


class Link:
    """The way to the cloud and back, in one replay; by itself it loses everything. A link overrides what it does."""

    def __init__(self) -> None:
        self.drops: Counter[str] = Counter()
        """Windows sent that will not be answered, by reason, as the live uplink counts them."""
        self.wire_bytes: int | None = None
        """Encoded bytes that went over it; None: those of all windows sent, each frame once."""
        self.extra: Mapping[int, Vector] = {}
        """Remote answers for windows that the dump has not: those that local inference skipped."""
        self.seen: Mapping[int, Vector] = {}
        """Remote answers in place of the dump's, of windows that crossed the link as another picture than that has."""

    def pace(self) -> Pace | None:
        """What the uplink has told the filter to send, now that the next window is formed; None: nothing."""
        return None

    def send(self, t: int, why: SendWhy) -> None:
        """The gate has chosen window t, which is not fused yet."""

    def before(self, t: int) -> Sequence[int]:
        """Windows whose results are applied now, in this order; then t is fused."""
        return ()

    def rest(self) -> Sequence[int]:
        """Windows whose results come after the last one was fused, in order."""
        return ()


class Network(Protocol):
    """What `replay` sends windows over. Options are keyword arguments of the constructor: ValueError where wrong."""

    def open(self, dump: Dump) -> Link:
        """A link that nothing was sent over yet, for a replay of `dump`."""


class Never:
    """A cloud that never answers."""

    def open(self, dump: Dump) -> Link:
        return Link()


class FixedLag:
    """Every result is applied `windows` windows late, as Fusion counts it; 0 is on time. Raises ValueError below 0."""

    def __init__(self, windows: int = 1) -> None:
        if windows < 0:
            raise ValueError(f"lag is {windows} windows; expected 0 (on time) or more, or None (never)")
        self.windows = windows

    def open(self, dump: Dump) -> Link:
        return _OnTime() if self.windows == 0 else _Late(self.windows)


class _OnTime(Link):
    def __init__(self) -> None:
        super().__init__()
        self._sent: list[int] = []

    def send(self, t: int, why: SendWhy) -> None:
        self._sent.append(t)

    def before(self, t: int) -> Sequence[int]:
        if not self._sent:
            return ()
        came, self._sent = self._sent, []
        return came


class _Late(Link):
    def __init__(self, lag: int) -> None:
        super().__init__()
        self._lag = lag
        self._newest = BEFORE_ALL
        self._on_the_way: deque[int] = deque()

    def send(self, t: int, why: SendWhy) -> None:
        self._on_the_way.append(t)

    def before(self, t: int) -> Sequence[int]:
        newest, self._newest = self._newest, t
        if not self._on_the_way or self._on_the_way[0] + self._lag > newest:
            return ()
        came = []
        while self._on_the_way and self._on_the_way[0] + self._lag <= newest:
            came.append(self._on_the_way.popleft())
        return came

    def rest(self) -> Sequence[int]:
        return tuple(self._on_the_way)


class RecordedArrivals:
    """Results as they came in a live run.

    `arrivals`: (after, t) in the order in which they were applied: the newest window fused then, BEFORE_ALL before the
    first, and the window answered. `extra`: answers for windows that were not inferred. By default everything comes,
    whatever the replay sends, which is the live run once more. With `sends`, the windows that the live run sent, it
    answers another policy: a window that was sent then comes when it came, or never if it did not; one that was not
    comes `lag` windows late (None: never).
    """

    def __init__(
        self,
        arrivals: Iterable[tuple[int, int]],
        *,
        extra: Mapping[int, Vector] | None = None,
        sends: Iterable[int] | None = None,
        lag: int | None = None,
    ) -> None:
        self.arrivals = tuple(arrivals)
        after = [each for each, _ in self.arrivals]
        if after != sorted(after):
            raise ValueError(f"arrivals go back in time: after windows {after}; expected in the order of application")
        self.extra = dict(extra or {})
        self.sends = None if sends is None else frozenset(sends)
        self.lag = lag

    def open(self, dump: Dump) -> Link:
        return _Again(self, dump)


class _Again(Link):
    def __init__(self, recorded: RecordedArrivals, dump: Dump) -> None:
        super().__init__()
        self.extra = recorded.extra
        self._sends = recorded.sends
        self._sent: set[int] = set()
        self._due = deque(recorded.arrivals)
        self._others = as_network(recorded.lag).open(dump)
        """Brings what the live run did not send."""
        self._newest = BEFORE_ALL

    def send(self, t: int, why: SendWhy) -> None:
        self._sent.add(t)
        if self._sends is not None and t not in self._sends:
            self._others.send(t, why)

    def before(self, t: int) -> Sequence[int]:
        newest, self._newest = self._newest, t
        came = []
        while self._due and self._due[0][0] <= newest:
            came.append(self._due.popleft()[1])
        return self._wanted(came, self._others.before(t))

    def rest(self) -> Sequence[int]:
        return self._wanted([t for _, t in self._due], self._others.rest())

    def _wanted(self, came: list[int], others: Sequence[int]) -> Sequence[int]:
        return came if self._sends is None else [*(t for t in came if t in self._sent), *others]


def as_network(network: int | Network | None) -> Network:
    """A lag in windows, or None, as the network it stands for. Raises ValueError for a negative one."""
    if network is None:
        return Never()
    return FixedLag(network) if isinstance(network, int) else network


NETWORKS: Registry[type[Network]] = Registry(
    "network",
    {
        "lag": "clownfish.evaluation.network:FixedLag",
        "never": "clownfish.evaluation.network:Never",
        "trace": "clownfish.evaluation.trace:Trace",
    },
)
