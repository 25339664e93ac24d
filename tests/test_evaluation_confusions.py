"""What is taken for what, and how far confidence can be believed."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
from rich.console import Console

from clownfish.evaluation.compare import METHODS, Row
from clownfish.evaluation.confusions import calibration_errors, confusion_table, mistakes
from clownfish.sources.truth import Context, Truth
from tests.test_evaluation_replay import made

CLASSES = ("bow", "clap", "wave")


def test_mistakes_are_named_most_frequent_first_and_rare_ones_are_not() -> None:
    row = np.array([50, 10, 38, 2])  # the last column counts the unanswered
    assert mistakes(row, CLASSES, own=0) == "wave 38, clap 10"
    assert mistakes(np.array([99, 1, 0, 0]), CLASSES, own=0) == ""


def test_the_table_gives_each_class_its_share_and_their_mean() -> None:
    matrix = np.array([[8, 2, 0, 0], [0, 5, 0, 0], [0, 0, 0, 0]])
    rows = [Row(method, matrix, 4, 0, 0, 1) for method in METHODS]
    out = io.StringIO()
    Console(file=out, width=120).print(confusion_table([rows], CLASSES))
    lines = out.getvalue().splitlines()
    assert any("bow" in line and "80.0" in line and "clap 20" in line for line in lines)
    assert any("wave" in line and "-" in line for line in lines)
    assert any("mean of classes" in line and "90.0" in line for line in lines)


def test_calibration_error_compares_confidence_with_the_middle_frames_truth() -> None:
    dump = made(windows=50, classes=3)
    sure = np.tile(np.float32([1.0, 0.0, 0.0]), (dump.windows, 1))
    right = Truth((Context(0, dump.frames, dump.header.classes[0]),))
    wrong = Truth((Context(0, dump.frames, dump.header.classes[1]),))

    dump = dataclasses.replace(dump, p_local=sure, p_remote=np.full_like(sure, 1 / 3))
    edge, cloud = calibration_errors([(dump, right)]) or (1.0, 1.0)
    assert edge == 0.0
    np.testing.assert_allclose(cloud, 2 / 3, rtol=1e-5)  # argmax is the first class, which is right
    assert (calibration_errors([(dump, wrong)]) or (0.0, 0.0))[0] == 1.0
    assert calibration_errors([(dump, None)]) is None
