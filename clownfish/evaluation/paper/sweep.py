"""Many settings replayed over many streams, in processes of their own (§VI-B): what Figures 7, 9 and 10 are made of.

Each process gets the recorded answers once, then settings by name. Results do not depend on the number of processes.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from clownfish.errors import DatasetError
from clownfish.evaluation.compare import score
from clownfish.evaluation.dump import Dump
from clownfish.evaluation.metrics import Ints, bootstrap_interval
from clownfish.evaluation.network import Network
from clownfish.evaluation.replay import Floats, replay
from clownfish.filters import FILTERS
from clownfish.settings import FusionSection, Plugin
from clownfish.sources.truth import Truth


@dataclass(frozen=True, slots=True)
class Stream:
    """One labelled stream, and what both models said of it."""

    source: str
    dump: Dump
    truth: Truth


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to run Clownfish. Hashable; options are (name, value) pairs."""

    method: str
    """Its similarity, a name of `methods`."""
    lag: int | None = 1
    """In windows; None: the cloud never answers."""
    policy: str = "context_aware"
    options: tuple[tuple[str, Any], ...] = (("n_w", 6),)
    """Of the policy."""
    fusion: tuple[tuple[str, Any], ...] = ()
    """Fields of FusionSection, in place of the pair's; `method` is a Plugin."""
    network: Network | None = None
    """In place of a fixed lag; two settings are the same with the same object alone."""

    @classmethod
    def of(cls, method: str, n_w: int, lag: int | None) -> Setting:
        """The paper's: its policy at interval n_w."""
        return cls(method, lag, options=(("n_w", n_w),))


@dataclass(frozen=True, slots=True)
class Outcome:
    """One setting on one stream."""

    live: npt.NDArray[np.int16]
    """Answers as classes, (windows,)."""
    final: npt.NDArray[np.int16]
    live_confusion: Ints
    """See `metrics.confusion`."""
    final_confusion: Ints
    sent: Ints
    """t of the windows sent."""
    wire_bytes: int


Rhos = Mapping[str, Sequence[Floats]]
"""Method → ρ of each stream."""


@dataclass(frozen=True, slots=True)
class Bench:
    """All that a setting is replayed over."""

    streams: Sequence[Stream]
    rho: Rhos
    fusion: FusionSection

    def run(self, setting: Setting) -> list[Outcome]:
        """One outcome a stream."""
        policy = Plugin(setting.policy, dict(setting.options))
        section = replace(self.fusion, **dict(setting.fusion))
        return [
            _outcome(stream, rho, setting, policy, section)
            for stream, rho in zip(self.streams, self.rho[setting.method], strict=True)
        ]


def _outcome(stream: Stream, rho: Floats, setting: Setting, policy: Plugin, section: FusionSection) -> Outcome:
    network = setting.lag if setting.network is None else setting.network
    result = replay(stream.dump, rho, lambda: policy.build(FILTERS), network, section)
    live, final = (score(stream.dump, stream.truth, answers) for answers in (result.live, result.final))
    assert live is not None  # a Stream has its truth
    assert final is not None
    return Outcome(
        result.live.astype(np.int16), result.final.astype(np.int16), live, final, result.sent, result.wire_bytes
    )


_here: Bench | None = None
"""Of a worker process."""


def _begin(bench: Bench) -> None:
    global _here
    _here = bench
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker waits for more as long as it lives: without this it would outlive a parent that was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run(setting: Setting) -> list[Outcome]:
    assert _here is not None
    return _here.run(setting)


def sweep(bench: Bench, settings: Iterable[Setting], processes: int = 1) -> dict[Setting, list[Outcome]]:
    """Every setting over every stream. Raises ConfigError for options that cannot be used."""
    todo = list(dict.fromkeys(settings))
    if processes == 1 or len(todo) < 2 * processes:  # a process takes half a second to start
        return {setting: bench.run(setting) for setting in todo}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawn, initializer=_begin, initargs=(bench,)) as pool:
        return dict(zip(todo, pool.map(_run, todo), strict=True))


@dataclass(frozen=True, slots=True)
class Score:
    """A share, and its 95 % bootstrap interval over streams."""

    value: float
    low: float
    high: float


def shared(matrices: Sequence[Ints]) -> Score:
    """Frame accuracy over streams; `matrices` as in `metrics.confusion`. Raises DatasetError where no frame is
    scored."""
    return _ratio([np.array([np.trace(m), m.sum()]) for m in matrices])


def ahead(ours: Sequence[Sequence[Ints]], theirs: Sequence[Sequence[Ints]]) -> Score:
    """By how much frame accuracy is above another, the mean over pairs (outer) of matrices of the same streams (inner).

    The interval is of the difference: streams that are hard for both do not widen it.
    """
    gains = _right(ours) - _right(theirs)
    frames = [int(m.sum()) * len(ours) for m in ours[0]]
    return _ratio([np.array(pair) for pair in zip(gains.sum(axis=0), frames, strict=True)])


def _right(pairs: Sequence[Sequence[Ints]]) -> Ints:
    """(pairs, streams) frames answered right."""
    return np.array([[np.trace(matrix) for matrix in streams] for streams in pairs], np.int64)


def _ratio(parts: Sequence[Ints]) -> Score:
    """Of (count, of how many) of each stream."""
    total = np.sum(parts, axis=0)
    if not total[1]:
        raise DatasetError("no frame of these streams is scored: each context is shorter than what is left out of it")
    low, high = bootstrap_interval(parts, lambda pair: float(pair[0] / pair[1]))
    return Score(float(total[0] / total[1]), low, high)
