"""What if: a recorded live run with another policy, similarity, fusion or network (§VI).

The windows, their local answers and features are those of the run. A remote answer is known where the run's cloud gave
it; of the other windows a dump of the same video, made offline, tells it, and without one they count as never answered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from clownfish.errors import ConfigError, DatasetError
from clownfish.evaluation.compare import score
from clownfish.evaluation.dump import Dump
from clownfish.evaluation.liverun import (
    arrivals_of,
    completed,
    dump_of,
    filter_of,
    fusion_of,
    joined,
    live_sends,
    lives,
    rho_of,
)
from clownfish.evaluation.metrics import accuracy
from clownfish.evaluation.network import NETWORKS, Network
from clownfish.evaluation.replay import ReplayResult, replay, rhos
from clownfish.filters import FILTERS
from clownfish.filters.base import FilterPolicy
from clownfish.records import Record
from clownfish.settings import FusionSection, Plugin
from clownfish.similarity import SIMILARITIES
from clownfish.sources.truth import Truth


@dataclass(frozen=True)
class Change:
    """What is to be other than it was live; None: as it was."""

    policy: Plugin | None = None
    similarity: Plugin | None = None
    network: Plugin | None = None
    """None: an answer comes when it came live; one for a window that was not sent then, after the run's median lag."""
    theta: float | None = None

    @property
    def nothing(self) -> bool:
        return self == Change()


@dataclass(frozen=True)
class Numbers:
    """One run, live or replayed."""

    windows: int
    sent: int
    answered: int
    """Remote results that were applied."""
    lag: float
    """Median, in windows; NaN where none came."""
    corrected: int
    """Answers revised after they were given."""
    dropped: int
    unknown: int
    """Windows sent whose remote answer nobody knows."""
    wire_bytes: int
    accuracy_live: float | None
    accuracy_final: float | None
    """Of frames, from 0 to 1; None without ground truth."""


@dataclass(frozen=True)
class Outcome:
    """The live run beside what would have been."""

    live: Numbers
    changed: Numbers
    live_differ: int
    """Windows whose live answer is another class; `final_differ` likewise of the final one."""
    final_differ: int


def what_if(record: Record, change: Change, dump: Dump | None = None, truth: Truth | None = None) -> Outcome:
    """Raises DatasetError or ConfigError where the record, the dump or a plug-in does not serve."""
    if record.lost:
        raise DatasetError(
            f"{record.path}: the record is not whole (notes lost: {record.lost}); what would have been differs from "
            "what was by that, too"
        )
    life = joined(lives(record))
    recorded = dump_of(record, life)
    known = recorded if dump is None else completed(recorded, record, dump)
    section, live_rho = fusion_of(record), rho_of(record, life)
    sends = live_sends(record)
    chosen_live = filter_of(record).policy
    live = replay(known, live_rho, _maker(chosen_live), arrivals_of(record, life), section)
    network: Network
    if change.network is None:
        lag = round(float(np.median(live.lags))) if len(live.lags) else None
        network = arrivals_of(record, life, sends=sends, lag=lag)
    else:
        network = change.network.build(NETWORKS)
    rho = live_rho if change.similarity is None else _rhos(record, known, change.similarity)
    if change.theta is not None:
        section = _with(section, theta=change.theta)
    changed = replay(known, rho, _maker(change.policy or chosen_live), network, section)
    return Outcome(
        _numbers(known, live, truth, sent=len(sends)),
        _numbers(known, changed, truth),
        int((live.live != changed.live).sum()),
        int((live.final != changed.final).sum()),
    )


def _maker(policy: Plugin) -> Callable[[], FilterPolicy]:
    return lambda: policy.build(FILTERS)


def _rhos(record: Record, dump: Dump, similarity: Plugin) -> npt.NDArray[np.float64]:
    if np.isnan(dump.feature).any() or not dump.feature.shape[1]:
        raise DatasetError(f"{record.path}: features of some windows are missing; no other similarity can be replayed")
    try:
        return rhos(dump, similarity.build(SIMILARITIES))
    except ValueError as error:
        raise ConfigError(f"similarity {similarity.kind!r} does not take this run's features: {error}") from error


def _with(section: FusionSection, **changes: Any) -> FusionSection:
    return FusionSection(**{**{name: getattr(section, name) for name in section.__dataclass_fields__}, **changes})


def _numbers(dump: Dump, result: ReplayResult, truth: Truth | None, sent: int | None = None) -> Numbers:
    live, final = (score(dump, truth, answers) for answers in (result.live, result.final))
    return Numbers(
        windows=dump.windows,
        sent=len(result.sent) if sent is None else sent,
        answered=len(result.lags),
        lag=float(np.median(result.lags)) if len(result.lags) else float("nan"),
        corrected=result.revisions,
        dropped=sum(result.drops.values()),
        unknown=result.unknown,
        wire_bytes=result.wire_bytes,
        accuracy_live=None if live is None else accuracy(live),
        accuracy_final=None if final is None else accuracy(final),
    )
