"""Gains: what the answers of the cloud changed, counted for each stream without knowing the truth (layer 0).

Of each answer of the cloud that is applied: does the small model say the same label for that window (agreement), and is
any label that had been said before another one since (a correction)? A correction is a change of mind towards the model
that is right more often; that it was for the better, only the truth could tell. Corrections for each megabyte sent are
what the uplink buys.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from clownfish.messages import FusedResult, LocalResult, RemoteResult, WindowKey
from clownfish.metrics import Counters

STREAMS = 64
"""Streams that have figures of their own; all others share theirs, so that labels are few whatever is configured."""
OTHER = "other"
_KEPT = 16_384
"""Windows of all streams whose labels are remembered at most; they are forgotten as they become final."""


@dataclass(slots=True)
class _Said:
    local: int
    """What the small model said: a class's number."""
    label: str
    """What was said last."""


class Gains:
    """Counts into `counters`; gauges are of the streams that have their own."""

    def __init__(self, streams: Iterable[str], counters: Counters, kept: int = _KEPT) -> None:
        self._own: frozenset[str] = frozenset()
        self._kept = kept
        self._said: OrderedDict[WindowKey, _Said] = OrderedDict()
        self._early: OrderedDict[WindowKey, int] = OrderedDict()
        """What the cloud said of windows before the small model did."""
        self._counters = counters
        self.follow(frozenset(list(streams)[:STREAMS]))

    def follow(self, own: frozenset[str]) -> None:
        """From now on these streams have their own figures; those of others are forgotten."""
        if own == self._own:
            return
        new, gone, self._own = own - self._own, self._own - own, own
        self._counters.keep_only("stream", own | {OTHER})
        for kept in (self._said, self._early):
            for key in [key for key in kept if key.stream in gone]:
                del kept[key]
        for stream in sorted(new):
            self._begin(stream)

    def _begin(self, stream: str) -> None:
        """From 0 on, so that the first of each shows as a rise."""
        label = f'stream="{stream}"'
        self._counters.add(f"labels_corrected{{{label}}}", 0)
        for local in ("agrees", "differs"):
            self._counters.add(f'remote_answers{{{label},local="{local}"}}', 0)
        for effect in ("confirmed", "corrected"):
            self._counters.add(f'corrections{{{label},effect="{effect}"}}', 0)

    def local(self, result: LocalResult, answers: Sequence[object]) -> None:
        """The small model's answer was taken; `answers` came of it, the real-time one among them."""
        for answer in answers:
            if isinstance(answer, FusedResult) and answer.revision == 0 and answer.key == result.key:
                self._said[result.key] = _Said(int(result.p.argmax()), answer.label)
                if len(self._said) > self._kept:
                    self._said.popitem(last=False)
                if result.key in self._early:
                    self._agree(result.stream, self._early.pop(result.key) == self._said[result.key].local)
                self._counters.add(f'stream_answers{{stream="{self._name(answer.stream)}"}}')
                self._gauge("beta", answer.stream, answer.beta)
                if answer.source == "remote" and answer.lag is not None:  # the cloud was faster than the edge
                    self._gauge("last_lag", answer.stream, float(answer.lag))

    def remote(self, result: RemoteResult, revised: Sequence[object]) -> float | None:
        """The cloud's answer was applied; `revised` came of it. Returns its lag, None where it revised nothing."""
        stream, label = self._name(result.stream), int(result.p.argmax())
        said = self._said.get(result.key)
        if said is not None:
            self._agree(result.stream, said.local == label)
        else:
            self._early[result.key] = label
            if len(self._early) > self._kept:
                self._early.popitem(last=False)
        corrected, lag = 0, None
        for answer in revised:
            if not isinstance(answer, FusedResult) or answer.final:
                continue
            if answer.lag is not None:
                lag = float(answer.lag)
            before = self._said.get(answer.key)
            if before is not None and before.label != answer.label:
                before.label = answer.label
                corrected += 1
        self._counters.add(f'labels_corrected{{stream="{stream}"}}', corrected)
        effect = "corrected" if corrected else "confirmed" if revised or said is not None else "in_time"
        self._counters.add(f'corrections{{stream="{stream}",effect="{effect}"}}')
        if lag is not None:
            self._gauge("last_lag", result.stream, lag)
        return lag

    def close(self, answers: Iterable[object]) -> None:
        """Windows whose last word was said can be corrected no more."""
        for answer in answers:
            if isinstance(answer, FusedResult) and answer.final:
                self._said.pop(answer.key, None)
                self._early.pop(answer.key, None)

    @property
    def remembered(self) -> int:
        """Windows of which something is remembered, or was said too early."""
        return len(self._said) + len(self._early)

    def _agree(self, stream: str, agrees: bool) -> None:
        local = "agrees" if agrees else "differs"
        self._counters.add(f'remote_answers{{stream="{self._name(stream)}",local="{local}"}}')

    def _name(self, stream: str) -> str:
        return stream if stream in self._own else OTHER

    def _gauge(self, name: str, stream: str, value: float) -> None:
        if stream in self._own:
            self._counters.set(f'{name}{{stream="{stream}"}}', value)
