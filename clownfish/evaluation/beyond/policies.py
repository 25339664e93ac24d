"""Which filter policy spends given bytes best: the paper's, those kept beside it, and those tried (not in the paper).

Every policy is replayed at every lag, and its frame accuracy compared, on the same streams, with the paper's policy at
n_w = 6 and with what edge and cloud reach alone. Bytes count against cloud-only with the same codec, each frame once.
Options were chosen on puppets' validation streams, for at most 20 % of the bytes and for those of n_w = 6.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from clownfish.errors import ConfigError
from clownfish.evaluation.compare import Settings, score
from clownfish.evaluation.dump import Dump
from clownfish.evaluation.metrics import Ints, bootstrap_interval, share
from clownfish.evaluation.paper.style import legend_below, level, new_figure, tidy
from clownfish.evaluation.replay import Floats, fix_ma, replay, rhos
from clownfish.filters import FILTERS
from clownfish.settings import FusionSection, Plugin
from clownfish.sources.truth import Truth

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LAGS = tuple(range(9))
TRIED = "clownfish.evaluation.beyond.candidates:"
FINAL = "final"
"""In place of a lag: the answers when all is known."""
REFERENCE = "context_aware n_w=6"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A policy with its options, and the similarity that fusion believes an old answer by."""

    policy: Plugin
    similarity: str = "siminet"
    needs: str = ""
    """A first class that the labels must have."""

    @property
    def name(self) -> str:
        return f"{self.policy.kind.removeprefix(TRIED)} {options(self.policy)}".strip()


def options(policy: Plugin) -> str:
    """`n_w=6 rise=0.5`."""
    return " ".join(f"{key}={value}" for key, value in policy.options.items())


def _of(kind: str, similarity: str = "siminet", needs: str = "", **chosen: Any) -> Candidate:
    return Candidate(Plugin(kind, chosen), similarity, needs)


KEPT = tuple(
    _of(kind, similarity, **chosen)
    for similarity in ("siminet", "overlap")
    for kind, chosen in (
        ("context_aware", {"n_w": 6}),
        ("context_aware", {"n_w": 20}),
        ("always", {}),
        ("drift", {"threshold": 0.99}),
        ("drift", {"threshold": 0.9, "patience": 2, "follow": 0}),
        ("budget", {"share": 0.2}),
        ("budget", {"share": 0.66, "patience": 0, "follow": 4}),
    )
)
NOT_KEPT = (
    _of(TRIED + "Transition", on="rise", bound=0.1, hold=1, n_w=7),
    _of(TRIED + "Transition", on="rise", bound=0.1, hold=3, n_w=40),
    _of(TRIED + "Transition", on="fall", bound=0.1, hold=2, n_w=7),
    _of(TRIED + "Transition", on="fall", bound=0.1, hold=2, n_w=40),
    _of(TRIED + "Transition", on="either", bound=0.1, hold=1, n_w=7),
    _of(TRIED + "Transition", on="either", bound=0.1, hold=3, n_w=40),
    _of(TRIED + "Apart", on="fall", bound=0.1, n_w=7),
    _of(TRIED + "Apart", on="either", bound=0.3, hold=1, n_w=60),
    _of(TRIED + "Unsure", margin=0.3, gap=1, n_w=8),
    _of(TRIED + "Unsure", margin=0.5, gap=8, n_w=60),
    _of(TRIED + "DriftOfKinds", needs="idle"),
    _of(TRIED + "DriftOfKinds", needs="idle", threshold=0.9, patience=2, follow=0),
    _of(TRIED + "PeriodOfKinds", needs="idle", n_w=6),
    _of(TRIED + "PeriodOfKinds", needs="idle", bound=0.5, n_w=12),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One policy's answers at one lag, beside one other method. Shares are from 0 to 1."""

    policy: str
    """Or `edge-only`, `edge + FixMA`, `cloud-only`, `cloud + FixMA`."""
    options: str
    similarity: str
    lag: str
    """Windows after which each remote answer came; `final` for the answers when all is known."""
    sent_share: float
    bytes_share: float
    accuracy: float
    against: str
    """The method that it is compared with, at the same lag."""
    gain: float
    gain_low: float
    gain_high: float
    """95 % bootstrap interval of the gain over streams, paired."""


@dataclass
class _Method:
    """Counts of one method over streams."""

    policy: str
    options: str = ""
    similarity: str = ""
    sent: Ints = field(default_factory=lambda: np.zeros(2, np.int64))
    """(sent, all) windows over all streams; likewise `wire` bytes."""
    wire: Ints = field(default_factory=lambda: np.zeros(2, np.int64))
    right: dict[str, list[Ints]] = field(default_factory=dict)
    """Lag → (right, scored) frames of each stream."""


Streams = Sequence[tuple[Dump, Truth]]
Say = Callable[[str], None]


def compute(
    streams: Streams,
    fusion: FusionSection,
    siminet: str,
    candidates: Sequence[Candidate] = KEPT + NOT_KEPT,
    lags: Sequence[int] = LAGS,
    say: Say = lambda text: None,
) -> list[Row]:
    """Rows of every candidate that fits the classes, at every lag and finally, against each reference.

    `siminet`: its weights. Raises ConfigError or ModelError where options or weights cannot be used, and ConfigError
    where the reference is not among the candidates.
    """
    classes = streams[0][0].header.classes
    wanted = [each for each in candidates if each.needs in ("", classes[0])]
    if REFERENCE not in (each.name for each in wanted):
        raise ConfigError(f"no candidate is {REFERENCE}, with which the others are compared: add it")
    rho = {name: _rhos(streams, name, siminet) for name in {each.similarity for each in wanted}}
    alone = _alone(streams, lags)
    methods = []
    for number, candidate in enumerate(wanted):
        say(f"{number + 1} of {len(wanted)}: {candidate.name}, ρ of {candidate.similarity}")
        methods.append(_replayed(streams, rho[candidate.similarity], candidate, fusion, lags))
    paper = next(m for m, each in zip(methods, wanted, strict=True) if each.name == REFERENCE)
    against = {REFERENCE: paper, **{each.policy: each for each in alone if each.policy != "edge-only"}}
    return [
        _row(method, lag, other, name)
        for method in (*alone, *methods)
        for lag in method.right
        for name, other in against.items()
    ]


def _rhos(streams: Streams, similarity: str, siminet: str) -> list[Floats]:
    plugin = {
        "siminet": Plugin("siminet", {"weights": siminet}),
        "overlap": Plugin("overlap", {"of": "siminet", "weights": siminet}),
    }.get(similarity, Plugin(similarity))
    settings = Settings(similarity=plugin)
    return [rhos(dump, settings.build_similarity(dump, truth)) for dump, truth in streams]


def _alone(streams: Streams, lags: Sequence[int]) -> list[_Method]:
    methods = []
    for name, of_cloud, smooth in (
        ("edge-only", False, False),
        ("edge + FixMA", False, True),
        ("cloud-only", True, False),
        ("cloud + FixMA", True, True),
    ):
        method = _Method(name)
        for dump, truth in streams:
            p = dump.p_remote if of_cloud else dump.p_local
            _sent(method, dump, dump.windows * of_cloud, int(dump.frame_bytes.sum()) * of_cloud)
            counts = _right(dump, truth, (fix_ma(p) if smooth else p).argmax(1))
            for lag in (*map(str, lags), FINAL):
                method.right.setdefault(lag, []).append(counts)
        methods.append(method)
    return methods


def _replayed(
    streams: Streams, rho: Sequence[Floats], candidate: Candidate, fusion: FusionSection, lags: Sequence[int]
) -> _Method:
    policy = candidate.policy
    method = _Method(policy.kind.removeprefix(TRIED), options(policy), candidate.similarity)
    for (dump, truth), of_stream in zip(streams, rho, strict=True):
        for lag in lags:
            result = replay(dump, of_stream, lambda: policy.build(FILTERS), lag, fusion)
            method.right.setdefault(str(lag), []).append(_right(dump, truth, result.live))
        method.right.setdefault(FINAL, []).append(_right(dump, truth, result.final))
        _sent(method, dump, len(result.sent), result.wire_bytes)
    return method


def _sent(method: _Method, dump: Dump, windows: int, wire_bytes: int) -> None:
    method.sent += (windows, dump.windows)
    method.wire += (wire_bytes, int(dump.frame_bytes.sum()))


def _right(dump: Dump, truth: Truth, answers: Ints) -> Ints:
    matrix = score(dump, truth, answers)
    assert matrix is not None  # there is a truth
    return np.array([np.trace(matrix), matrix.sum()], np.int64)


def _row(method: _Method, lag: str, other: _Method, name: str) -> Row:
    ours, theirs = method.right[lag], other.right[lag]
    # On the same streams as many frames are scored: a difference of shares is a share of the differences.
    gains = [np.array([one[0] - two[0], one[1]]) for one, two in zip(ours, theirs, strict=True)]
    low, high = bootstrap_interval(gains, share)
    return Row(
        method.policy,
        method.options,
        method.similarity,
        lag,
        share(method.sent),
        share(method.wire),
        share(np.sum(ours, axis=0)),
        name,
        share(np.sum(gains, axis=0)),
        low,
        high,
    )


SHOWN: Mapping[str, str] = {FINAL: "final", "1": "live, lag 1", "8": "live, lag 8"}
"""Panels of the picture: lag → title."""


def draw(rows: Sequence[Row]) -> Figure:
    """Accuracy over bytes, a panel for each of SHOWN. Raises ConfigError without matplotlib."""
    figure = new_figure(4.2, 11.0)
    panels = figure.subplots(1, len(SHOWN), sharex=True)
    methods = list(dict.fromkeys((row.policy, row.similarity) for row in rows if row.similarity))
    for axes, (lag, title) in zip(panels, SHOWN.items(), strict=True):
        here = [row for row in rows if row.lag == lag and row.against == REFERENCE]
        for number, method in enumerate(methods):
            points = sorted((r.bytes_share, r.accuracy) for r in here if (r.policy, r.similarity) == method)
            axes.plot(
                [100 * x for x, _ in points],
                [100 * y for _, y in points],
                marker="osD^v<>phX*"[number % 11],
                linestyle=_line(*method),
                linewidth=1.0,
                markersize=5,
                color=f"C{number % 10}",
                label=", ".join(method),
            )
        for row in here:
            if not row.similarity:
                level(axes, row.policy, 100 * row.accuracy)
        tidy(axes, title, "bytes, % of cloud-only")
    panels[0].set_ylabel("frames answered right, %", fontsize=9)
    legend_below(figure, *panels, columns=4)
    return figure


def _line(policy: str, similarity: str) -> str:
    """Between the points of a policy that was kept; one that was tried has points of unlike options."""
    if policy not in FILTERS.names():
        return ""
    return "-" if similarity == "siminet" else "--"
