"""What goes over the network and when: bytes, lags, and the pace of answers (§VI-B, §VI-C)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clownfish.evaluation.metrics import Floats, Ints

SAMPLE_S = 5.0
"""Of throughput (§VI-B)."""


def saved(counts: Ints) -> float:
    """(bytes sent, bytes of cloud-only) → share saved against a cloud-only system that sends every frame once with the
    same codec (DESIGN §5.13); NaN where that sends nothing."""
    sent, everything = counts
    return 1 - float(sent) / float(everything) if everything else float("nan")


def rate_mbit(size_bytes: int, frames: int, fps: float) -> float:
    """Mean bit rate of `size_bytes` sent over `frames` frames of video, in Mbit/s; NaN of no frames."""
    return size_bytes * 8 * fps / frames / 1e6 if frames else float("nan")


@dataclass(frozen=True, slots=True)
class Lags:
    """Of remote results, in windows."""

    counts: Ints
    """counts[d]: applied results of lag d."""
    late: int
    """That came after their window had left the horizon."""

    @property
    def applied(self) -> int:
        return int(self.counts.sum())

    def quantile(self, share: float) -> float:
        """The smallest lag that at least `share` of the applied results do not exceed; NaN where none is."""
        if not self.applied:
            return float("nan")
        return float(np.searchsorted(np.cumsum(self.counts), share * self.applied - 1e-9))

    def __add__(self, other: Lags) -> Lags:
        counts = np.zeros(max(len(self.counts), len(other.counts)), np.int64)
        counts[: len(self.counts)] += self.counts
        counts[: len(other.counts)] += other.counts
        return Lags(counts, self.late + other.late)


def lag_histogram(lags: Ints, late: int = 0) -> Lags:
    """`lags`: (applied,), one for each result as Fusion counted it. Raises ValueError for a negative one."""
    if len(lags) and lags.min() < 0:
        raise ValueError(f"a lag is {lags.min()} windows; no result is applied before its window is there")
    return Lags(np.bincount(lags).astype(np.int64), late)


def throughput(emit_ns: npt.NDArray[np.integer], frames_each: int, sample_s: float = SAMPLE_S) -> Floats:
    """(samples,) frames answered per second in each whole sample of `sample_s` seconds since the first answer.

    `emit_ns`: when each answer (revision 0) was given, in any order, on one clock; `frames_each`: the stride, frames
    that each stands for. The last, incomplete sample is left out: it would look like a standstill. Raises ValueError
    for a sample or a stride that is not positive.
    """
    if sample_s <= 0 or frames_each < 1:
        raise ValueError(f"samples of {sample_s} s, {frames_each} frames an answer: both must be positive")
    if not len(emit_ns):
        return np.zeros(0)
    since_s = (np.sort(emit_ns) - emit_ns.min()) / 1e9
    samples = int(since_s[-1] / sample_s)
    counts = np.bincount((since_s / sample_s).astype(np.int64), minlength=samples)[:samples]
    return counts * frames_each / sample_s


def latencies_ms(capture_ns: npt.NDArray[np.integer], emit_ns: npt.NDArray[np.integer]) -> Floats:
    """(answers,) from capture to answer. Raises ValueError where one was given before its window was captured."""
    took = (emit_ns - capture_ns) / 1e6
    if len(took) and took.min() < 0:
        raise ValueError(f"an answer comes {-took.min():.3f} ms before its window: the two clocks are not the same")
    return np.asarray(took, np.float64)
