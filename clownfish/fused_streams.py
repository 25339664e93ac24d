"""FusedStreams: a fusion machine for each stream and epoch, from its first window to its end (DESIGN §2, §6). Layer 0.

An epoch ends in three ways: its End comes from `local` (the source ended), a new epoch of the same stream begins
(capture restarted), or too many streams are open. Results may still be on their way then: the epoch is finished when
`uplink` says that nothing is outstanding, or after `drain_s`. Late messages of a finished epoch do not bring it back.

Windows that were formed and never came are counted where it shows, whoever lost them: as holes in t, here.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from clownfish.fusions.base import FusionMethod
from clownfish.messages import End, FusedResult, LocalResult, RemoteResult, StreamKey
from clownfish.watermarks import Watermarks

_REMEMBERED = 4096
"""Finished epochs that are remembered."""


@dataclass
class _Epoch:
    fusion: FusionMethod
    end: End | None = None
    drained: bool = False
    """`uplink` has nothing outstanding for it."""
    due: float | None = None
    """When it is finished at the latest."""


class FusedStreams:
    """`make` builds the machine of one stream and epoch. `remote`: whether there is an uplink to wait for at the end.

    `counts` grows only: windows_missing, finals_missing (answered before this process, and not closed by it),
    local_duplicate, local_stale, remote_late, remote_duplicate, remote_applied,
    remote_stale (of an epoch that is over), refused (not a distribution over the classes).
    """

    def __init__(
        self,
        make: Callable[[StreamKey], FusionMethod],
        *,
        size: int,
        stride: int,
        remote: bool = True,
        drain_s: float = 10.0,
        capacity: int = 1024,
        watermarks: Watermarks | None = None,
    ) -> None:
        self._make = make
        self._size, self._stride = size, stride
        self._remote = remote
        self._drain_s = drain_s
        self._capacity = capacity
        self._watermarks = watermarks or Watermarks()
        self._epochs: OrderedDict[StreamKey, _Epoch] = OrderedDict()
        self._over: OrderedDict[StreamKey, None] = OrderedDict()
        self.counts: Counter[str] = Counter()
        self.refusal = ""
        """Why the last refused message was refused."""

    @property
    def open(self) -> int:
        """Epochs not finished yet."""
        return len(self._epochs)

    @property
    def names(self) -> frozenset[str]:
        """Streams that have epochs not finished yet."""
        return frozenset(key.stream for key in self._epochs)

    @property
    def rejected(self) -> int:
        """Messages that no machine took: of an epoch that is over, a window that was answered, no distribution."""
        return sum(self.counts[why] for why in ("local_stale", "local_duplicate", "remote_stale", "refused"))

    @property
    def unused(self) -> int:
        """Messages that changed nothing: those, and remote answers that came too late, or twice."""
        return self.rejected + self.counts["remote_late"] + self.counts["remote_duplicate"]

    def local(self, result: LocalResult, now: float) -> list[FusedResult | End]:
        """A window was inferred: its revision 0, and closing revisions of windows that left the horizon."""
        key = StreamKey(result.stream, result.epoch)
        epoch, out = self._enter(key, now)
        if epoch is None or epoch.end is not None:
            self.counts["local_stale"] += 1
            return out
        newest = epoch.fusion.newest if epoch.fusion.newest is not None else self._watermarks.get(key)
        if newest is not None and result.t <= newest:
            self.counts["local_duplicate"] += 1
            return out
        try:
            answer = epoch.fusion.fuse(result.t, result.p, result.rho)
        except ValueError as error:
            self._refuse(error)
            return out
        self._watermarks.set(key, result.t)
        self.counts["windows_missing"] += result.t - (-1 if newest is None else newest) - 1
        return [*out, answer, *epoch.fusion.closed()]

    def remote(self, result: RemoteResult, now: float) -> list[FusedResult | End]:
        """The cloud answered, on time or late: the windows that it revises, oldest first."""
        epoch, out = self._enter(StreamKey(result.stream, result.epoch), now)
        if epoch is None:
            self.counts["remote_stale"] += 1
            return out
        fusion = epoch.fusion
        before = (fusion.applied, fusion.late, fusion.duplicate)
        try:
            out += fusion.reinforce(result.t, result.p)
        except ValueError as error:
            self._refuse(error)
        for name, was, counted in zip(
            ("remote_applied", "remote_late", "remote_duplicate"),
            before,
            (fusion.applied, fusion.late, fusion.duplicate),
            strict=True,
        ):
            self.counts[name] += max(0, counted - was)
        return out

    def local_end(self, end: End, now: float) -> list[FusedResult | End]:
        """No window of this epoch is inferred any more."""
        key = StreamKey(end.stream, end.epoch)
        epoch, out = self._enter(key, now)
        if epoch is None or epoch.end is not None:
            return out
        newest = epoch.fusion.newest if epoch.fusion.newest is not None else self._watermarks.get(key)
        windows = max(0, (end.frames - self._size) // self._stride + 1)
        self.counts["windows_missing"] += max(0, windows - 1 - (-1 if newest is None else newest))
        return out + self._begin_end(key, epoch, end, now)

    def remote_end(self, end: End, now: float) -> list[FusedResult | End]:
        """No remote result of this epoch is outstanding any more."""
        key = StreamKey(end.stream, end.epoch)
        epoch = self._epochs.get(key)
        if epoch is None:
            return []
        epoch.drained = True
        return self._finish(key) if epoch.end is not None else []

    def timer(self, now: float) -> list[FusedResult | End]:
        """Finish what has waited for late results long enough."""
        due = [key for key, epoch in self._epochs.items() if epoch.due is not None and epoch.due <= now]
        return [message for key in due for message in self._finish(key)]

    def next_timer(self) -> float | None:
        """When `timer` has something to do, on the clock of `now`."""
        return min((epoch.due for epoch in self._epochs.values() if epoch.due is not None), default=None)

    def finish(self) -> list[FusedResult | End]:
        """The process stops: finish every epoch now."""
        return [message for key in list(self._epochs) for message in self._finish(key, "stopped")]

    # -- epochs

    def _enter(self, key: StreamKey, now: float) -> tuple[_Epoch | None, list[FusedResult | End]]:
        """The epoch of `key`, opened where it is new, None where it is over; and what had to end for it."""
        epoch = self._epochs.get(key)
        if epoch is not None:
            self._epochs.move_to_end(key)
            return epoch, []
        if key in self._over:
            return None, []
        out: list[FusedResult | End] = []
        for old in [each for each in self._epochs if each.stream == key.stream]:
            if self._epochs[old].end is None:
                end = End(old.stream, old.epoch, 0, "capture restarted")
                out += self._begin_end(old, self._epochs[old], end, now)
        epoch = self._epochs[key] = _Epoch(self._make(key))
        answered_before = self._watermarks.get(key)
        if answered_before is not None:
            self.counts["finals_missing"] += min(epoch.fusion.horizon, answered_before + 1)
        if len(self._epochs) > self._capacity:
            out += self._finish(next(iter(self._epochs)), "too many streams")
        return epoch, out

    def _begin_end(self, key: StreamKey, epoch: _Epoch, end: End, now: float) -> list[FusedResult | End]:
        epoch.end = end
        if epoch.drained or not self._remote or self._drain_s <= 0:
            return self._finish(key)
        epoch.due = now + self._drain_s
        return []

    def _finish(self, key: StreamKey, reason: str = "") -> list[FusedResult | End]:
        epoch = self._epochs.pop(key)
        self._over[key] = None
        if len(self._over) > _REMEMBERED:
            self._over.popitem(last=False)
        return [*epoch.fusion.finish(), epoch.end or End(key.stream, key.epoch, 0, reason)]

    def _refuse(self, error: ValueError) -> None:
        self.counts["refused"] += 1
        self.refusal = str(error)
