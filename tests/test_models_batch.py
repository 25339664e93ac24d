"""A batch through a model: one window's fault costs no other its answer, and a broken model is not hidden."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from clownfish.errors import ModelError
from clownfish.messages import Pixels
from clownfish.models.base import Inference
from clownfish.models.batch import GPU_BATCH, batch_size, infer_each
from clownfish.models.load import load_model
from tests.model_files import CLASSES, write_model


class Picky:
    """Fails at windows whose first pixel says so; otherwise answers with that pixel's class."""

    classes = ("a", "b")
    name = "picky"
    window_size = 1

    def __init__(self, most: int = 64) -> None:
        self.most = most

    def infer(self, windows: Sequence[Sequence[Pixels]]) -> Inference:
        if len(windows) > self.most:
            raise torch.OutOfMemoryError("no room on the device")
        values = [int(window[0].flat[0]) for window in windows]
        if 7 in values:
            raise RuntimeError("foreign")
        if 8 in values:
            raise ModelError("ours")
        p = np.array([[np.nan, 1] if value == 9 else np.eye(2)[value] for value in values], np.float32)
        return Inference(p, p)


def windows(*values: int) -> list[list[Pixels]]:
    return [[np.full((1, 1, 3), value, np.uint8)] for value in values]


def told(outcome: Sequence[object]) -> list[object]:
    return [each if isinstance(each, str) else np.asarray(each).tolist() for each in outcome]


def test_each_window_gets_its_own_answer() -> None:
    assert told(infer_each(Picky(), windows(0, 1))) == [[1, 0], [0, 1]]


@pytest.mark.parametrize(("value", "why"), [(7, "foreign"), (8, "ours")])
def test_a_window_at_which_the_model_fails_costs_no_other_its_answer(value: int, why: str) -> None:
    assert told(infer_each(Picky(), windows(0, value, 1))) == [[1, 0], why, [0, 1]]


def test_a_batch_that_does_not_fit_is_run_window_by_window() -> None:
    assert told(infer_each(Picky(most=1), windows(1, 0))) == [[0, 1], [1, 0]]


def test_numbers_that_are_not_finite_are_no_answer() -> None:
    (bad, good) = told(infer_each(Picky(), windows(9, 1)))
    assert (bad, good) == ("model 'picky' answers numbers that are not finite", [0, 1])


@pytest.mark.parametrize("values", [(7,), (7, 7), (8, 7)])
def test_a_foreign_error_that_no_window_escapes_is_the_model_s_and_raised(values: tuple[int, ...]) -> None:
    with pytest.raises(RuntimeError, match="foreign"):
        infer_each(Picky(), windows(*values))


def test_an_error_of_ours_is_told_of_a_lone_window() -> None:
    assert infer_each(Picky(), windows(8)) == ["ours"]


def test_answers_of_another_shape_are_refused_in_words() -> None:
    class Narrow(Picky):
        classes = ("a", "b", "c")

    assert infer_each(Narrow(), windows(0)) == ["model 'picky' answers (1, 2) for 1 windows and 3 classes"]


def test_a_cpu_runs_windows_one_by_one_and_a_gpu_several(tmp_path) -> None:
    model = load_model(write_model(tmp_path, "m"), "cpu")
    assert model.classes == CLASSES
    assert batch_size(model) == 1
    assert batch_size(Picky()) == 1, "nothing is known of a user's own"
    on_gpu = SimpleNamespace(engine=SimpleNamespace(device=torch.device("cuda")))
    assert batch_size(on_gpu) == GPU_BATCH  # type: ignore[arg-type]
