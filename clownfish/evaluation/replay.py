"""Replay: a filter policy, a similarity and fusion over a dump, through the very machines that run live (§VI-A).

The virtual clock counts windows. At window t, in this order: the Gate decides on t, then on ρ_t, and a window chosen
goes over the network; the results that the network has brought since the last window are applied; then t is fused
(revision 0, the live answer), and the windows that leave the horizon are closed. So a result that is applied before t
is fused counts, as Fusion counts it, from the window before t, and changes the live answers from t on; only t's own is
on time then: Fusion keeps it, and the live answer is already the anchor's.

What is on its way at the end of the stream still comes, as the live graph waits for it. Which result comes when is the
network's word (`network`): a fixed lag, never, as in a recorded live run, or over a link of given latency and rate.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from clownfish.evaluation.dump import Dump
from clownfish.evaluation.network import Network, as_network
from clownfish.filters.base import FilterPolicy
from clownfish.fusion import FALLBACK_ALPHA
from clownfish.fusions import build_fusion
from clownfish.fusions.base import FusionMethod
from clownfish.gate import Decision, Gate, Send
from clownfish.messages import FusedResult, Vector, WindowKey
from clownfish.records import SOURCES
from clownfish.settings import FusionSection
from clownfish.similarity.base import Inferred, Similarity

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

NOTHING = -1
"""In place of a class or a source."""


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """Answers by window, (windows,) in the dump's order, and what became of what was sent."""

    live: Ints
    """The class of revision 0 of each window."""
    final: Ints
    """That of the closing revision of each."""
    sent: Ints
    """t of the windows sent: those that the policy chose."""
    wire_bytes: int
    """Encoded frames that went over the network; of one that loses nothing, those of the windows sent, each frame once.
    What the transport adds to them is not in it."""
    revisions: int
    """Windows revised by REINFORCE, counted each time."""
    late: int
    """Remote results that came when their window had left the horizon."""
    lags: Ints
    """(applied,) windows fused since, of each remote result that was applied, in that order."""
    p_live: Floats
    """(windows, classes)"""
    p_final: Floats
    source_live: Ints
    """0 "local", 1 "fused", 2 "remote" (`records.SOURCES`); NOTHING where the window was not closed."""
    source_final: Ints
    revised: list[tuple[int, int, int]]
    """(n_now, n_window, class) of each answer that REINFORCE revised: when window `n_now` was the newest fused, the
    answer for window `n_window` became `class`; both are places in the dump's order."""
    drops: Mapping[str, int] = field(default_factory=dict)
    """Windows sent that the network lost, by reason."""
    unknown: int = 0
    """Results that came, and are in no dump: of a recorded live run, windows that its cloud never answered."""


def rhos(dump: Dump, similarity: Similarity) -> Floats:
    """ρ_t of each window to the one before, (windows,); NaN for the first, where it is undefined.

    Pair by pair as `local` calls it, not in a batch: the same numbers as live.
    """
    stream = dump.header.stream
    inferred = [
        Inferred(stream, int(t), p, feature) for t, p, feature in zip(dump.t, dump.p_local, dump.feature, strict=True)
    ]
    rho = np.full(len(inferred), np.nan)
    for n in range(1, len(inferred)):
        rho[n] = similarity.rho(inferred[n - 1], inferred[n])
    return rho


OnResult = Callable[[FusedResult], None]
"""Called with each result as fusion gives it: the live graph's order."""


def replay(
    dump: Dump,
    rho: Floats,
    make_policy: Callable[[], FilterPolicy],
    network: int | Network | None,
    fusion: FusionSection | None = None,
    *,
    epoch: int = 0,
    finish: bool = True,
    skipped: Mapping[int, Vector | None] | None = None,
    on_result: OnResult | None = None,
) -> ReplayResult:
    """Run Gate and Fusion over the dump. `rho` as `rhos` gives it; `network` a lag in windows, None for never, or one.

    `finish`: whether the stream ends; a live run that was killed closed no window then. `skipped`: windows that were
    formed and, as an overloaded edge does, not inferred; each with its remote answer, where that is known. The gate may
    send them, too. Raises ValueError for lag < 0.
    """
    link = as_network(network).open(dump)
    stream = dump.header.stream
    gate: Gate[None] = Gate(make_policy)
    machine = build_fusion(fusion or FusionSection(), stream=stream, epoch=epoch, classes=dump.header.classes)
    answers = _Answers(dump, on_result)
    skipped = dict(sorted((skipped or {}).items()))
    remote = _Remote(dump, {**skipped, **link.extra}, link.seen, machine, answers)
    sent: list[int] = []

    def decided(decisions: list[Decision[None]]) -> None:
        for decision in decisions:
            if isinstance(decision, Send):
                sent.append(decision.key.t)
                link.send(decision.key.t, decision.why)

    passed = deque(skipped)
    p_local, rho_or_none = list(dump.p_local), [None if each != each else each for each in rho.tolist()]
    for n, t in enumerate(dump.t.tolist()):
        key = WindowKey(stream, epoch, t)
        rho_t = rho_or_none[n]
        pace = link.pace()
        if pace is not None:
            gate.pace(pace)
        while passed and passed[0] < t:
            decided(gate.window(key._replace(t=passed.popleft()), None, float(t), live=False))
        decided(gate.window(key, None, float(t), live=False) + gate.rho(key, rho_t, float(t), p_local[n]))
        for came in link.before(t):
            remote.apply(came, n - 1)
        answers.say(n, machine.fuse(t, p_local[n], rho_t))
        answers.close(machine.closed())
    for t in passed:
        decided(gate.window(WindowKey(stream, epoch, t), None, float(t), live=False))
    for came in link.rest():
        remote.apply(came, dump.windows - 1)
    if finish:
        answers.close(machine.finish())
    sent_t = np.array(sent, np.int64)
    return ReplayResult(
        live=answers.live,
        final=answers.final,
        sent=sent_t,
        wire_bytes=wire_bytes(dump, sent_t) if link.wire_bytes is None else link.wire_bytes,
        revisions=len(answers.revised),
        late=machine.late,
        lags=np.array(remote.lags, np.int64),
        p_live=answers.p_live,
        p_final=answers.p_final,
        source_live=answers.source_live,
        source_final=answers.source_final,
        revised=answers.revised,
        drops=link.drops,
        unknown=remote.unknown,
    )


class _Remote:
    """Remote results on their way into the machine."""

    def __init__(
        self,
        dump: Dump,
        others: Mapping[int, Vector | None],
        seen: Mapping[int, Vector],
        machine: FusionMethod,
        answers: _Answers,
    ) -> None:
        """`others`: answers for windows that the dump has not; `seen`: those in place of the dump's, may grow."""
        self.lags: list[int] = []
        self.unknown = 0
        self._machine = machine
        self._answers = answers
        self._others = others
        self._seen = seen
        self._p = dump.p_remote
        self._place = {t: n for n, t in enumerate(dump.t.tolist())}
        self._unanswered = np.isnan(dump.p_remote[:, 0])

    def apply(self, t: int, n_now: int) -> None:
        """The result of window t is here; `n_now`: place of the newest window fused."""
        n = self._place.get(t)
        p = self._others.get(t) if n is None else self._seen.get(t, self._p[n])
        if p is None or (n is not None and self._unanswered[n]):
            self.unknown += 1
            return
        machine = self._machine
        applied, newest = machine.applied, machine.newest
        self._answers.revise(machine.reinforce(t, p), n_now)
        if machine.applied > applied:
            self.lags.append(0 if newest is None else max(0, newest - t))


class _Answers:
    """Fused results, sorted by what they are to a consumer."""

    def __init__(self, dump: Dump, on_result: OnResult | None) -> None:
        shape = (dump.windows, len(dump.header.classes))
        self.live, self.source_live = (np.full(dump.windows, NOTHING, np.int64) for _ in range(2))
        self.final, self.source_final = (np.full(dump.windows, NOTHING, np.int64) for _ in range(2))
        self.p_live, self.p_final = (np.full(shape, np.nan) for _ in range(2))
        self.revised: list[tuple[int, int, int]] = []
        self._on_result = on_result
        self._place = {t: n for n, t in enumerate(dump.t.tolist())}
        self._number = {name: n for n, name in enumerate(dump.header.classes)}
        self._source = {source: n for n, source in enumerate(SOURCES)}

    def say(self, n: int, result: FusedResult) -> None:
        self.live[n] = self._number[result.label]
        self.p_live[n] = result.p
        self.source_live[n] = self._source[result.source]
        if self._on_result is not None:
            self._on_result(result)

    def revise(self, results: Iterable[FusedResult], n_now: int) -> None:
        for result in results:
            self.revised.append((n_now, self._place[result.t], self._number[result.label]))
            if self._on_result is not None:
                self._on_result(result)

    def close(self, results: Iterable[FusedResult]) -> None:
        for result in results:
            n = self._place[result.t]
            self.final[n] = self._number[result.label]
            self.p_final[n] = result.p
            self.source_final[n] = self._source[result.source]
            if self._on_result is not None:
                self._on_result(result)


def wire_bytes(dump: Dump, sent: Ints) -> int:
    """Encoded bytes of all frames of the windows `sent`, each frame once however many windows share it."""
    wanted = np.zeros(dump.frames, bool)
    for t in sent.tolist():
        wanted[t * dump.header.stride : t * dump.header.stride + dump.header.size] = True
    return int(dump.frame_bytes[wanted].sum())


def fix_ma(p: npt.NDArray[np.floating], alpha: float = FALLBACK_ALPHA) -> Floats:
    """FixMA (§VI-B), one model smoothed: s_t = α·s_{t−1} + (1 − α)·p_t and s_0 = p_0; shape (windows, classes).

    The default α is that of Alg. 1 where no remote answer is trusted: FixMA of p_local is then what Fusion says with
    the cloud absent, to the bit, and so what sending anything has to beat.
    """
    smooth = p.astype(np.float64)
    smooth /= smooth.sum(axis=1, keepdims=True)
    for t in range(1, len(smooth)):
        smooth[t] = alpha * smooth[t - 1] + (1 - alpha) * smooth[t]
    return smooth
