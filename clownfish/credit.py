"""CreditLedger: what the router lets one uplink session send (DESIGN §7).

A high-water mark is no back-pressure on TCP, so the router says how much may come: totals since the session's Hello, in
windows and in bytes, as QUIC's MAX_DATA does. A grant is what is finished plus the edge's share, so what is granted and
not finished never exceeds the share, and a lost or repeated Credit does no harm.

One ledger is one session: make it at Hello, throw it away when the session ends. Bytes are `len(FrameData.data)`.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

from clownfish.messages import WindowKey

Receipt = Literal["accepted", "again", "late", "overdrawn"]


class CreditLedger:
    """Counts one session's windows and bytes; see `totals` for what to grant."""

    def __init__(self, windows_per_edge: int = 4, bytes_per_edge: int = 4 << 20, memory: int = 1024) -> None:
        if windows_per_edge < 1 or bytes_per_edge < 1:
            raise ValueError(f"an edge's share must let it send, got {windows_per_edge=} {bytes_per_edge=}")
        self.windows_per_edge = windows_per_edge
        self.bytes_per_edge = bytes_per_edge
        self.memory = memory
        """Finished windows that are remembered, to tell frames that come late from a new window."""
        self.overdrawn = 0
        """Windows that came beyond the grant."""
        self._outstanding: dict[WindowKey, int] = {}  # bytes that came with each unfinished window
        self._over: OrderedDict[WindowKey, None] = OrderedDict()
        self._windows_finished = 0
        self._bytes_finished = 0

    def totals(self) -> tuple[int, int]:
        """(windows_total, bytes_total) since Hello: neither ever falls."""
        return self._windows_finished + self.windows_per_edge, self._bytes_finished + self.bytes_per_edge

    def is_low(self, told: tuple[int, int]) -> bool:
        """Whether half of the share or less is left to an edge that was last told these totals: time to tell it again.

        An edge with more than that is held up by nothing, and a Credit costs the router as much as an Answer.
        """
        windows, size_bytes = self.outstanding
        windows_left = told[0] - self._windows_finished - windows
        bytes_left = told[1] - self._bytes_finished - size_bytes
        return 2 * windows_left <= self.windows_per_edge or 2 * bytes_left <= self.bytes_per_edge

    @property
    def outstanding(self) -> tuple[int, int]:
        """Windows and bytes received and not finished."""
        return len(self._outstanding), sum(self._outstanding.values())

    def received(self, key: WindowKey, size_bytes: int) -> Receipt:
        """A WindowRequest came, and `size_bytes` of FrameData since the request before it.

        "again": the window is here already (its missing frames were sent): no second window is counted, its bytes are.
        "late": the window was finished while its missing frames travelled; ignore it.
        "overdrawn": beyond the grant; drop it with that reason. It is finished at once, so that totals keep in step.
        An edge may overdraw its bytes by the window that reaches the limit and by frames that are asked for again; only
        one that is a whole share beyond that does not count.
        """
        if key in self._outstanding:
            self._outstanding[key] += size_bytes
            return "again"
        if key in self._over:
            self._bytes_finished += size_bytes
            return "late"
        windows, bytes_before = self.outstanding
        if windows >= self.windows_per_edge or bytes_before >= 2 * self.bytes_per_edge:
            self.overdrawn += 1
            self._finish(key, size_bytes)
            return "overdrawn"
        self._outstanding[key] = size_bytes
        return "accepted"

    def finished(self, key: WindowKey) -> tuple[int, int] | None:
        """The window was answered or dropped: the new totals to grant. None where it is not outstanding (any more)."""
        size_bytes = self._outstanding.pop(key, None)
        if size_bytes is None:
            return None
        self._finish(key, size_bytes)
        return self.totals()

    def _finish(self, key: WindowKey, size_bytes: int) -> None:
        self._windows_finished += 1
        self._bytes_finished += size_bytes
        self._over[key] = None
        if len(self._over) > self.memory:
            self._over.popitem(last=False)
