"""Clownfish beside its parts on one dump (§VI-B): edge-only, cloud-only, each with FixMA, fused live, fused
final, and early discard where there is a model for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from clownfish.errors import ConfigError, DatasetError
from clownfish.evaluation.dump import Dump
from clownfish.evaluation.early_discard import Discarding, early_discard, recall
from clownfish.evaluation.metrics import (
    accuracy,
    answers_by_frame,
    bootstrap_interval,
    confusion,
    truth_by_frame,
    weighted_f1,
)
from clownfish.evaluation.replay import ReplayResult, fix_ma, replay, rhos
from clownfish.filters import FILTERS
from clownfish.fusion import FALLBACK_ALPHA
from clownfish.settings import FusionSection, Plugin
from clownfish.similarity import SIMILARITIES
from clownfish.similarity.base import Similarity
from clownfish.sources.truth import Truth

Ints = npt.NDArray[np.int64]

DISCARD_METHODS = ("discard live", "discard final")
"""Early discard (§VI-G), where the dumps have its model's answers and the settings say how it is used."""
METHODS = ("edge-only", "edge + FixMA", "cloud-only", "cloud + FixMA", "fused live", "fused final")


@dataclass(frozen=True, slots=True)
class Settings:
    """What is compared. Raises ConfigError or ModelError for plug-ins and options that cannot be used."""

    policy: Plugin = field(default_factory=lambda: Plugin("context_aware"))
    similarity: Plugin = field(default_factory=lambda: Plugin("siminet"))
    fusion: FusionSection = field(default_factory=FusionSection)
    lag: int | None = 1
    """Of every remote result, in windows; 0 is on time, None never."""
    fix_ma_alpha: float = FALLBACK_ALPHA
    discard: Discarding | None = None

    def __post_init__(self) -> None:
        if self.lag is not None and self.lag < 0:
            raise ConfigError(f"lag is {self.lag} windows; expected 0 (on time) or more")
        if not 0 <= self.fix_ma_alpha < 1:
            raise ConfigError(f"alpha of FixMA is {self.fix_ma_alpha}; expected 0 (no smoothing) up to below 1")
        # A wrong option shows now, not after the minutes that both models take.
        self.policy.build(FILTERS)
        if not self._looks_up_truth:
            self.similarity.build(SIMILARITIES)

    @property
    def _looks_up_truth(self) -> bool:
        """`oracle` without options of its own: each stream's own ground truth is what it is built with."""
        return self.similarity.kind == "oracle" and not self.similarity.options

    def build_similarity(self, dump: Dump, truth: Truth | None) -> Similarity:
        """The similarity for that stream. Raises DatasetError where an oracle has no ground truth to look up."""
        similarity: Similarity
        if not self._looks_up_truth:
            similarity = self.similarity.build(SIMILARITIES)
            return similarity
        if truth is None:
            raise DatasetError(
                f"oracle: stream {dump.header.stream} has no ground truth to look up; put a .csv beside it"
            )

        def label(stream: str, t: int, known: Truth = truth) -> str:
            return known.label_at(t * dump.header.stride + dump.header.size // 2) or ""

        similarity = self.similarity.build(SIMILARITIES, truth=label)
        return similarity


@dataclass(frozen=True, slots=True)
class Row:
    """One method on one stream, or on several pooled."""

    method: str
    confusion: Ints | None
    """(classes, classes + 1) scored frames, see `metrics.confusion`; None without ground truth."""
    windows: int
    sent: int
    wire_bytes: int
    cloud_bytes: int
    """What cloud-only sends: every frame once, with the same codec (DESIGN §5.13)."""
    recall: Ints | None = None
    """Of early discard: (windows sent of those worth sending, all of those)."""

    @property
    def accuracy(self) -> float | None:
        return None if self.confusion is None else accuracy(self.confusion)

    @property
    def weighted_f1(self) -> float | None:
        return None if self.confusion is None else weighted_f1(self.confusion)

    @property
    def sent_share(self) -> float:
        return self.sent / self.windows

    @property
    def reduction(self) -> float:
        """Share of cloud-only's bytes that is saved."""
        return 1 - self.wire_bytes / self.cloud_bytes


def fused(dump: Dump, truth: Truth | None, settings: Settings) -> ReplayResult:
    """Clownfish under these settings. Raises as `compare` does."""
    rho = rhos(dump, settings.build_similarity(dump, truth))
    return replay(dump, rho, lambda: settings.policy.build(FILTERS), settings.lag, settings.fusion)


def compare(dump: Dump, truth: Truth | None, settings: Settings) -> list[Row]:
    """One row for each of METHODS, in that order; then those of DISCARD_METHODS, where the settings have early discard.

    Raises ConfigError, ModelError or DatasetError where plug-ins, weights or labels do not fit.
    """
    ours = fused(dump, truth, settings)
    everything = (dump.windows, int(dump.frame_bytes.sum()))
    nothing = (0, 0)
    some = (len(ours.sent), ours.wire_bytes)
    answers = (
        (dump.p_local.argmax(1), nothing),
        (fix_ma(dump.p_local, settings.fix_ma_alpha).argmax(1), nothing),
        (dump.p_remote.argmax(1), everything),
        (fix_ma(dump.p_remote, settings.fix_ma_alpha).argmax(1), everything),
        (ours.live, some),
        (ours.final, some),
    )
    rows = [
        Row(method, score(dump, truth, answer), dump.windows, sent, wire, everything[1])
        for method, (answer, (sent, wire)) in zip(METHODS, answers, strict=True)
    ]
    if settings.discard is None:
        return rows
    classes, threshold = dump.header.classes, settings.discard.threshold
    kept = early_discard(dump, threshold, settings.lag, settings.discard.background(classes))
    found = None if truth is None else recall(dump, threshold, settings.discard.positive(classes))
    for method, answer in zip(DISCARD_METHODS, (kept.live, kept.final), strict=True):
        matrix = score(dump, truth, answer)
        rows.append(Row(method, matrix, dump.windows, len(kept.sent), kept.wire_bytes, everything[1], found))
    return rows


def score(dump: Dump, truth: Truth | None, answers: Ints) -> Ints | None:
    """Confusion matrix of the answers, (windows,) in the dump's order. Raises DatasetError for an unknown label."""
    if truth is None:
        return None
    header = dump.header
    by_frame = answers_by_frame(dump.t, answers, header.size, header.stride, dump.frames)
    return confusion(truth_by_frame(truth, header.classes, dump.frames), by_frame, len(header.classes))


def pooled(streams: Sequence[Sequence[Row]]) -> list[Row]:
    """One row a method over all streams: frames, windows and bytes added up. Unscored where any stream is."""
    total = []
    for rows in zip(*streams, strict=True):
        matrices = [row.confusion for row in rows if row.confusion is not None]
        total.append(
            Row(
                rows[0].method,
                np.sum(matrices, axis=0) if len(matrices) == len(rows) else None,
                sum(row.windows for row in rows),
                sum(row.sent for row in rows),
                sum(row.wire_bytes for row in rows),
                sum(row.cloud_bytes for row in rows),
                None if any(row.recall is None for row in rows) else np.sum([row.recall for row in rows], axis=0),
            )
        )
    return total


@dataclass(frozen=True, slots=True)
class Intervals:
    """95 % bootstrap intervals over streams of one method's pooled scores; None where they are unscored."""

    accuracy: tuple[float, float] | None
    weighted_f1: tuple[float, float] | None


def intervals(streams: Sequence[Sequence[Row]]) -> list[Intervals]:
    """One for each method, in the order of the rows."""
    found = []
    for rows in zip(*streams, strict=True):
        matrices = [row.confusion for row in rows if row.confusion is not None]
        if len(matrices) < len(rows):
            found.append(Intervals(None, None))
            continue
        found.append(Intervals(bootstrap_interval(matrices, accuracy), bootstrap_interval(matrices, weighted_f1)))
    return found
