"""Allowance: what may be sent, as a mean rate and by the month; a month's count outlives the process (layer 0).

- `mbit_s` is a mean: a bucket of one minute's worth fills at that rate and begins empty. The rate to aim at follows its
  level, from half to one and a half times `mbit_s`, so what was saved may be spent, and what was overspent is saved.
- `gb_month` (10⁹ bytes) is of the calendar month, UTC: it begins anew with the first second of the next one. The rate
  to aim at is what is left ÷ the time left of the month; at nothing left nothing goes. The count lies in a buffer that
  the process layer maps from a file of the state folder, so neither a crash nor a restart of the box forgets it.

What counts are encoded frames; the messages around them, CURVE, TCP and IP add some 3 to 8 %.
"""

from __future__ import annotations

import math
from datetime import datetime, timezone
from mmap import mmap
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from clownfish.errors import ConfigError

Buffer: TypeAlias = bytearray | memoryview | mmap

BUFFER_BYTES = 4 * 8
_MAGIC = int.from_bytes(b"clwnmon2", "little", signed=True)
_LAST_MONTH = 12 * 9999 + 11  # what a calendar has
BUCKET_S = 60.0


class Allowance:
    """`now` is a monotonic clock's, `utc_s` the calendar's (seconds since 1970)."""

    def __init__(
        self, mbit_s: float | None = None, gb_month: float | None = None, buffer: Buffer | None = None
    ) -> None:
        """`buffer`: writable, BUFFER_BYTES; without one a month's count ends with the process. Raises ConfigError."""
        for name, value in (("mbit_s", mbit_s), ("gb_month", gb_month)):
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(f"allowance: {name} is {value}; expected more than 0, or none at all")
        self._rate = None if mbit_s is None else mbit_s * 1e6 / 8
        self._level = 0.0
        self._filled: float | None = None
        self._month = None if gb_month is None else gb_month * 1e9
        raw = bytearray(BUFFER_BYTES) if buffer is None else buffer
        self._record: npt.NDArray[np.int64] = np.frombuffer(raw, np.int64, 4)
        # magic; the month that is counted; its bytes; the month that the calendar showed last
        self.origin: Literal["new", "continued", "reset"] = "continued"
        """How the buffer was found: all zeros, with a sane count, or damaged and therefore emptied (report it)."""
        magic, month, spent, shown = (int(field) for field in self._record)
        if magic != _MAGIC or not (0 <= month <= _LAST_MONTH and 0 <= shown <= _LAST_MONTH) or spent < 0:
            self.origin = "reset" if self._record.any() else "new"
            self._record[:] = 0
            self._record[0] = _MAGIC

    def spend(self, size_bytes: int, now: float, utc_s: float) -> None:
        """So much goes on the wire."""
        self._fill(now)
        self._level -= size_bytes
        self._turn(utc_s)
        self._record[2] += size_bytes

    def rate(self, now: float, utc_s: float) -> float:
        """Bytes/s to aim at now; inf where nothing is limited."""
        rate = math.inf
        if self._rate is not None:
            self._fill(now)
            rate = self._rate * (0.5 + max(-0.5, self._level / (self._rate * BUCKET_S)))
        if self._month is not None:
            rate = min(rate, max(0.0, self.left(utc_s)) / max(1.0, _month_ends(utc_s) - utc_s))
        return rate

    def used_up(self, now: float, utc_s: float) -> bool:
        """Whether nothing may go now: the month's is spent, or a minute's worth was overspent."""
        self._fill(now)
        over = self._rate is not None and self._level < -self._rate * BUCKET_S / 2
        return over or (self._month is not None and self.left(utc_s) <= 0)

    def left(self, utc_s: float) -> float:
        """Bytes left of the month; inf without a limit."""
        if self._month is None:
            return math.inf
        self._turn(utc_s)
        return self._month - float(self._record[2])

    @property
    def month_bytes(self) -> int:
        """Sent in the month of the last call."""
        return int(self._record[2])

    def _fill(self, now: float) -> None:
        if self._rate is None:
            return
        if self._filled is not None:
            self._level = min(self._rate * BUCKET_S, self._level + self._rate * max(0.0, now - self._filled))
        self._filled = now if self._filled is None else max(self._filled, now)

    def _turn(self, utc_s: float) -> None:
        """A new month begins with nothing spent. A clock that goes back a month does not give one back; where it had
        been wrong (2036) and is right again, the next month is a new one all the same.
        """
        month, (counted, _, shown) = _month(utc_s), self._record[1:]
        if month > counted or month == shown + 1 < counted:
            self._record[2] = 0  # first: killed here, the old month has lost its count, and the new one nothing
            self._record[1] = month
        self._record[3] = month


def _month(utc_s: float) -> int:
    when = datetime.fromtimestamp(utc_s, timezone.utc)
    return 12 * when.year + when.month - 1


def _month_ends(utc_s: float) -> float:
    year, month = divmod(_month(utc_s) + 1, 12)
    return datetime(year, month + 1, 1, tzinfo=timezone.utc).timestamp()
