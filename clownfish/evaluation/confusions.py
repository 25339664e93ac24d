"""What is taken for what, and how far confidence can be believed: the words behind one accuracy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.table import Table

from clownfish.evaluation.compare import Row, pooled
from clownfish.evaluation.dump import Dump
from clownfish.evaluation.metrics import Floats, Ints, truth_by_frame
from clownfish.sources.truth import Truth
from clownfish.training.calibrate import expected_calibration_error

SHOWN = {"edge-only": "edge", "cloud-only": "cloud", "fused final": "final"}
"""Methods, and what a column calls them."""
EXPLAINED = ("edge-only", "cloud-only")
WORTH_NAMING = 0.03
"""A smaller share of a class's frames is not named."""
NAMED = 2


def mistakes(row: Ints, classes: Sequence[str], own: int) -> str:
    """What the frames of one class are mostly taken for: `bow 12, idle 7` in percent; `row` is (classes + 1,)."""
    shares = row[:-1] / max(int(row.sum()), 1)
    shares[own] = 0
    order = np.argsort(-shares, kind="stable")[:NAMED]
    return ", ".join(f"{classes[n]} {100 * shares[n]:.0f}" for n in order if shares[n] >= WORTH_NAMING)


def confusion_table(streams: Sequence[Sequence[Row]], classes: Sequence[str]) -> Table:
    """For each class its share of frames answered right, and what edge and cloud take it for; frames without truth do
    not count."""
    matrices = {row.method: row.confusion for row in pooled(streams)}
    table = Table(show_edge=False, pad_edge=False)
    table.add_column("right, %", no_wrap=True)
    for name in SHOWN.values():
        table.add_column(name, justify="right", no_wrap=True)
    for method in EXPLAINED:
        table.add_column(f"{SHOWN[method]} says", overflow="fold")
    recalls: dict[str, list[float]] = {method: [] for method in SHOWN}
    for n, label in enumerate(classes):
        cells = []
        for method in SHOWN:
            matrix = matrices[method]
            total = 0 if matrix is None else int(matrix[n].sum())
            if matrix is None or not total:
                cells.append("-")
                continue
            recalls[method].append(matrix[n, n] / total)
            cells.append(f"{100 * matrix[n, n] / total:.1f}")
        for method in EXPLAINED:
            matrix = matrices[method]
            cells.append("" if matrix is None else mistakes(matrix[n], classes, n))
        table.add_row(label, *cells)
    table.add_section()
    table.add_row("mean of classes", *(f"{100 * np.mean(each):.1f}" if each else "-" for each in recalls.values()))
    return table


def calibration_errors(dumps: Sequence[tuple[Dump, Truth | None]]) -> tuple[float, float] | None:
    """(edge's, cloud's) expected calibration error over the windows whose middle frame has a truth; None without."""
    edge, cloud, labels = list[Floats](), list[Floats](), list[Ints]()
    for dump, truth in dumps:
        if truth is None:
            continue
        label = truth_by_frame(truth, dump.header.classes, dump.frames, skip=0)
        middle = label[dump.t * dump.header.stride + dump.header.size // 2]
        known = middle >= 0
        edge.append(dump.p_local[known].astype(np.float64))
        cloud.append(dump.p_remote[known].astype(np.float64))
        labels.append(middle[known])
    if not labels:
        return None
    truth_of_all = np.concatenate(labels)
    first, second = (expected_calibration_error(np.concatenate(p), truth_of_all) for p in (edge, cloud))
    return first, second
