"""The network `trace`: a link whose round trip and rate change over time, and a cloud behind it (§VI-C, DESIGN §7).

The link is described by a CSV file with the columns `t_s, rtt_ms, rate_mbit`, one row a change: from `t_s` seconds of
the stream on, messages take half of `rtt_ms` each way, and the uplink carries `rate_mbit` Mbit/s; 0 is an outage. The
first row counts before its time, the last one for ever. Lines that begin with # are comments.

What goes over it is decided by the live uplink's own machine, on the stream's clock: `Backlog`, in which the newest
window wins and the overdue one is dropped, and credit that the router gives back with each window that is over. Windows
share frames: one that the router has is not sent again. Bytes are those of the encoded frames; encoding takes no time
and headers no room. The answer is small, so the way home costs half a round trip.
"""

from __future__ import annotations

import csv
import heapq
import math
import random
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

from clownfish.backlog import Backlog, Send
from clownfish.errors import ConfigError
from clownfish.evaluation.dump import Dump
from clownfish.evaluation.network import Link
from clownfish.gate import SendWhy
from clownfish.messages import WindowKey

COLUMNS = ("t_s", "rtt_ms", "rate_mbit")

_KNOWN_FRAMES = 64
"""Frames that the router is taken to have, as in the live uplink."""
_NO_LIMIT = 1 << 62


class Trace:
    """The link of a CSV file or of a lab's profile (see `profiles`), or with `rtt_ms` and `rate_mbit` one that stays as
    it is; and the cloud behind it."""

    def __init__(
        self,
        path: str = "",
        *,
        profile: str = "",
        rtt_ms: float | None = None,
        rate_mbit: float | None = None,
        fps: float | None = None,
        local_ms: float = 20.0,
        remote_ms: float = 50.0,
        workers: int = 1,
        credit: int = 4,
        backlog: int = 16,
        deadline_ms: float = 8000.0,
        loss: float = 0.0,
        seed: int = 0,
        share: float = 1.0,
    ) -> None:
        """`fps` of the stream, by default what its dump says; `local_ms` from a window's last frame to its live answer;
        `remote_ms` a worker's time for one window.

        `credit` windows may be on their way or in work, `backlog` may wait for it, each until `deadline_ms` after its
        last frame: as [router] windows_per_edge and [uplink] backlog, deadline_ms. `loss`: share of the windows whose
        answer never comes, chosen with `seed`. `share`: of the rate, where other streams have the rest. Raises
        ConfigError for a file that is no trace, ValueError for numbers.
        """
        fixed = rtt_ms is not None and rate_mbit is not None
        if bool(path) + bool(profile) + fixed != 1 or (rtt_ms is None) != (rate_mbit is None):
            raise ValueError(
                "expected path=FILE.csv, or profile=NAME of the network lab, or both rtt_ms and rate_mbit for a link "
                "that stays as it is"
            )
        if rtt_ms is not None and rate_mbit is not None:
            _check(rtt_ms, rate_mbit, "network trace")
        if not ((fps is None or fps > 0) and local_ms >= 0 and remote_ms >= 0 and deadline_ms > 0 and 0 <= loss <= 1):
            raise ValueError(
                f"{fps=} {local_ms=} {remote_ms=} {deadline_ms=} {loss=}; expected times of 0 or more, fps and "
                "deadline_ms above 0, loss of 0 to 1"
            )
        if not 0 < share <= 1:
            raise ValueError(f"share is {share}; expected 0 < share ≤ 1, of the link's rate")
        if workers < 1 or credit < 1 or backlog < 1:
            raise ValueError(f"{workers=} {credit=} {backlog=}; expected at least 1 of each")
        if profile:
            from clownfish.evaluation.profiles import rows_of_profile  # reads traces itself

            self.rows = rows_of_profile(profile)
        else:
            self.rows = read_trace(Path(path)) if path else ((0.0, rtt_ms or 0.0, rate_mbit or 0.0),)
        self.rows = tuple((t_s, rtt, share * rate) for t_s, rtt, rate in self.rows)
        self.fps = fps
        self.local_s, self.remote_s, self.deadline_s = local_ms / 1000, remote_ms / 1000, deadline_ms / 1000
        self.workers, self.credit, self.backlog = workers, credit, backlog
        self.loss, self.seed = loss, seed

    def open(self, dump: Dump) -> Link:
        return TracedLink(self, dump)


def read_trace(path: Path) -> tuple[tuple[float, float, float], ...]:
    """(t_s, rtt_ms, rate_mbit) of each row. Raises ConfigError that names file, line, what was read and expected."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    numbered = [(n, line) for n, line in enumerate(lines, 1) if line.strip() and not line.lstrip().startswith("#")]
    cells = [[cell.strip() for cell in row] for row in csv.reader(line for _, line in numbered)]
    if not cells or tuple(cells[0]) != COLUMNS:
        read = ",".join(cells[0]) if cells else "nothing"
        raise ConfigError(f"{path}: the first line is {read[:80]!r}; expected {','.join(COLUMNS)}")
    rows: list[tuple[float, float, float]] = []
    for (n, line), row in zip(numbered[1:], cells[1:], strict=True):
        try:
            t_s, rtt_ms, rate_mbit = (float(cell) for cell in row)
            _check(rtt_ms, rate_mbit, f"{path}:{n}")
        except ValueError as error:
            raise ConfigError(f"{path}:{n}: {line[:80]!r}: {error}; expected {','.join(COLUMNS)} as numbers") from error
        if not math.isfinite(t_s) or (rows and t_s <= rows[-1][0]):
            raise ConfigError(f"{path}:{n}: t_s is {t_s:g}; expected seconds that grow from row to row")
        rows.append((t_s, rtt_ms, rate_mbit))
    if not rows:
        raise ConfigError(f"{path}: has no rows; expected at least one of {','.join(COLUMNS)}")
    return tuple(rows)


def _check(rtt_ms: float, rate_mbit: float, where: str) -> None:
    if not (math.isfinite(rtt_ms) and math.isfinite(rate_mbit) and rtt_ms >= 0 and rate_mbit >= 0):
        raise ValueError(f"{where}: rtt_ms {rtt_ms:g} and rate_mbit {rate_mbit:g}; expected 0 or more")


class TracedLink(Link):
    """One replay's way over a `Trace`."""

    def __init__(self, trace: Trace, dump: Dump) -> None:
        super().__init__()
        self.wire_bytes = 0
        self._trace = trace
        self._begins = [t_s for t_s, _, _ in trace.rows]
        self._header = dump.header
        self._fps = trace.fps or dump.header.fps
        self._frame_bytes = dump.frame_bytes.tolist()
        self._backlog: Backlog[None] = Backlog(trace.backlog, trace.deadline_s, max_in_flight=_NO_LIMIT)
        self.drops = self._backlog.drops
        self._backlog.open(0.0)
        self._over = 0
        """Windows that the router is done with, as the edge knows."""
        self._grant(0.0)
        self._now = 0.0
        self._events: list[tuple[float, int, str]] = []
        """(when, t, "answered" or "expired"), a heap."""
        self._link_free = 0.0
        self._workers_free = [0.0] * trace.workers
        self._known: OrderedDict[int, None] = OrderedDict()
        self._here: list[int] = []
        self._chance = random.Random(trace.seed)

    # -- what replay asks

    def send(self, t: int, why: SendWhy) -> None:
        captured = self._captured(t)
        self._advance(captured + (self._trace.local_s if why == "transition" else 0.0))
        self._backlog.offer(self._key(t), None, captured, self._now)
        self._transmit_what_may()

    def before(self, t: int) -> Sequence[int]:
        self._advance(self._captured(t) + self._trace.local_s)
        return self._collect()

    def rest(self) -> Sequence[int]:
        self._advance(self._now + self._trace.deadline_s)  # by then everything is answered or overdue
        return self._collect()

    # -- the stream's clock

    def _captured(self, t: int) -> float:
        """When the last frame of window t is there."""
        return (t * self._header.stride + self._header.size) / self._fps

    def _advance(self, until: float) -> None:
        """All that happens up to then, in order."""
        while True:
            event = self._events[0][0] if self._events else math.inf
            timer = self._backlog.next_timer()
            due = min(event, math.inf if timer is None else timer)
            if due > until:
                break
            self._now = max(self._now, due)
            if event <= due:
                _, t, what = heapq.heappop(self._events)
                self._came(t, what)
            else:
                self._backlog.timer(self._now)
            self._transmit_what_may()
        self._now = max(self._now, until)

    def _came(self, t: int, what: str) -> None:
        """The router's word of window t has reached the edge, and with it credit for another."""
        self._over += 1
        self._grant(self._now)
        if what != "answered":
            self._backlog.dropped(self._key(t), what)
        elif self._backlog.answered(self._key(t), self._now) == "accepted":
            self._here.append(t)

    def _grant(self, now: float) -> None:
        self._backlog.credit(self._over + self._trace.credit, _NO_LIMIT, math.inf, now)

    def _collect(self) -> list[int]:
        here, self._here = self._here, []
        return here

    # -- the link, and the cloud

    def _transmit_what_may(self) -> None:
        while (item := self._next()) is not None:
            t = item.key.t
            frames = range(t * self._header.stride, t * self._header.stride + self._header.size)
            new = [n for n in frames if n not in self._known]
            size_bytes = sum(self._frame_bytes[n] for n in new)
            self._backlog.sent(item.key, size_bytes)
            self.wire_bytes = (self.wire_bytes or 0) + size_bytes
            self._known.update(dict.fromkeys(new))
            while len(self._known) > _KNOWN_FRAMES:
                self._known.popitem(last=False)
            self._link_free = self._carried(max(self._now, self._link_free), size_bytes)
            self._gone_out(item.key, size_bytes)
            if math.isfinite(self._link_free):
                self._answer(t, self._link_free, item.deadline)

    def _next(self) -> Send[None] | None:
        return self._backlog.next(self._now)

    def _gone_out(self, key: WindowKey, size_bytes: int) -> None:
        """A window was given to the link, which will have sent it at `_link_free`."""

    def _answer(self, t: int, sent: float, deadline: float) -> None:
        """The window's last byte left at `sent`: when the edge hears of it, and what."""
        arrived = sent + self._delay(sent)
        worker = min(range(len(self._workers_free)), key=self._workers_free.__getitem__)
        begin = max(arrived, self._workers_free[worker])
        lost = self._chance.random() < self._trace.loss
        if begin >= deadline or lost:  # no worker begins what is overdue; a lost one holds its credit until then
            over = max(arrived, deadline)
            heapq.heappush(self._events, (over + self._delay(over), t, "expired"))
            return
        done = self._workers_free[worker] = begin + self._trace.remote_s
        heapq.heappush(self._events, (done + self._delay(done), t, "answered"))

    def _row(self, when: float) -> int:
        return max(0, bisect_right(self._begins, when) - 1)

    def _delay(self, when: float) -> float:
        return self._trace.rows[self._row(when)][1] / 2000

    def _carried(self, begin: float, size_bytes: int) -> float:
        """When the last of so many bytes has left, of a transmission that begins then; inf: never."""
        left_mbit = size_bytes * 8e-6
        row = self._row(begin)
        while left_mbit > 0:
            rate = self._trace.rows[row][2]
            until = self._begins[row + 1] if row + 1 < len(self._begins) else math.inf
            if rate > 0 and left_mbit <= rate * (until - begin):
                return begin + left_mbit / rate
            if math.isinf(until):
                return math.inf
            left_mbit -= rate * (until - begin)
            begin, row = until, row + 1
        return begin

    def _key(self, t: int) -> WindowKey:
        return WindowKey(self._header.stream, 0, t)
