"""clownfish tune: what it chooses keeps to the budget, is the best of what was tried, and is honest about it."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clownfish.config import read_toml, validate
from clownfish.errors import ConfigError, DatasetError
from clownfish.evaluation.paper.sweep import Bench, Stream
from clownfish.evaluation.replay import rhos
from clownfish.evaluation.tuned import summary, table, write_csv, write_pair
from clownfish.evaluation.tuning import Aim, Grid, Search, Tuned, tune
from clownfish.settings import FusionSection, Plugin
from clownfish.similarity.cosine import Cosine
from clownfish.similarity.overlap import Overlap
from clownfish.sources.truth import Context, Truth
from tests.test_evaluation_replay import made

LENGTH, CONTEXT = 72, 24
"""Windows of a stream, of 4 frames and 2 apart; frames of a context."""


GRID = Grid(
    intervals=(2, 6, 12, 30),
    shares=(0.9,),
    thresholds=(0.7, 0.95),
    reactions=((0, 0), (1, 1)),
    thetas=(0.3, 0.6),
    weights=(2 / 3, 1.0),
)


def stream(n: int) -> Stream:
    """The edge is right in two windows of three, the cloud always."""
    rng = np.random.default_rng(n)
    frames = 2 * LENGTH + 2
    contexts = tuple(
        Context(start, min(start + CONTEXT, frames), f"class {i % 3}")
        for i, start in enumerate(range(0, frames, CONTEXT))
    )
    truth = Truth(contexts)
    labels = np.array([(2 * t + 2) // CONTEXT % 3 for t in range(LENGTH)])
    wrong = rng.random(LENGTH) < 1 / 3
    local = np.where(wrong, (labels + 1) % 3, labels)
    p_local = (0.7 * np.eye(3)[local] + 0.1).astype(np.float32)
    dump = replace(
        made(LENGTH, n),
        p_local=p_local,
        feature=p_local,
        p_remote=(0.9 * np.eye(3)[labels] + 1 / 30).astype(np.float32),
    )
    return Stream(f"s{n}", dump, truth)


@pytest.fixture(scope="module")
def bench() -> Bench:
    streams = [stream(n) for n in range(3)]
    rho = {"cosine": [rhos(each.dump, Cosine()) for each in streams]}
    return Bench(streams, {**rho, "overlap": [rhos(each.dump, Overlap()) for each in streams]}, FusionSection())


@pytest.fixture(scope="module")
def tuned(bench: Bench) -> Tuned:
    return tune(bench, Aim(0.5, (0, 2)), grid=GRID)


def test_what_is_chosen_is_the_best_that_keeps_to_the_budget(tuned: Tuned) -> None:
    kept = [each for each in tuned.tried if tuned.share(each) <= 0.5]
    assert tuned.best in kept
    assert tuned.accuracy(tuned.best).value == max(tuned.accuracy(each).value for each in kept)
    assert len(kept) < len(tuned.tried)  # the budget excludes something
    assert tuned.share(tuned.paper) <= 0.5
    assert tuned.gain(tuned.best).value >= 0
    assert tuned.gain(tuned.paper).value == 0


def test_with_more_bytes_it_is_at_least_as_good(bench: Bench, tuned: Tuned) -> None:
    more = tune(bench, Aim(1.0, (0, 2)), grid=GRID)
    assert more.accuracy(more.best).value >= tuned.accuracy(tuned.best).value


def test_what_to_expect_elsewhere_leaves_each_stream_out_of_the_choice(bench: Bench, tuned: Tuned) -> None:
    search = Search(bench, tuned.aim)
    search.run([each.candidate for each in tuned.tried])
    right = frames = 0
    for n in range(len(bench.streams)):
        for matrices in search.best(without=n).matrices:
            right += int(np.trace(matrices[n]))
            frames += int(matrices[n].sum())
    assert tuned.unseen.value == pytest.approx(right / frames)
    assert tuned.unseen.value <= tuned.accuracy(tuned.best).value + 1e-12


def test_final_answers_are_another_aim(bench: Bench) -> None:
    live, final = (tune(bench, Aim(0.3, (4,), final), grid=GRID) for final in (False, True))
    assert final.accuracy(final.best).value > live.accuracy(live.best).value


def test_the_file_runs_as_a_pair_and_the_csv_has_every_setting(tuned: Tuned, tmp_path: Path) -> None:
    pair = {
        "local": {"model": "zoo:ucf9/local", "similarity": {"kind": "siminet", "weights": "zoo:ucf9/siminet"}},
        "worker": {"model": "zoo:ucf9/remote"},
    }
    similarities = {"cosine": Plugin("cosine"), "overlap": Plugin("overlap")}
    write_pair(tmp_path / "tuned.toml", pair, tuned, similarities, ["one\ntwo"])
    text = (tmp_path / "tuned.toml").read_text()
    assert text.startswith("# one\n# two\n")
    tree = read_toml(tmp_path / "tuned.toml")
    candidate = tuned.best.candidate
    assert tree["local"] == {"model": "zoo:ucf9/local", "similarity": {"kind": candidate.similarity}}
    read = validate({"router": {}, "filter": tree["filter"], "fusion": tree["fusion"]}, "tuned.toml")
    assert read.filter.policy == Plugin(candidate.policy, dict(candidate.options))
    for name, value in candidate.fusion:
        assert getattr(read.fusion, name) == value
    write_csv(tmp_path / "tuned.csv", tuned)
    with (tmp_path / "tuned.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(tuned.tried)
    assert [row["chosen"] for row in rows].count("1") == 1
    assert f"{100 * tuned.share(tuned.best):.1f} %" in summary(tuned)
    assert table(tuned).row_count >= 4


def test_bad_aims_and_nothing_to_choose_by_are_errors(bench: Bench) -> None:
    with pytest.raises(ConfigError, match="budget"):
        Aim(0.0)
    with pytest.raises(ConfigError, match="lag"):
        Aim(0.5, ())
    with pytest.raises(DatasetError, match="no streams"):
        tune(Bench([], {"cosine": []}, FusionSection()), Aim(0.5), grid=GRID)
    with pytest.raises(ConfigError, match="keeps to"):
        tune(bench, Aim(0.001), grid=GRID)
