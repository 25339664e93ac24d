"""Fusion methods compared: rows, paired gains, CSV and picture; the command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from clownfish.cli.app import app
from clownfish.errors import ConfigError, DatasetError
from clownfish.evaluation.beyond.methods import (
    CLOUD,
    CLOUD_LATE,
    EDGE_FIX_MA,
    PAPER,
    Row,
    Stream,
    compute,
    draw,
    gain,
)
from clownfish.evaluation.compare import Settings, compare
from clownfish.evaluation.paper.rows import read_rows, write_rows
from clownfish.evaluation.paper.style import save
from clownfish.settings import FusionSection, Plugin
from tests.fusers import write_fuser
from tests.test_training_fuser import CLASSES, stream, video


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    weights = write_fuser(tmp_path_factory.mktemp("fusers") / "one", "bayesian", CLASSES)
    methods = [Plugin(PAPER, {"fallback_alpha": 0.5}), Plugin("bayesian", {"weights": weights})]
    streams = [Stream(*stream(seed)) for seed in range(3)]
    return compute(streams, FusionSection(theta=0.4), methods, intervals=(4, 8), lags=(0, 2))


def test_each_method_has_a_row_at_each_interval_and_lag_beside_edge_and_cloud(rows: list[Row]) -> None:
    fused = [(row.method, row.n_w, row.lag) for row in rows if row.n_w is not None]
    assert fused == [(m, n_w, lag) for n_w in (4, 8) for lag in (0, 2) for m in (PAPER, PAPER, "bayesian")]
    assert [row.lag for row in rows if row.method == CLOUD_LATE] == [0, 2]
    assert len(rows) == 12 + 6


def test_the_papers_method_is_scored_as_eval_streams_scores_it(rows: list[Row]) -> None:
    found = next(row for row in rows if (row.method, row.n_w, row.lag) == (PAPER, 4, 2))
    settings = Settings(
        policy=Plugin("context_aware", {"n_w": 4}),
        similarity=Plugin("constant", {"value": 0.9}),
        fusion=FusionSection(theta=0.4),
        lag=2,
    )
    matrices = [compare(dump, truth, settings) for dump, truth, _ in map(stream, range(3))]
    for place, value in ((4, found.live), (5, found.final)):
        pooled = np.sum([each[place].confusion for each in matrices], axis=0)
        assert value == pytest.approx(np.trace(pooled) / pooled.sum())
    edge = np.sum([each[1].confusion for each in matrices], axis=0)
    assert next(r.live for r in rows if r.method == EDGE_FIX_MA) == pytest.approx(np.trace(edge) / edge.sum())
    sent, whole = (sum(each[place].wire_bytes for each in matrices) for place in (4, 2))
    assert found.bytes_share == pytest.approx(sent / whole)


def test_the_same_method_gains_nothing_and_its_interval_is_a_point(rows: list[Row]) -> None:
    same = [row for row in rows if row.options == "fallback_alpha=0.5"]
    assert len(same) == 4
    for row in same:
        assert (row.live_gain, row.live_gain_low, row.live_gain_high) == (0, 0, 0)
        assert (row.final_gain, row.final_gain_low, row.final_gain_high) == (0, 0, 0)
    for row in rows:
        if row.method == "bayesian":
            assert row.live_gain_low is not None
            assert row.live_gain is not None
            assert row.live_gain_low <= row.live_gain <= (row.live_gain_high or 0)


def test_a_late_cloud_knows_less(rows: list[Row]) -> None:
    late = {row.lag: row.live for row in rows if row.method == CLOUD_LATE}
    assert late[0] == next(row.live for row in rows if row.method == CLOUD) > late[2]


def test_a_gain_is_of_the_difference_on_the_same_frames() -> None:
    good, bad = np.array([[8, 2, 0], [0, 10, 0]]), np.array([[5, 5, 0], [0, 10, 0]])
    assert gain([good, good], [bad, bad]) == pytest.approx((0.15, 0.15, 0.15))
    nothing = np.zeros((2, 3), np.int64)
    with pytest.raises(DatasetError, match="no frame"):
        gain([nothing], [nothing])


def test_rows_become_a_table_and_a_picture(rows: list[Row], tmp_path: Path) -> None:
    write_rows(tmp_path / "new" / "methods.csv", Row, rows)
    read = read_rows(tmp_path / "new" / "methods.csv", Row)
    assert [row.live for row in read] == pytest.approx([row.live for row in rows], rel=1e-5)
    assert read[0].live_gain is None
    save(draw(rows), tmp_path / "methods.png")
    assert (tmp_path / "methods.png").stat().st_size > 5_000


def test_nothing_to_compare_on_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no streams"):
        compute([], FusionSection(), [])


def test_the_command_writes_both_and_refuses_a_method_that_is_none(tmp_path: Path) -> None:
    source = video(tmp_path, 0)
    command = ["eval", "methods", source, "--pair", "zoo:shapes", "--dumps", str(tmp_path), "--output", str(tmp_path)]
    more = ["--n-w", "6", "--lags", "0,1", "--method"]
    result = CliRunner().invoke(app, [*command, *more, "exponential,fallback_alpha=0.8"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "exponential" in result.output
    assert (tmp_path / "methods.csv").exists()
    assert (tmp_path / "methods.png").exists()
    refused = CliRunner().invoke(app, [*command, *more, "magic"])
    assert isinstance(refused.exception, ConfigError)
