"""Early discard (§VI-G) over a dump: a binary classifier on the edge says what to send, and the cloud alone answers.

A window is sent where p of `send` reaches the threshold. What is said of it is the cloud's answer once that is there;
nothing is fused, and no similarity is known. The paper leaves open what is said of the other windows:

- with a background class (what a window shows that is not worth sending) it is that class, at once;
- without one, such a window has no answer of its own.

*Live*, window n has the answer of the newest window up to n that has one by then; until the first is there, the local
model's own, so that no frame is without an answer. *Final* is the same with every answer there at once (lag 0): what is
said once all have come.

A lag of d is what it is in `replay`: the answer counts from the window after t + d on, and for window t itself where d
is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clownfish.evaluation.dump import Dump
from clownfish.evaluation.metrics import Ints
from clownfish.evaluation.replay import wire_bytes
from clownfish.pair import EarlyDiscard


@dataclass(frozen=True, slots=True)
class Discarding:
    """How a pair's early-discard model is used."""

    model: EarlyDiscard
    threshold: float
    """p of `send` from which on a window is sent: the model's description names it."""

    def background(self, classes: Sequence[str]) -> int | None:
        """The class of windows that are not sent; None where there is none such."""
        self.model.sends(classes)  # an unknown class shows
        return classes.index(self.model.background) if self.model.background else None

    def positive(self, classes: Sequence[str]) -> Ints:
        """The classes worth sending; none where nothing says which."""
        return np.array([classes.index(name) for name in self.model.sends(classes)], np.int64)


@dataclass(frozen=True, slots=True)
class EarlyDiscardResult:
    """Answers as classes, (windows,) in the dump's order."""

    live: Ints
    final: Ints
    sent: Ints
    """t of the windows sent."""
    wire_bytes: int
    """Encoded frames of the windows sent, each frame once."""


def early_discard(dump: Dump, threshold: float, lag: int | None, background: int | None = None) -> EarlyDiscardResult:
    """Replay early discard with that lag in windows, None where the cloud never answers.

    `background`: the class of windows that are not sent, None where there is none. Raises ValueError where the dump has
    no early-discard answers, or lag or threshold are out of bounds.
    """
    if not dump.discards:
        raise ValueError(f"dump of {dump.header.stream} has no answers of an early-discard model")
    if not 0 < threshold < 1 or (lag is not None and lag < 0):
        raise ValueError(f"threshold {threshold}, lag {lag}: expected a threshold between 0 and 1, a lag of at least 0")
    sent = dump.p_discard >= threshold
    sent_t = dump.t[sent]
    final_lag = None if lag is None else 0
    return EarlyDiscardResult(
        live=_answers(dump, sent, lag, background),
        final=_answers(dump, sent, final_lag, background),
        sent=sent_t,
        wire_bytes=wire_bytes(dump, sent_t),
    )


def _answers(dump: Dump, sent: npt.NDArray[np.bool_], lag: int | None, background: int | None) -> Ints:
    own = np.where(sent, dump.p_remote.argmax(1), -1 if background is None else background).tolist()
    # t at which each window's own answer is there; never where it has none
    never = np.iinfo(np.int64).max
    there = np.full(dump.windows, never)
    if lag is not None:
        there[sent] = dump.t[sent] + (lag + 1 if lag else 0)
    if background is not None:
        there[~sent] = dump.t[~sent]
    answers: Ints = dump.p_local.argmax(1).astype(np.int64)
    newest = -1
    waiting = sorted((t, n) for n, t in enumerate(there.tolist()) if t != never)
    at = 0
    for n, t in enumerate(dump.t.tolist()):
        while at < len(waiting) and waiting[at][0] <= t:
            newest = max(newest, waiting[at][1])
            at += 1
        if newest >= 0:
            answers[n] = own[newest]
    return answers


def recall(dump: Dump, threshold: float, positive: Ints) -> Ints:
    """(2,) windows sent of those worth sending, and all of those: windows whose middle frame shows one of the classes
    `positive` (DESIGN §5.12). `metrics.share` makes it one."""
    middle = dump.label[dump.t * dump.header.stride + dump.header.size // 2]
    worth = np.isin(middle, positive)
    return np.array([(worth & (dump.p_discard >= threshold)).sum(), worth.sum()], np.int64)
