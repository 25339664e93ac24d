"""What the cloud changes, over streams: pooled, with intervals, and in agreement with the comparison."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math

import numpy as np
import pytest
from rich.console import Console

from clownfish.evaluation.behaviour import Behaviour, Measure, behaviour, measures
from clownfish.evaluation.compare import Settings, compare, pooled
from clownfish.evaluation.metrics import bootstrap_interval, interval_over
from clownfish.evaluation.recording import labels
from clownfish.evaluation.report import measures_numbers, measures_table
from clownfish.evaluation.transitions import FirstCorrect, median_frames
from clownfish.settings import FusionSection, Plugin
from clownfish.sources.truth import Context, Truth
from tests.test_evaluation_replay import made

SETTINGS = Settings(similarity=Plugin("constant", {"value": 0.9}), fusion=FusionSection(theta=0.2), lag=2)


def streams(count: int = 3) -> tuple[list[Behaviour], list[list]]:
    """Behaviour, and the comparison's rows, of drawn answers."""
    found, rows = [], []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        edges = [0, *np.cumsum(rng.integers(10, 30, 4)).tolist()]
        truth = Truth(tuple(Context(a, b, f"class {n % 3}") for n, (a, b) in enumerate(itertools.pairwise(edges))))
        dump = made(60, seed)
        dump = dataclasses.replace(dump, label=labels(truth, dump.header, dump.frames))
        found.append(behaviour(dump, truth, SETTINGS))
        rows.append(compare(dump, truth, SETTINGS))
    return found, rows


def test_the_measures_are_those_of_the_comparison() -> None:
    found, rows = streams()
    named = {each.name: each for each in measures(found)}
    methods = {row.method: row for row in pooled(rows)}
    assert named["accuracy, live"].value == methods["fused live"].accuracy
    assert named["accuracy, final"].value == methods["fused final"].accuracy
    live, edge, smooth, final = (
        methods[name].accuracy for name in ("fused live", "edge-only", "edge + FixMA", "fused final")
    )
    assert live is not None and edge is not None and smooth is not None and final is not None  # noqa: PT018
    assert named["live − edge"].value == pytest.approx(live - edge)
    # what the cloud brings is what is gained on the edge's own smoothed answers (Alg. 1 without remote results)
    assert named["live: … gain"].value == pytest.approx(live - smooth)
    assert named["final: … gain"].value == pytest.approx(final - smooth)
    for when in ("live", "final"):
        parts = [named[f"{when}: … {what}"].value for what in ("put right", "spoilt")]
        assert sum(parts) <= named[f"{when}: answers that the cloud changed"].value
    assert named["lag: median"].value == 2
    matrices = [each.confusions["live"] for each in found]
    from clownfish.evaluation.metrics import accuracy

    assert named["accuracy, live"].interval == bootstrap_interval(matrices, accuracy)


def test_patience_ends_in_the_final_answers() -> None:
    """After 24 windows every result of lag 2 has long come."""
    for each in streams()[0]:
        np.testing.assert_array_equal(each.confusions["after 24 windows"], each.confusions["final"])


def test_every_interval_holds_its_value_and_of_one_stream_alone_is_that_value() -> None:
    found, _ = streams(4)
    for each in measures(found):
        if each.interval is not None:
            low, high = each.interval
            assert low <= each.value + 1e-12, each.name
            assert each.value <= high + 1e-12, each.name
    for each in measures(found[:1]):
        if each.interval is not None and not math.isnan(each.value):
            assert each.interval == pytest.approx((each.value, each.value)), each.name


def test_a_method_that_never_gets_it_right_has_an_infinite_median_and_no_number() -> None:
    lost = [FirstCorrect(np.array([-1, -1, 4]), np.array([9, 9, 9]))] * 3
    assert median_frames(lost) == math.inf
    assert interval_over(lost, median_frames) == (math.inf, math.inf)
    endless = Measure("x", "frames", math.inf, (3.0, math.inf))
    text = json.dumps(measures_numbers([endless]), allow_nan=False)
    assert json.loads(text) == [{"name": "x", "unit": "frames", "value": None, "interval": [3.0, None]}]


def test_the_table_fits_a_terminal_of_80_columns() -> None:
    console = Console(width=80, quiet=True)
    assert console.measure(measures_table(measures(streams()[0]))).maximum <= 80
