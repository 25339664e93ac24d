"""How long after a change of context the first right answer is there (§VI-B), in frames since its first frame.

A window's answer is there when its last frame is (what computing takes comes on top of that), and it speaks for the
context that its last frame shows. *Live* counts revision 0 alone: the end of the first window of a context that is
answered right at once. *Revised* counts what a consumer knows who takes every revision: the moment at which some window
of the context has the right answer for the first time, at once or because a late result mended it, be it after the
context's end. So revised is never later than live. A context that is never answered right is *censored* and counted
apart: a mean over the others alone would praise the method that finds only the easy ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clownfish.evaluation.metrics import Floats, Ints

CENSORED = -1
_NO_CLASS = -2
_NEVER = np.iinfo(np.int64).max

Label = npt.NDArray[np.integer]
Revised = Iterable[tuple[int, int, int]]
"""(n_now, n_window, class), places in the order of windows, as they came (`replay.ReplayResult.revised`)."""


@dataclass(frozen=True, slots=True)
class Contexts:
    """The contexts of one stream that follow another one."""

    start: Ints
    """(contexts,) first frame."""
    end: Ints
    """The first frame after."""
    label: Ints


def transitions(label: Label) -> Contexts:
    """Contexts that begin with a change, from the labels of frames (−1: none), a dump's column. The first one follows
    nothing and is left out. Neighbours of one label are one context: labels alone cannot tell them apart."""
    edges = np.flatnonzero(np.diff(label, prepend=np.array([-2]), append=np.array([-2])) != 0)
    start, end = edges[:-1], edges[1:]
    known = label[start] >= 0
    return Contexts(start[known][1:], end[known][1:], label[start[known]][1:].astype(np.int64))


@dataclass(frozen=True, slots=True)
class FirstCorrect:
    """One stream's transitions, or those of several put together."""

    frames: Ints
    """(transitions,) CENSORED where no right answer came."""
    lengths: Ints
    """(transitions,) of the contexts, in frames."""

    @property
    def censored(self) -> int:
        return int((self.frames == CENSORED).sum())

    @property
    def answered(self) -> Ints:
        """Frames, of those that are not censored."""
        known: Ints = self.frames[self.frames != CENSORED]
        return known

    def seconds(self, fps: float) -> Floats:
        """`answered` in seconds."""
        return self.answered / fps


def first_correct(t: Ints, live: Ints, label: Label, size: int, stride: int, revised: Revised = ()) -> FirstCorrect:
    """Of one stream: live; with what was `revised`, revised. `t` and `live`: (windows,), `label`: (frames,).

    Raises ValueError where a revision is of a window that is not there, or comes before its window.
    """
    contexts = transitions(label)
    ends = t * stride + size
    if len(ends) and ends[-1] > len(label):
        raise ValueError(f"the last window ends with frame {ends[-1]}, there are labels of {len(label)} frames")
    count = len(contexts.start)
    # which context each window speaks for, and its class; -1, of no class, for those of none
    context = np.searchsorted(contexts.start, ends - 1, side="right") - 1
    context[(context < 0) | (ends > np.append(contexts.end, 0)[context])] = -1
    true = np.append(contexts.label, _NO_CLASS)[context]
    moments = np.full(count + 1, _NEVER)
    right = live == true
    np.minimum.at(moments, context[right], ends[right])
    for n_now, n, answer in revised:
        if not 0 <= n <= n_now < len(t):
            raise ValueError(f"window {n} is revised at window {n_now}; there are {len(t)} windows")
        if answer == true[n]:
            moments[context[n]] = min(moments[context[n]], ends[n_now])
    moments = moments[:count]
    return FirstCorrect(np.where(moments == _NEVER, CENSORED, moments - contexts.start), contexts.end - contexts.start)


def together(streams: Sequence[FirstCorrect]) -> FirstCorrect:
    """The transitions of several streams."""
    return FirstCorrect(
        np.concatenate([each.frames for each in streams]), np.concatenate([each.lengths for each in streams])
    )


def median_frames(streams: Sequence[FirstCorrect]) -> float:
    """Median over all transitions, censored ones the longest of all; infinite where they are more than half, NaN where
    there is no transition. For `metrics.interval_over` and `paired_interval`."""
    frames = together(streams).frames
    return float(np.median(np.where(frames == CENSORED, np.inf, frames))) if len(frames) else float("nan")


def mean_seconds(streams: Sequence[tuple[FirstCorrect, float]]) -> float:
    """Mean over the transitions that are not censored, each stream with its frames a second; NaN where none is left."""
    seconds = np.concatenate([each.seconds(fps) for each, fps in streams])
    return float(seconds.mean()) if len(seconds) else float("nan")


def censored_share(streams: Sequence[FirstCorrect]) -> float:
    """Share of the transitions that are censored; NaN where there is none."""
    frames = together(streams).frames
    return float((frames == CENSORED).mean()) if len(frames) else float("nan")
