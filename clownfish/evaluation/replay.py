"""Replay: a filter policy, a similarity and fusion over a dump, through the very machines that run live (§VI-A).

The virtual clock counts windows. At window t, in this order: the Gate decides on t, then on ρ_t; the window is fused
(revision 0, the live answer); then the remote result of a window that was sent `lag` windows ago comes and is applied,
so that its lag, as Fusion counts it, is `lag`. It changes the live answers from t + 1 on.

Lag 0 is the one exception: a result that is on time is there before its window is fused, Fusion keeps it until then,
and the live answer is already the anchor's. Lag None is a cloud that never answers. What is on its way at the end of
the stream still comes, as the live graph waits for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clownfish.evaluation.dump import Dump
from clownfish.filters.base import FilterPolicy
from clownfish.fusion import FALLBACK_ALPHA, Fusion
from clownfish.gate import Gate, Send
from clownfish.messages import FusedResult, WindowKey
from clownfish.settings import FusionSection
from clownfish.similarity.base import Inferred, Similarity

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """Answers as classes, (windows,) in the dump's order."""

    live: Ints
    """Revision 0 of each window."""
    final: Ints
    """The closing revision of each."""
    sent: Ints
    """t of the windows sent."""
    wire_bytes: int
    """Encoded frames of the windows sent, each frame once. What the transport adds to them is not in it."""
    revisions: int
    """Windows revised by REINFORCE, counted each time."""
    late: int
    """Remote results that came when their window had left the horizon."""


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


def replay(
    dump: Dump,
    rho: Floats,
    make_policy: Callable[[], FilterPolicy],
    lag: int | None,
    fusion: FusionSection | None = None,
) -> ReplayResult:
    """Run Gate and Fusion over the dump. `rho` as `rhos` gives it; `lag` in windows. Raises ValueError for lag < 0."""
    if lag is not None and lag < 0:
        raise ValueError(f"lag is {lag} windows; expected 0 (on time) or more, or None (never)")
    stream = dump.header.stream
    gate: Gate[None] = Gate(make_policy)
    section = fusion or FusionSection()
    machine = Fusion(
        section.theta,
        section.remote_weight,
        section.horizon,
        stream=stream,
        classes=dump.header.classes,
        anchor_beta=section.anchor_beta,
    )
    answers = _Answers(dump)
    on_the_way: deque[tuple[int, int]] = deque()
    sent: list[int] = []
    for n, t in enumerate(dump.t.tolist()):
        key = WindowKey(stream, 0, t)
        rho_t = None if np.isnan(rho[n]) else float(rho[n])
        decisions = gate.window(key, None, float(t), live=False) + gate.rho(key, rho_t, float(t), dump.p_local[n])
        if any(isinstance(decision, Send) for decision in decisions):
            sent.append(t)
            if lag == 0:
                answers.revise(machine.reinforce(t, dump.p_remote[n]))
            elif lag is not None:
                on_the_way.append((t, n))
        answers.say(n, machine.fuse(t, dump.p_local[n], rho_t))
        while on_the_way and lag is not None and on_the_way[0][0] + lag <= t:
            came, at = on_the_way.popleft()
            answers.revise(machine.reinforce(came, dump.p_remote[at]))
        answers.close(machine.closed())
    for came, at in on_the_way:
        answers.revise(machine.reinforce(came, dump.p_remote[at]))
    answers.close(machine.finish())
    sent_t = np.array(sent, np.int64)
    return ReplayResult(
        live=answers.live,
        final=answers.final,
        sent=sent_t,
        wire_bytes=wire_bytes(dump, sent_t),
        revisions=answers.revisions,
        late=machine.late,
    )


class _Answers:
    """Fused results, sorted by what they are to a consumer."""

    def __init__(self, dump: Dump) -> None:
        self.live = np.full(dump.windows, -1, np.int64)
        self.final = np.full(dump.windows, -1, np.int64)
        self.revisions = 0
        self._place = {t: n for n, t in enumerate(dump.t.tolist())}
        self._number = {name: n for n, name in enumerate(dump.header.classes)}

    def say(self, n: int, result: FusedResult) -> None:
        self.live[n] = self._number[result.label]

    def revise(self, results: list[FusedResult]) -> None:
        self.revisions += len(results)

    def close(self, results: Iterable[FusedResult]) -> None:
        for result in results:
            self.final[self._place[result.t]] = self._number[result.label]


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
