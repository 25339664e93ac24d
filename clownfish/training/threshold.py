"""What an early-discard model's threshold means: recall, precision, and how much is sent (§VI-G)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class AtThreshold:
    """What sending every window of p ≥ `threshold` means on the validation streams."""

    threshold: float
    recall: float
    """Share of the windows worth sending that are sent."""
    precision: float
    """Share of the windows sent that are worth it."""
    share: float
    """Share of all windows that are sent."""

    def __str__(self) -> str:
        return (
            f"at threshold {self.threshold:g} recall {self.recall:.3f}, precision {self.precision:.3f}, "
            f"{100 * self.share:.1f} % of windows sent"
        )


def choose_threshold(p: Floats, relevant: npt.NDArray[np.bool_], recall: float) -> float:
    """The largest threshold, in steps of 0.0001, at which at least `recall` of the relevant windows are sent; p (n,)
    of sending."""
    wanted = np.sort(p[relevant])[::-1]
    at = wanted[int(np.ceil(recall * len(wanted))) - 1]
    return float(np.clip(np.floor(at * 10_000) / 10_000, 0.0001, 0.9999))


def at_threshold(p: Floats, relevant: npt.NDArray[np.bool_], threshold: float) -> AtThreshold:
    """Recall, precision and share sent; precision is 1 where nothing is sent."""
    sent = p >= threshold
    right = (sent & relevant).sum()
    return AtThreshold(
        threshold,
        recall=float(right / max(relevant.sum(), 1)),
        precision=float(right / sent.sum()) if sent.any() else 1.0,
        share=float(sent.mean()),
    )
