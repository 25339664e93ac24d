"""A batch of windows through a model: how large a batch pays, and what becomes of each window when one spoils it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clownfish.errors import ClownfishError, ModelError
from clownfish.messages import Pixels, Vector
from clownfish.models.base import WindowModel

GPU_BATCH = 8


def batch_size(model: WindowModel) -> int:
    """Windows worth running together: GPU_BATCH where torch runs them on a GPU, else 1.

    A CPU answers the first of a batch later and the last no sooner (`models.engines.base.one_by_one`).
    """
    device = getattr(getattr(model, "engine", None), "device", None)
    return GPU_BATCH if getattr(device, "type", "cpu") == "cuda" else 1


def infer_each(model: WindowModel, windows: Sequence[Sequence[Pixels]]) -> list[Vector | str]:
    """For each window its probabilities, shape (classes,), or why it has none.

    When the batch fails, each window is tried alone, so that one that the model cannot take, or a batch too large for a
    GPU's memory, costs no other its answer. An error that is none of ours, and that no window escapes, is the model's
    own: it is raised, and ends the worker.
    """
    try:
        return _answers(model, windows)
    except Exception as error:  # a model may raise anything
        if len(windows) == 1:
            if not isinstance(error, ClownfishError):
                raise
            return [str(error)]
    outcome: list[Vector | str] = []
    foreign: Exception | None = None
    for window in windows:
        try:
            outcome += _answers(model, [window])
        except Exception as error:  # likewise
            foreign = foreign if isinstance(error, ClownfishError) else error
            outcome.append(str(error) or type(error).__name__)
    if foreign is not None and all(isinstance(each, str) for each in outcome):
        raise foreign
    return outcome


def _answers(model: WindowModel, windows: Sequence[Sequence[Pixels]]) -> list[Vector | str]:
    p = model.infer(windows).p
    if p.shape != (len(windows), len(model.classes)):
        raise ModelError(
            f"model {model.name!r} answers {p.shape} for {len(windows)} windows and {len(model.classes)} classes"
        )
    return [
        each if np.isfinite(each).all() else f"model {model.name!r} answers numbers that are not finite" for each in p
    ]
