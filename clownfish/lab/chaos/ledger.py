"""The ledger of one edge: every window that was offered to its uplink, and what became of it. Pure.

A window ends once: it is answered, or dropped for a reason that the uplink notes, or refused because the box's own
queue was full. Only what the edge held when it was killed may end untold: it died with the edge. An uplink says within
its deadline what becomes of a window, so one that was older than that at the kill should have ended before.

Faults are sentences; a run without one kept every rule. Times are seconds of a monotonic clock, given by the caller.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from clownfish.messages import WindowKey

ANSWERED, FULL, DIED = "answered", "box full", "died with the edge"
_SLACK_S = 2.0
"""A drop is noted some time after the deadline: the process's loop, and the way of the note."""


@dataclass
class _Entry:
    at: float
    end: str = ""
    answers: int = 0


class Ledger:
    """`deadline_s`: the uplink's, from the offer."""

    def __init__(self, name: str, deadline_s: float) -> None:
        self._name = name
        self._deadline_s = deadline_s
        self._entries: dict[WindowKey, _Entry] = {}
        self._dead: list[tuple[float, float]] = []
        """From each kill until the next process was ready."""
        self.faults: list[str] = []

    def __len__(self) -> int:
        return len(self._entries)

    # -- what happens

    def offered(self, key: WindowKey, now: float) -> None:
        """A window was given to the uplink."""
        self._entries[key] = _Entry(now)

    def full(self, key: WindowKey) -> None:
        """The uplink's inbox had no room for it: it stays in the box."""
        self._end(key, FULL)

    def noted(self, key: WindowKey, what: str) -> None:
        """The uplink noted this of it: `dropped REASON` and `answered` are ends, all else is on the way."""
        if what == ANSWERED or what.startswith("dropped "):
            self._end(key, what.removeprefix("dropped "))

    def answered(self, key: WindowKey, right: bool) -> None:
        """A RemoteResult came home. `right`: it is what the model says of this very window."""
        entry = self._entries.get(key)
        if entry is None:
            self._fault(key, "was answered and never offered")
            return
        entry.answers += 1
        if entry.answers > 1:
            self._fault(key, f"was answered {entry.answers} times")
        if not right:
            self._fault(key, "got the answer of another window")

    def killed(self, now: float) -> None:
        """The uplink's process was killed."""
        self._dead.append((now, float("inf")))

    def ready(self, now: float) -> None:
        """A process is ready: the first, or after a kill."""
        if self._dead and self._dead[-1][1] == float("inf"):
            self._dead[-1] = (self._dead[-1][0], now)

    # -- what can be asked

    def fates(self) -> Counter[str]:
        """How many windows ended how. To be asked when nothing is under way any more: what is open needs an excuse."""
        fates: Counter[str] = Counter()
        for key, entry in self._entries.items():
            end = entry.end
            if entry.answers and end != ANSWERED:
                if end and not self._excused(entry):
                    self._fault(key, f"was answered, and noted as {end}")
                end = ANSWERED  # the note died with the edge, the answer did not
            elif end == ANSWERED and not entry.answers:
                if not self._excused(entry):
                    self._fault(key, "was noted as answered, and no answer came home")
                end = DIED
            elif not end:
                if not self._excused(entry):
                    self._fault(key, "was neither answered nor dropped")
                end = DIED
            fates[end] += 1
        return fates

    def _excused(self, entry: _Entry) -> bool:
        """Whether the edge was dead when it got the window, or was killed while it could still hold it."""
        lived = self._deadline_s + _SLACK_S
        return any(dead - lived <= entry.at <= back + _SLACK_S for dead, back in self._dead)

    def _end(self, key: WindowKey, end: str) -> None:
        entry = self._entries.get(key)
        if entry is None:
            self._fault(key, f"was noted as {end} and never offered")
        elif entry.end:
            self._fault(key, f"ended twice: {entry.end}, then {end}")
        else:
            entry.end = end

    def _fault(self, key: WindowKey, what: str) -> None:
        self.faults.append(f"{self._name}: window {key.t} {what}")
