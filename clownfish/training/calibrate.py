"""Temperature scaling (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017).

Fusion depends on it: β starts at the largest fused probability, and an under-confident remote leaves it below θ (§IV).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

BINS = 15
ENOUGH = 0.05
"""Expected calibration error above this is said aloud."""


def softmax(logits: npt.NDArray[np.floating], temperature: float = 1.0) -> npt.NDArray[np.float64]:
    """softmax(logits / temperature) over the last axis."""
    z = logits.astype(np.float64) / temperature
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    p: npt.NDArray[np.float64] = e / e.sum(axis=-1, keepdims=True)
    return p


def negative_log_likelihood(
    logits: npt.NDArray[np.floating], labels: npt.NDArray[np.int64], temperature: float
) -> float:
    """Mean −log p[label]; logits (n, classes), labels (n,)."""
    p = softmax(logits, temperature)[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(p, 1e-12)).mean())


def fit_temperature(logits: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]) -> float:
    """The temperature in [0.05, 20] of least negative log-likelihood (golden-section search on its logarithm)."""
    ratio = (np.sqrt(5) - 1) / 2
    low, high = np.log(0.05), np.log(20.0)
    for _ in range(60):
        a, b = high - ratio * (high - low), low + ratio * (high - low)
        if negative_log_likelihood(logits, labels, np.exp(a)) < negative_log_likelihood(logits, labels, np.exp(b)):
            high = b
        else:
            low = a
    return float(np.exp((low + high) / 2))


def least_error_temperature(logits: npt.NDArray[np.floating], labels: npt.NDArray[np.int64], slack: float) -> float:
    """Of the temperatures whose negative log-likelihood is within `slack` nats of the least, the one of least expected
    calibration error: likelihood is flat about its optimum, and what fusion reads is the confidence. A slack of 0 is
    `fit_temperature`."""
    best = fit_temperature(logits, labels)
    bound = negative_log_likelihood(logits, labels, best) + slack
    near = [t for t in best * np.linspace(0.7, 1.4, 71) if negative_log_likelihood(logits, labels, t) <= bound]
    return float(
        min([best, *near], key=lambda t: (expected_calibration_error(softmax(logits, t), labels), abs(t - best)))
    )


def expected_calibration_error(p: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]) -> float:
    """Mean |confidence − accuracy| over 15 equal bins of confidence, weighted by their size; p (n, classes)."""
    confidence, right = p.max(axis=1), p.argmax(axis=1) == labels
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [abs(confidence[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins)]
    return float(sum(gaps))


def verdict(error: float) -> str:
    """What to say of an expected calibration error: nothing where it is small enough."""
    if error <= ENOUGH:
        return ""
    return (
        f"the expected calibration error stays at {100 * error:.1f} %, above {100 * ENOUGH:.0f} %: one temperature "
        "does not mend it; hold out more validation data, or train with more augmentation or label smoothing"
    )
