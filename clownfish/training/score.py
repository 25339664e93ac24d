"""The scores of a model pair and its SimiNet on labelled streams, as lines for people."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from clownfish.datasets import DATASETS
from clownfish.models.description import check_siminet, read_description, read_siminet_description
from clownfish.models.load import load_model
from clownfish.similarity.siminet import SimiNet
from clownfish.training.calibrate import expected_calibration_error
from clownfish.training.measure import Watched, auc, cosine, euclidean, frame_accuracy, watch, window_accuracy


def score_table(
    dataset: str, root: Path, local: str, remote: str, siminet: str, size: tuple[int, int]
) -> Iterator[str]:
    """One line per model, then the similarities' areas under the ROC curve; `size` = (width, height) at capture."""
    streams = DATASETS.get(dataset)(root).streams()
    for role, name in (("local", local), ("remote", remote)):
        model = load_model(name)
        watched = [watch(model, stream, size=size) for stream in streams]
        p, label = np.concatenate([w.p for w in watched]), np.concatenate([w.label for w in watched])
        yield (
            f"{role} {model.name}: windows {window_accuracy(watched):.4f}, frames {frame_accuracy(watched):.4f}, "
            f"calibration error {expected_calibration_error(p[label >= 0], label[label >= 0]):.3f}, "
            f"{np.median([w.ms_per_window for w in watched]):.1f} ms per window"
        )
        if role == "local" and siminet:
            check_siminet(read_siminet_description(siminet), read_description(local))
            yield from _similarities(watched, SimiNet(siminet))


def _similarities(watched: list[Watched], siminet: SimiNet) -> Iterator[str]:
    pairs = [(w.p[:-1], w.p[1:], w.feature[:-1], w.feature[1:], w.context[:-1] == w.context[1:]) for w in watched]
    p, q, f, g, same = (np.concatenate(part) for part in zip(*pairs, strict=True))
    rho = siminet.rho_batch(f, g)
    yield (
        f"transitions, AUC: SimiNet {auc(rho, same):.4f}, cosine {auc(cosine(p, q), same):.4f}, "
        f"Euclidean {auc(euclidean(p, q), same):.4f}; mean ρ steady {rho[same].mean():.3f}, "
        f"transition {rho[~same].mean():.3f}; {int((~same).sum())} transitions in {len(same)} pairs"
    )
