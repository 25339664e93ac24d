"""What the end of a run says about its figures."""

from __future__ import annotations

import numpy as np
import pytest

from clownfish.cli.summary import harm


@pytest.mark.parametrize(
    ("edge", "cloud", "says"),
    [
        ([[6, 4], [0, 0]], [[9, 1], [0, 0]], None),
        ([[6, 4], [0, 0]], [[2, 8], [0, 0]], "right on 20.0% of these frames and the small one on 60.0%"),
        ([[6, 4], [0, 0]], [[6, 4], [0, 0]], "asking it cannot help here"),
        ([[0, 0], [0, 0]], [[0, 0], [0, 0]], None),
    ],
    ids=["better", "worse", "no_better", "nothing_scored"],
)
def test_a_large_model_that_cannot_help_is_said_to(
    edge: list[list[int]], cloud: list[list[int]], says: str | None
) -> None:
    said = harm({"edge-only": np.array(edge), "cloud-only": np.array(cloud), "fused live": np.array(edge)})
    assert said is None if says is None else says in str(said)


def test_without_a_cloud_nothing_is_said_of_it() -> None:
    assert harm({"edge-only": np.array([[1, 2], [3, 4]])}) is None
