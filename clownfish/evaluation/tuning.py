"""Choosing policy, interval, θ, g and fusion method for a budget of bytes, on streams set apart for choosing (§VIII).

A search over settings replayed as they would run live. It goes round: first what is sent, with fusion as it was; then
whose ρ and how it is fused, with what is sent as it was found; and again, until nothing changes. All that was tried is
kept.

What is best on some streams is a little too good there. So the choice is made again with each stream left out, among
all that was tried, and scored on that stream alone: `Tuned.unseen` is what to expect of streams like these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from clownfish.errors import ConfigError, DatasetError
from clownfish.evaluation.metrics import Ints, accuracy
from clownfish.evaluation.paper.sweep import Bench, Outcome, Score, Setting, ahead, shared, sweep
from clownfish.settings import Plugin


@dataclass(frozen=True, slots=True)
class Grid:
    """What is tried."""

    intervals: tuple[int, ...] = (2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40)
    """n_w, in windows."""
    shares: tuple[float, ...] = (0.5, 0.7, 0.85, 0.95)
    """Parts of the budget that the policy with one of its own is given."""
    thresholds: tuple[float, ...] = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
    """Of drift: overlaps below which the local answer has left what it was."""
    reactions: tuple[tuple[int, int], ...] = ((0, 0), (0, 2), (1, 0), (1, 1), (2, 0))
    """(patience, follow) of drift and budget."""
    thetas: tuple[float, ...] = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
    weights: tuple[float, ...] = (0.5, 2 / 3, 0.8, 0.9, 1.0)
    """g."""


ROUNDS = 3
PAPER = "context_aware"


@dataclass(frozen=True, slots=True)
class Aim:
    """What is to be good, and what it may cost."""

    budget: float
    """Bytes sent, as a share of what cloud-only sends: every frame once, with the same codec."""
    lags: tuple[int | None, ...] = (1,)
    """In windows; accuracy is the mean over them. None: the cloud never answers."""
    final: bool = False
    """Score final answers, not live ones."""

    def __post_init__(self) -> None:
        if not 0 < self.budget <= 1:
            raise ConfigError(f"the budget is {self.budget} of cloud-only's bytes; expected 0 < budget ≤ 1")
        if not self.lags:
            raise ConfigError("no lag to tune for: name one or more, in windows")


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is sent, and how it is fused."""

    similarity: str
    """Whose ρ, by its name in the bench."""
    policy: str
    options: tuple[tuple[str, Any], ...]
    fusion: tuple[tuple[str, Any], ...] = ()
    """Fields of FusionSection that differ from the pair's; `method` is a Plugin."""

    def at(self, lag: int | None) -> Setting:
        """The setting to replay."""
        return Setting(self.similarity, lag, self.policy, self.options, self.fusion)


@dataclass(frozen=True, slots=True)
class Tried:
    """A candidate over all streams."""

    candidate: Candidate
    matrices: tuple[tuple[Ints, ...], ...]
    """(lags, streams) confusions of the answers aimed at, see `metrics.confusion`."""
    sent: tuple[int, ...]
    """Bytes of each stream, the mean over lags."""

    def score(self, streams: Sequence[int]) -> float:
        """Frame accuracy over these streams, the mean over lags; NaN where no frame is scored."""
        return float(np.mean([accuracy(np.sum([each[n] for n in streams], axis=0)) for each in self.matrices]))


@dataclass(frozen=True, slots=True)
class Tuned:
    """What was found. Accuracies with 95 % intervals over streams; gains are paired."""

    aim: Aim
    best: Tried
    paper: Tried
    """The paper's policy and method, as the pair has them, at the least interval that keeps to the budget."""
    tried: tuple[Tried, ...]
    everything: tuple[int, ...]
    """Bytes of each stream's cloud-only."""
    unseen: Score
    """Of settings chosen without the stream that they are scored on."""
    unseen_share: float
    """Their bytes, as a share."""

    def share(self, tried: Tried) -> float:
        """Bytes sent ÷ cloud-only's."""
        return sum(tried.sent) / sum(self.everything)

    def accuracy(self, tried: Tried) -> Score:
        return shared([np.sum(each, axis=0) for each in zip(*tried.matrices, strict=True)])

    def gain(self, tried: Tried) -> Score:
        """Over the paper's."""
        return ahead(tried.matrices, self.paper.matrices)


Say = Callable[[str], None]


class Search:
    """Replays candidates over a bench, each once."""

    def __init__(self, bench: Bench, aim: Aim, processes: int = 1, say: Say = lambda text: None) -> None:
        if not bench.streams:
            raise DatasetError("no streams to choose by")
        self.aim = aim
        self._bench = bench
        self._processes = processes
        self._say = say
        self._tried: dict[Candidate, Tried] = {}
        self.everything = tuple(int(stream.dump.frame_bytes.sum()) for stream in bench.streams)

    @property
    def tried(self) -> tuple[Tried, ...]:
        return tuple(self._tried.values())

    def run(self, candidates: Iterable[Candidate]) -> None:
        """Replay those that were not yet. Raises ConfigError for options that cannot be used."""
        new = [each for each in dict.fromkeys(candidates) if each not in self._tried]
        if not new:
            return
        self._say(f"{len(new)} settings, lags {', '.join(map(str, self.aim.lags))} …")
        settings = {(each, lag): each.at(lag) for each in new for lag in self.aim.lags}
        outcomes = sweep(self._bench, settings.values(), self._processes)
        for each in new:
            self._tried[each] = self._scored(each, [outcomes[settings[each, lag]] for lag in self.aim.lags])

    def _scored(self, candidate: Candidate, outcomes: Sequence[Sequence[Outcome]]) -> Tried:
        final = self.aim.final
        matrices = tuple(
            tuple(each.final_confusion if final else each.live_confusion for each in streams) for streams in outcomes
        )
        sent = tuple(int(np.mean([each.wire_bytes for each in lags])) for lags in zip(*outcomes, strict=True))
        return Tried(candidate, matrices, sent)

    def best(self, without: int | None = None) -> Tried:
        """Of what was tried and keeps to the budget, over all streams or all but one. Raises ConfigError for none."""
        streams = [n for n in range(len(self.everything)) if n != without]
        total = sum(self.everything[n] for n in streams)
        kept = [each for each in self.tried if sum(each.sent[n] for n in streams) <= self.aim.budget * total]
        if not kept:
            least = min(sum(each.sent) for each in self.tried) / sum(self.everything)
            raise ConfigError(
                f"nothing that was tried keeps to {100 * self.aim.budget:.1f} % of cloud-only's bytes; the least is "
                f"{100 * least:.1f} %: allow more, or take streams that are longer"
            )
        return max(kept, key=lambda each: each.score(streams))


def tune(
    bench: Bench,
    aim: Aim,
    methods: Sequence[Plugin] = (),
    processes: int = 1,
    say: Say = lambda text: None,
    grid: Grid = Grid(),
) -> Tuned:
    """Search as the head of this file says. `bench.fusion` and the first similarity of `bench.rho` are where it starts.

    `methods`: fusion methods with what they learnt, beside the bench's own. Raises ConfigError where nothing keeps to
    the budget, or an option cannot be used, and ModelError where what a method learnt does not fit.
    """
    search = Search(bench, aim, processes, say)
    search.run(_policies(grid, aim.budget, next(iter(bench.rho)), ()))
    paper = _paper(search)
    for _ in range(ROUNDS):
        before = len(search.tried)
        search.run(replace(search.best().candidate, similarity=similarity) for similarity in bench.rho)
        search.run(_fusions(grid, search.best().candidate, methods))
        best = search.best().candidate
        search.run(_policies(grid, aim.budget, best.similarity, best.fusion))
        if len(search.tried) == before:
            break
    return _tuned(search, paper)


Fields = tuple[tuple[str, Any], ...]


def _policies(grid: Grid, budget: float, similarity: str, fusion: Fields) -> list[Candidate]:
    """`drift` and `budget` look at the local answer; they differ in what bounds them."""
    tried: list[tuple[str, dict[str, Any]]] = []
    tried += [(kind, {"n_w": n_w}) for kind in (PAPER, "periodic") for n_w in grid.intervals]
    for patience, follow in grid.reactions:
        reaction = {"patience": patience, "follow": follow}
        tried += [("drift", {"threshold": threshold, **reaction}) for threshold in grid.thresholds]
        tried += [("budget", {"share": round(part * budget, 4), **reaction}) for part in grid.shares]
    return [Candidate(similarity, kind, tuple(options.items()), fusion) for kind, options in tried]


def _fusions(grid: Grid, found: Candidate, methods: Sequence[Plugin]) -> list[Candidate]:
    own: list[Fields] = [(("theta", t), ("remote_weight", g)) for t in grid.thetas for g in grid.weights]
    learnt: list[Fields] = [(("method", method),) for method in methods]
    return [replace(found, fusion=fusion) for fusion in (*own, *learnt)]


def _paper(search: Search) -> Tried:
    """The paper's policy at the least interval that keeps to the budget; where none does, at the longest."""
    total = sum(search.everything)
    paper = [each for each in search.tried if each.candidate.policy == PAPER and not each.candidate.fusion]
    kept = [each for each in paper if sum(each.sent) <= search.aim.budget * total]
    return kept[0] if kept else paper[-1]


def _tuned(search: Search, paper: Tried) -> Tuned:
    streams = range(len(search.everything))
    matrices: list[list[Ints]] = [[] for _ in search.aim.lags]
    sent = 0
    for n in streams:
        chosen = search.best(without=n if len(streams) > 1 else None)
        sent += chosen.sent[n]
        for lag, each in enumerate(chosen.matrices):
            matrices[lag].append(each[n])
    return Tuned(
        aim=search.aim,
        best=search.best(),
        paper=paper,
        tried=search.tried,
        everything=search.everything,
        unseen=shared([np.sum(each, axis=0) for each in zip(*matrices, strict=True)]),
        unseen_share=sent / sum(search.everything),
    )
