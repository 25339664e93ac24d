"""The scores of a model pair and its SimiNet on labelled streams, as lines for people."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from clownfish.datasets.base import Dataset
from clownfish.errors import DatasetError
from clownfish.models.description import check_siminet, read_description, read_siminet_description
from clownfish.models.load import load_model
from clownfish.similarity.siminet import SimiNet
from clownfish.training.calibrate import expected_calibration_error
from clownfish.training.measure import Watched, auc, cosine, euclidean, frame_accuracy, watch, window_accuracy


def score_table(dataset: Dataset, local: str, remote: str, siminet: str, size: tuple[int, int]) -> Iterator[str]:
    """One line per model, then the similarities' areas under the ROC curve; `size` = (width, height) at capture.

    Raises DatasetError where the data set has no streams, or labels that a model does not know.
    """
    streams = dataset.streams()
    if not streams:
        raise DatasetError(
            "this data set has no streams: no part of it is held back to measure on. Give some videos the part test, "
            "or measure on other labelled videos with `clownfish eval streams`"
        )
    labels = {interval.label for stream in streams for interval in stream.intervals}
    for name in (local, remote):
        unknown = sorted(labels - set(read_description(name).classes))
        if unknown:
            raise DatasetError(
                f"{name} does not know {', '.join(unknown)}; score with models of the data set's classes"
            )
    for role, name in (("local", local), ("remote", remote)):
        model = load_model(name)
        long = [stream for stream in streams if stream.intervals[-1].end >= model.window_size]
        if len(long) < len(streams):
            yield f"skipped {len(streams) - len(long)} of {len(streams)} streams that are shorter than a window"
        watched = [watch(model, stream, size=size) for stream in long]
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
    if same.all() or not same.any():
        yield f"transitions: {int((~same).sum())} in {len(same)} pairs; nothing to tell apart"
        return
    rho = siminet.rho_batch(f, g)
    yield (
        f"transitions, AUC: SimiNet {auc(rho, same):.4f}, cosine {auc(cosine(p, q), same):.4f}, "
        f"Euclidean {auc(euclidean(p, q), same):.4f}; mean ρ steady {rho[same].mean():.3f}, "
        f"transition {rho[~same].mean():.3f}; {int((~same).sum())} transitions in {len(same)} pairs"
    )
