"""Patience: when a live source that owes a frame is given up (layer 0).

    opening ──frame──▶ flowing ⇄ idle          idle: the graph owes, not the source

Opening is up to the first frame, which may wait for the connection, and then for a picture that stands alone; it has
`open_s`. From then on a frame is owed within `stall_s`. A source that is given up is not waited for any more, whether
its read returns or not: who reads it is ended.
"""

from __future__ import annotations

from typing import Literal

State = Literal["opening", "flowing", "idle"]


class Patience:
    """One connection to one source. Times are seconds of a monotonic clock."""

    def __init__(self, open_s: float, stall_s: float, now: float) -> None:
        """It begins to open now. Raises ValueError unless both are above 0."""
        if not (open_s > 0 and stall_s > 0):
            raise ValueError(f"open_s {open_s} and stall_s {stall_s}; expected above 0")
        self._open_s, self._stall_s = open_s, stall_s
        self._since = now
        self.state: State = "opening"

    def idle(self) -> None:
        """A frame came, and is handed on: the source owes nothing."""
        self.state = "idle"

    def owing(self, now: float) -> None:
        """The next frame is owed from now on."""
        self.state, self._since = "flowing", now

    def owed_s(self, now: float) -> float:
        """For how long something has been owed."""
        return 0.0 if self.state == "idle" else now - self._since

    def due(self) -> float | None:
        """When it is given up unless something comes; None where nothing is owed."""
        if self.state == "idle":
            return None
        return self._since + (self._open_s if self.state == "opening" else self._stall_s)

    def over(self, now: float) -> bool:
        """Whether it is to be given up."""
        due = self.due()
        return due is not None and now >= due
