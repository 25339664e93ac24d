"""Policies beside the paper's: what was tried does what it says, and the comparison's rows are counted right."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from clownfish.errors import ConfigError
from clownfish.evaluation.beyond.candidates import Apart, DriftOfKinds, PeriodOfKinds, Transition, Unsure
from clownfish.evaluation.beyond.policies import (
    FINAL,
    KEPT,
    NOT_KEPT,
    REFERENCE,
    Candidate,
    Row,
    compute,
    draw,
)
from clownfish.evaluation.dump import Dump
from clownfish.filters import FILTERS
from clownfish.settings import FusionSection, Plugin
from clownfish.sources.truth import Context, Truth
from tests.test_evaluation_replay import made
from tests.test_filters import CLAP, HALF, WAVE, opinions, sent, steady

WHICH = [(on, hold) for on in ("rise", "fall", "either") for hold in (0, 2)]


@pytest.mark.parametrize(("on", "hold"), WHICH)
def test_a_transition_is_a_rise_a_fall_or_either_and_may_be_held_back(on: str, hold: int) -> None:
    falls, rises = 5, 7
    chosen = sent(Transition(on, 0.5, hold, n_w=100), steady(12, t5=0.1, t6=0.1))  # type: ignore[arg-type]
    seen = {"rise": [rises], "fall": [falls], "either": [falls, rises]}[on]
    assert chosen == [0, *(t + hold for t in seen)]


def test_windows_apart_are_compared_that_share_no_frame() -> None:
    answers = opinions((10, WAVE), (10, CLAP))
    assert sent(Apart(bound=0.5), dict.fromkeys(answers, 0.9), answers) == [0, 10]


def test_unsure_sends_where_two_classes_are_nearly_as_likely_and_not_too_often() -> None:
    answers = opinions((10, WAVE), (10, HALF), (10, CLAP))
    assert sent(Unsure(margin=0.2, gap=8), dict.fromkeys(answers, 0.9), answers) == [0, 10, 18]


def test_windows_of_the_discarded_kind_are_not_sent_by_drift_nor_by_period() -> None:
    answers = opinions((6, CLAP), (20, WAVE), (6, CLAP))
    rhos = dict.fromkeys(answers, 0.9)
    assert sent(DriftOfKinds(0, 0.8, follow=0), rhos, answers) == [0], (
        "its anchor is clapping, and so is what comes back"
    )
    assert sent(PeriodOfKinds(0, 0.8, n_w=4), rhos, answers) == [0, 4, 26, 30]


@pytest.mark.parametrize("options", [{"on": "both"}, {"bound": 0.0}, {"hold": -1}])
def test_impossible_transitions_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        Transition(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("candidate", KEPT + NOT_KEPT, ids=lambda each: f"{each.name}, {each.similarity}")
def test_every_candidate_can_be_built(candidate: Candidate) -> None:
    policy = candidate.policy.build(FILTERS)
    assert policy.on_window(0).value == "send"


# -- the comparison ----------------------------------------------------------------------------------------------------


@pytest.fixture
def siminet(tmp_path: Path) -> str:
    """Of random weights, for the features of `made`."""
    random = np.random.default_rng(0)
    shapes = {"fc1": (8, 10), "fc2": (8, 8), "fc3": (1, 8)}
    tensors = {f"{layer}.weight": random.normal(size=shape).astype(np.float32) for layer, shape in shapes.items()}
    tensors |= {f"{layer}.bias": np.zeros(shape[0], np.float32) for layer, shape in shapes.items()}
    save_file(tensors, tmp_path / "siminet.safetensors")
    return str(tmp_path / "siminet")


def streams(count: int = 3) -> list[tuple[Dump, Truth]]:
    """Of random answers; each has one context for each half."""
    found = []
    for seed in range(count):
        dump = made(40, seed)
        half = dump.frames // 2
        found.append((dump, Truth((Context(0, half, "class 0"), Context(half, dump.frames, "class 1")))))
    return found


CANDIDATES = (Candidate(Plugin("context_aware", {"n_w": 6})), Candidate(Plugin("always")), Candidate(Plugin("never")))


def rows_of(rows: list[Row], policy: str, lag: str, against: str = REFERENCE) -> Row:
    (row,) = (r for r in rows if (r.policy, r.lag, r.against) == (policy, lag, against))
    return row


def test_rows_say_what_is_sent_what_is_right_and_how_far_that_is_ahead(siminet: str) -> None:
    rows = compute(streams(), FusionSection(remote_weight=1), siminet, CANDIDATES, lags=(0, 2))
    assert {row.lag for row in rows} == {"0", "2", FINAL}
    always, cloud = rows_of(rows, "always", "0"), rows_of(rows, "cloud-only", "0")
    assert always.bytes_share == cloud.bytes_share == always.sent_share == 1.0
    assert always.accuracy == cloud.accuracy, "on time, the remote alone counting, it is the remote's answer"
    assert rows_of(rows, "never", "2").accuracy == rows_of(rows, "edge + FixMA", "2").accuracy
    itself = rows_of(rows, "context_aware", FINAL)
    assert (itself.gain, itself.gain_low, itself.gain_high) == (0.0, 0.0, 0.0)
    for row in rows:
        assert row.gain_low <= row.gain <= row.gain_high
        assert row.gain == pytest.approx(row.accuracy - rows_of(rows, *_method(row.against), row.lag).accuracy)


def _method(against: str) -> tuple[str]:
    return ("context_aware" if against == REFERENCE else against,)


def test_a_candidate_that_needs_another_first_class_is_left_out(siminet: str) -> None:
    odd = dataclasses.replace(CANDIDATES[2], needs="idle")
    rows = compute(streams(), FusionSection(), siminet, (CANDIDATES[0], odd), lags=(1,))
    assert "never" not in {row.policy for row in rows}


def test_without_the_reference_there_is_nothing_to_compare_with(siminet: str) -> None:
    with pytest.raises(ConfigError, match="context_aware n_w=6"):
        compute(streams(), FusionSection(), siminet, CANDIDATES[1:], lags=(1,))


def test_the_picture_is_drawn_from_rows_alone(siminet: str, tmp_path: Path) -> None:
    rows = compute(streams(), FusionSection(), siminet, CANDIDATES, lags=(1, 8))
    draw(rows).savefig(tmp_path / "policies.png")
    assert (tmp_path / "policies.png").read_bytes().startswith(b"\x89PNG")
