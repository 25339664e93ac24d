"""`clownfish tune` as a user calls it, on small real models and videos."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from clownfish.cli.app import app
from clownfish.errors import ClownfishError, ConfigError, DatasetError
from clownfish.evaluation.recorder import Recorder, RecordSettings
from clownfish.pair import read_pair
from clownfish.sources import truth_of
from tests.test_evaluation import write_model
from tests.videos import write_video


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two labelled videos, one without labels, and a pair without SimiNet."""
    root = tmp_path_factory.mktemp("tune")
    for name in ("a", "b", "bare"):
        write_video(root / f"{name}.mp4", 60)
    for name in ("a", "b"):
        (root / f"{name}.csv").write_text("start_frame,end_frame,label\n0,30,bow\n30,60,wave\n")
    write_model(root / "local", 1)
    write_model(root / "remote", 2)
    (root / "pair.toml").write_text('[local]\nmodel = "local"\n\n[worker]\nmodel = "remote"\n')
    return root


def tune(folder: Path, *arguments: str) -> str:
    fixed = ["--pair", str(folder / "pair.toml"), "--device", "cpu", "--processes", "1"]
    result = CliRunner().invoke(app, ["tune", *arguments, *fixed], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_it_writes_a_pair_that_can_be_read_and_all_that_was_tried(folder: Path, tmp_path: Path) -> None:
    videos = [str(folder / "a.mp4"), str(folder / "b.mp4")]
    folders = ["--dumps", str(folder / "dumps"), "--out", str(tmp_path / "tuned.toml")]
    said = tune(folder, *videos, "--budget", "100", "--lag", "0,2", *folders)
    assert "of frames right with" in said
    tree = read_pair(str(tmp_path / "tuned.toml"))
    assert (tree["local"]["model"], tree["worker"]["model"]) == (str(folder / "local"), str(folder / "remote"))
    assert {tree["filter"]["policy"]["kind"]} <= {"context_aware", "periodic", "drift", "budget"}
    assert {tree["local"]["similarity"]["kind"]} <= {"overlap", "cosine"}  # the pair has no SimiNet
    assert len((tmp_path / "tuned.csv").read_text().splitlines()) > 50


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        (["--lag", "soon"], ConfigError, "--lag is 'soon'; expected whole numbers"),
        (["--lag", "-1"], ConfigError, "--lag is '-1'; expected whole numbers"),
        (["--budget", "0"], ConfigError, "the budget is 0.0"),
        (["--method", "magic"], ConfigError, "unknown fusion method 'magic'"),
    ],
)
def test_what_cannot_be_used_is_named(
    folder: Path, tmp_path: Path, arguments: list[str], kind: type[ClownfishError], said: str
) -> None:
    folders = ["--dumps", str(folder / "dumps"), "--out", str(tmp_path / "tuned.toml")]
    with pytest.raises(kind, match=said):
        tune(folder, str(folder / "a.mp4"), *arguments, *folders)
    assert not list(tmp_path.iterdir())


def test_a_stream_without_labels_is_refused_before_a_model_runs_on_the_others(folder: Path, tmp_path: Path) -> None:
    sources = {str(folder / f"{name}.mp4"): truth_of(str(folder / f"{name}.mp4")) for name in ("a", "bare")}
    settings = RecordSettings(local=str(folder / "local"), remote=str(folder / "remote"), device="cpu")
    with pytest.raises(DatasetError, match=r"bare\.mp4 has no ground truth: put a \.csv beside it"):
        Recorder(settings, tmp_path / "dumps").labelled(sources)
    assert not (tmp_path / "dumps").exists()
