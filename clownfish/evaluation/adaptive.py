"""Adaptive sending beside every fixed setting, over links that change: accuracy over bytes, and how late answers come.

Each setting is replayed over each link on each stream, through the live machines (`paced`): a fixed one keeps its pace
and way whatever the link does, and sends as credit allows, as the uplink does without `adaptive`; the adaptive one has
the pacer. A setting is on the front of its link where no fixed one is as accurate with fewer bytes. Intervals are over
streams, and of differences where two settings are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from clownfish.allowance import Allowance
from clownfish.evaluation.ladders import PACES, WAYS, Views, name_of, policy_of, right
from clownfish.evaluation.metrics import Ints, accuracy
from clownfish.evaluation.paced import Paced
from clownfish.evaluation.paper.style import legend_below, new_figure, tidy
from clownfish.evaluation.paper.sweep import Stream, ahead, shared
from clownfish.evaluation.replay import Floats, ReplayResult, replay
from clownfish.evaluation.trace import Trace
from clownfish.evaluation.traffic import lag_histogram
from clownfish.ladder import Ladder, Rung, Way
from clownfish.messages import Pace
from clownfish.pacing import Pacer
from clownfish.settings import FusionSection

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PROFILES = ("abca", "lte", "flaky", "capped-5")
ADAPTIVE = "adaptive"


@dataclass(frozen=True, slots=True)
class Adapting:
    """One way to adapt."""

    price: float = 0.01
    mbit_s: float | None = None

    @property
    def name(self) -> str:
        limit = "" if self.mbit_s is None else f" {self.mbit_s:g} Mbit/s"
        return f"{ADAPTIVE} price={self.price:g}{limit}"

    def pacer(self, ladder: Ladder) -> Pacer:
        return Pacer(ladder, Allowance(self.mbit_s), price=self.price)


@dataclass(frozen=True, slots=True)
class Row:
    """One setting over one link, all streams pooled. Shares are from 0 to 1."""

    profile: str
    cameras: int
    """Streams that share the link evenly; one of them is replayed."""
    setting: str
    mbit_s: float
    """Encoded bytes that went over the link."""
    live: float
    live_low: float
    live_high: float
    final: float
    final_low: float
    final_high: float
    lag_p50: float
    lag_p95: float
    """Windows, of the answers that were applied."""
    sent: int
    unanswered: int
    front_live: int
    """1 where no fixed setting has more live accuracy with as many bytes or fewer."""
    front_final: int
    beaten_by: str
    """The most accurate fixed setting, live, with as many bytes or fewer."""
    ahead: float
    """Of it, in live accuracy; with its 95 % interval."""
    ahead_low: float
    ahead_high: float


@dataclass(slots=True)
class _Run:
    name: str
    adaptive: bool
    live: list[Ints] = field(default_factory=list)
    final: list[Ints] = field(default_factory=list)
    results: list[ReplayResult] = field(default_factory=list)

    @property
    def wire_bytes(self) -> int:
        return sum(each.wire_bytes for each in self.results)

    def accuracy(self, final: bool) -> float:
        return accuracy(np.sum(self.final if final else self.live, axis=0))


def compute(
    streams: Sequence[Stream],
    rho: Sequence[Floats],
    views: Views,
    ladder: Ladder,
    fusion: FusionSection,
    profiles: Sequence[str] = PROFILES,
    adapting: Sequence[Adapting] = (Adapting(),),
    paces: Sequence[Pace] = PACES,
    ways: Sequence[Way] = WAYS,
    cameras: Sequence[int] = (1,),
    say: Callable[[str], None] = lambda text: None,
) -> list[Row]:
    """Rows of every setting over every profile, shared by so many `cameras`, one of which is replayed.

    Raises ConfigError for an unknown profile.
    """
    seconds = sum(each.dump.frames / each.dump.header.fps for each in streams)
    rows = []
    for profile, count in product(profiles, cameras):
        trace = Trace(profile=profile, share=1 / count)
        runs = []
        for pace in paces:
            for way in ways:
                say(f"{profile}: {way.name}, {name_of(pace)}")
                fixed = Ladder((0.0,), (Rung(pace, way, 1.0, 1.0, (0.0,), 0.0),))
                network = Paced(trace, lambda fixed=fixed: Pacer(fixed), views, adaptive=False, measured=False)  # type: ignore[misc]
                runs.append(_run(f"{way.name}, {name_of(pace)}", network, pace, streams, rho, fusion))
        for each in adapting:
            say(f"{profile}: {each.name}")
            network = Paced(trace, lambda each=each: each.pacer(ladder), views)  # type: ignore[misc]
            runs.append(_run(each.name, network, ladder.rungs[0].pace, streams, rho, fusion, adaptive=True))
        rows += [_row(profile, count, each, runs, seconds) for each in runs]
    return rows


def _run(
    name: str,
    network: Paced,
    pace: Pace,
    streams: Sequence[Stream],
    rho: Sequence[Floats],
    fusion: FusionSection,
    adaptive: bool = False,
) -> _Run:
    results = [
        replay(stream.dump, each, lambda: policy_of(pace), network, fusion)
        for stream, each in zip(streams, rho, strict=True)
    ]
    live, final = right(streams, results, final=False), right(streams, results, final=True)
    return _Run(name, adaptive, live, final, results)


def _row(profile: str, cameras: int, run: _Run, runs: Sequence[_Run], seconds: float) -> Row:
    live, final = shared(run.live), shared(run.final)
    fixed = [each for each in runs if not each.adaptive and each is not run and each.wire_bytes <= run.wire_bytes]
    best = max(fixed, key=lambda each: each.accuracy(final=False), default=None)
    gain = ahead([run.live], [best.live]) if best is not None else None
    finals = max((each.accuracy(final=True) for each in fixed), default=-1.0)
    lags = lag_histogram(np.concatenate([each.lags for each in run.results]))
    sent = sum(len(each.sent) for each in run.results)
    return Row(
        profile,
        cameras,
        run.name,
        8e-6 * run.wire_bytes / seconds,
        live.value,
        live.low,
        live.high,
        final.value,
        final.low,
        final.high,
        lags.quantile(0.5),
        lags.quantile(0.95),
        sent,
        sent - lags.applied,
        int(gain is None or gain.value >= 0),
        int(final.value >= finals),
        "" if best is None else best.name,
        float("nan") if gain is None else gain.value,
        float("nan") if gain is None else gain.low,
        float("nan") if gain is None else gain.high,
    )


def draw(rows: Sequence[Row]) -> Figure:
    """Accuracy over Mbit/s: live above, final below, a column for each link. Raises ConfigError without matplotlib."""
    links = list(dict.fromkeys((row.profile, row.cameras) for row in rows))
    figure = new_figure(6.4, 2.6 * len(links))
    panels = figure.subplots(2, len(links), sharex=True, sharey="row", squeeze=False)
    for column, (profile, cameras) in enumerate(links):
        here = [row for row in rows if (row.profile, row.cameras) == (profile, cameras)]
        title = profile if cameras == 1 else f"{profile}, {cameras} cameras"
        for axes, what in zip(panels[:, column], ("live", "final"), strict=True):
            for adaptive, marker, label in ((False, "o", "fixed"), (True, "*", ADAPTIVE)):
                points = [row for row in here if row.setting.startswith(ADAPTIVE) == adaptive]
                axes.plot(
                    [row.mbit_s for row in points],
                    [100 * getattr(row, what) for row in points],
                    marker=marker,
                    linestyle="",
                    markersize=11 if adaptive else 4,
                    color="C3" if adaptive else "C0",
                    label=label,
                )
            axes.set_xscale("log")
            tidy(axes, title if what == "live" else "", "Mbit/s" if what == "final" else "")
    for axes, what in zip(panels[:, 0], ("live", "final"), strict=True):
        axes.set_ylabel(f"frames right, {what}, %", fontsize=9)
    legend_below(figure, *panels.flat, columns=2)
    return figure
