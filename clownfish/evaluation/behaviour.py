"""What the cloud changes on some streams, and how soon: the metrics of §VI-B beside accuracy, each with its interval.

One stream's are counts and lists (`Behaviour`); over several they are pooled, frames and transitions counting alike
whatever their stream, and streams are drawn with replacement for the 95 % intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np

from clownfish.evaluation.compare import Settings, fused, score
from clownfish.evaluation.corrections import agreement, correction_rate, corrections, gain, rightly_rate, wrongly_rate
from clownfish.evaluation.dump import Dump
from clownfish.evaluation.metrics import (
    Interval,
    Ints,
    accuracy,
    answers_by_frame,
    interval_over,
    paired_interval,
    pooled_score,
    share,
    truth_by_frame,
)
from clownfish.evaluation.replay import fix_ma
from clownfish.evaluation.revisions import answers_by_patience
from clownfish.evaluation.traffic import Lags, lag_histogram
from clownfish.evaluation.transitions import FirstCorrect, censored_share, first_correct, mean_seconds, median_frames
from clownfish.sources.truth import Truth


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One stream with ground truth."""

    fps: float
    agreement: Ints
    """See `corrections.agreement`, of edge and cloud."""
    changes: Mapping[str, Ints]
    """`live` and `final` → see `corrections.corrections`."""
    first_right: Mapping[str, FirstCorrect]
    """`edge`, `live` and `revised` → times to the first right answer after each transition."""
    confusions: Mapping[str, Ints]
    """`live`, `after K windows`, `final`, `edge`, `cloud` → confusion matrix."""
    lags: Lags


def behaviour(dump: Dump, truth: Truth, settings: Settings) -> Behaviour:
    """Of one stream under these settings. Raises as `compare.compare` does."""
    result = fused(dump, truth, settings)
    header = dump.header
    true = truth_by_frame(truth, header.classes, dump.frames)

    def by_frame(answers: Ints) -> Ints:
        return answers_by_frame(dump.t, answers, header.size, header.stride, dump.frames)

    def first(live: Ints, revised: Sequence[tuple[int, int, int]] = ()) -> FirstCorrect:
        return first_correct(dump.t, live, dump.label, header.size, header.stride, revised)

    edge, cloud = dump.p_local.argmax(1), dump.p_remote.argmax(1)
    alone = by_frame(fix_ma(dump.p_local).argmax(1))
    patient = answers_by_patience(result.live, result.final, result.revised)
    answers = {**patient, "edge": edge, "cloud": cloud}
    confusions = {name: score(dump, truth, each) for name, each in answers.items()}
    return Behaviour(
        header.fps,
        agreement(edge, cloud),
        {name: corrections(true, alone, by_frame(answers[name])) for name in ("live", "final")},
        {"edge": first(edge), "live": first(result.live), "revised": first(result.live, result.revised)},
        {name: matrix for name, matrix in confusions.items() if matrix is not None},
        lag_histogram(result.lags, result.late),
    )


@dataclass(frozen=True, slots=True)
class Measure:
    """One metric over all streams."""

    name: str
    unit: str
    """`%`, `points`, `frames`, `s` or `windows`; the value and its interval are shares where it is one of the first
    two."""
    value: float
    interval: Interval | None = None


def measures(streams: Sequence[Behaviour]) -> list[Measure]:
    """All metrics, pooled, in the order of a report. Raises ValueError without streams."""
    return [*_accuracies(streams), *_changes(streams), *_first_right(streams), *_lags(streams)]


Get = Callable[[Behaviour], Ints]


def _pooled(name: str, unit: str, streams: Sequence[Behaviour], get: Get, value: Callable[[Ints], float]) -> Measure:
    counts = [get(each) for each in streams]
    return Measure(name, unit, value(np.sum(counts, axis=0)), interval_over(counts, pooled_score(value)))


def _accuracies(streams: Sequence[Behaviour]) -> list[Measure]:
    """Of a consumer of each patience; and ahead of the edge and behind the cloud on the same streams."""
    found = [
        _pooled(f"accuracy, {name}", "%", streams, lambda each, name=name: each.confusions[name], accuracy)  # type: ignore[misc]
        for name in streams[0].confusions
        if name not in ("edge", "cloud")
    ]
    right = pooled_score(accuracy)
    for first, second in (("live", "edge"), ("final", "edge"), ("live", "cloud"), ("final", "cloud")):
        one, other = ([each.confusions[name] for each in streams] for name in (first, second))
        found.append(
            Measure(f"{first} − {second}", "points", right(one) - right(other), paired_interval(one, other, right))
        )
    return found


def _changes(streams: Sequence[Behaviour]) -> list[Measure]:
    found = [_pooled("edge and cloud agree", "%", streams, lambda each: each.agreement, share)]
    for when in ("live", "final"):
        for name, unit, value in (
            ("answers that the cloud changed", "%", correction_rate),
            ("… put right", "%", rightly_rate),
            ("… spoilt", "%", wrongly_rate),
            ("… gain", "points", gain),
        ):
            get: Get = lambda each, when=when: each.changes[when]  # type: ignore[misc]  # noqa: E731
            found.append(_pooled(f"{when}: {name}", unit, streams, get, value))
    return found


def _first_right(streams: Sequence[Behaviour]) -> list[Measure]:
    found = []
    for name in ("edge", "live", "revised"):
        each = [stream.first_right[name] for stream in streams]
        timed = [(stream.first_right[name], stream.fps) for stream in streams]
        found += [
            Measure(f"first right, {name}: median", "frames", median_frames(each), interval_over(each, median_frames)),
            Measure(f"first right, {name}: mean", "s", mean_seconds(timed), interval_over(timed, mean_seconds)),
            Measure(f"never right, {name}", "%", censored_share(each), interval_over(each, censored_share)),
        ]
    return found


def _lags(streams: Sequence[Behaviour]) -> list[Measure]:
    lags = reduce(add, (each.lags for each in streams))
    return [
        Measure("lag: median", "windows", lags.quantile(0.5)),
        Measure("lag: 95 %", "windows", lags.quantile(0.95)),
        Measure("results too late", "windows", float(lags.late)),
    ]
