"""Learning a ladder: what each way and pace costs, and brings, on streams set apart for choosing (see `ladder`).

Every pace is replayed over every way's view (`views`), with remote answers at each of some fixed lags. Gains are over
what the edge says with the cloud absent. A rung that gains nothing even at once is left out, and one that another beats
in everything (bytes a second, bytes a window, gain at every lag, and finally).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from clownfish.errors import ConfigError
from clownfish.evaluation.compare import score
from clownfish.evaluation.dump import Dump
from clownfish.evaluation.metrics import accuracy
from clownfish.evaluation.network import Network
from clownfish.evaluation.paper.sweep import Stream
from clownfish.evaluation.replay import Floats, ReplayResult, replay
from clownfish.filters.adaptive import Adaptive
from clownfish.ladder import Ladder, Rung, Way, tree_of
from clownfish.messages import Pace
from clownfish.settings import FusionSection

Views = Mapping[str, Mapping[Way, Dump]]
"""Stream's name → way → what the remote model says so."""

NEVER_DRIFTS = 1e-6
"""A threshold below any overlap: the period alone decides, as n_w does in the paper."""
PACES = (
    *(Pace(NEVER_DRIFTS, 0, 0, n_w) for n_w in (3, 6, 10, 20, 60)),
    Pace(0.99, 0, 1, 60),
    Pace(0.95, 0, 0, 60),
    Pace(0.9, 0, 0, 60),
    Pace(0.9, 2, 0, 60),
    Pace(0.7, 1, 0, 60),
    Pace(0.5, 2, 0, 60),
)
WAYS = (
    Way("png", (("level", 1),)),
    Way("jpeg", (("quality", 75),)),
    Way("jpeg", (("quality", 30),)),
    Way("jpeg", (("quality", 30),), 0.5),
)
LAGS = (0, 1, 2, 4, 8, 16, 32)
"""Windows."""


def name_of(pace: Pace) -> str:
    """For people: `n_w=6`, or drift's options."""
    if pace.threshold <= NEVER_DRIFTS:
        return f"n_w={pace.n_w}"
    return f"drift {pace.threshold:g} {pace.patience} {pace.follow}"


def policy_of(pace: Pace) -> Adaptive:
    """A filter policy that stays at this pace."""
    return Adaptive(pace.threshold, pace.patience, pace.follow, pace.n_w)


def right(streams: Sequence[Stream], results: Sequence[ReplayResult], final: bool) -> list[np.ndarray]:
    """Confusions of each stream's answers."""
    out = []
    for stream, result in zip(streams, results, strict=True):
        matrix = score(stream.dump, stream.truth, result.final if final else result.live)
        assert matrix is not None  # a Stream has its truth
        out.append(matrix)
    return out


def learn(
    streams: Sequence[Stream],
    rho: Sequence[Floats],
    views: Views,
    fusion: FusionSection,
    paces: Sequence[Pace] = PACES,
    ways: Sequence[Way] = WAYS,
    lags: Sequence[int] = LAGS,
    say: Callable[[str], None] = lambda text: None,
) -> Ladder:
    """The ladder of these streams, with ρ of each. Raises DatasetError where no frame is scored."""

    def run(pace: Pace, way: Way | None, network: int | Network | None) -> list[ReplayResult]:
        return [
            replay(
                stream.dump if way is None else views[stream.dump.header.stream][way],
                each,
                lambda: policy_of(pace),
                network,
                fusion,
            )
            for stream, each in zip(streams, rho, strict=True)
        ]

    def gained(results: Sequence[ReplayResult], final: bool) -> float:
        return accuracy(np.sum(right(streams, results, final), axis=0)) - alone

    alone = 0.0
    alone = gained(run(paces[0], None, None), final=False)
    window_s = streams[0].dump.header.stride / streams[0].dump.header.fps
    seconds = sum(each.dump.frames / each.dump.header.fps for each in streams)
    rungs = []
    for way in ways:
        for pace in paces:
            say(f"{way.name}, {name_of(pace)}")
            at = [run(pace, way, lag) for lag in lags]
            sent_bytes = sum(each.wire_bytes for each in at[0])
            rungs.append(
                Rung(
                    pace,
                    way,
                    sent_bytes / seconds,
                    sent_bytes / sum(len(each.sent) for each in at[0]),
                    tuple(gained(each, final=False) for each in at),
                    gained(at[0], final=True),
                )
            )
    return Ladder(tuple((lag + 0.5) * window_s for lag in lags), pruned(rungs))


def pruned(rungs: Sequence[Rung]) -> tuple[Rung, ...]:
    """Those that gain something and that no other beats in everything. Raises ConfigError where none gains."""
    kept: list[Rung] = []
    for rung in sorted(rungs, key=lambda each: (each.bytes_per_s, each.window_bytes)):
        if max(rung.final, *rung.live) > 0 and not any(_beats(other, rung) for other in kept):
            kept = [other for other in kept if not _beats(rung, other)] + [rung]
    if not kept:
        raise ConfigError("no setting gains anything over the edge alone on these streams: there is nothing to adapt")
    return tuple(kept)


def _beats(one: Rung, other: Rung) -> bool:
    """Whether it is nowhere worse."""
    return (
        one.bytes_per_s <= other.bytes_per_s
        and one.window_bytes <= other.window_bytes
        and one.final >= other.final
        and all(mine >= theirs for mine, theirs in zip(one.live, other.live, strict=True))
    )


def write_ladder(path: Path, ladder: Ladder, about: str) -> None:
    """As a file for `[uplink] adaptive`. Raises OSError."""
    rounded = Ladder(
        tuple(round(each, 4) for each in ladder.lags_s),
        tuple(
            replace(
                each,
                bytes_per_s=round(each.bytes_per_s, 1),
                window_bytes=round(each.window_bytes, 1),
                live=tuple(round(gain, 4) for gain in each.live),
                final=round(each.final, 4),
            )
            for each in ladder.rungs
        ),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"about": about, **tree_of(rounded)}, indent=1) + "\n", encoding="utf-8")
