"""`clownfish train init`: what it finds in a folder, what it writes, and what it says to what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from clownfish.config import validate
from clownfish.errors import ClownfishError, ConfigError, DatasetError
from clownfish.evaluation.cli import eval_app
from clownfish.pair import read_pair
from clownfish.training.begin import Begun, Wanted, begin
from clownfish.training.cli import train_app
from clownfish.training.config import ClassifierConfig, SimiNetConfig, load_config
from clownfish.training.recipes import sized
from tests.data_sets import WRITERS, video, write
from tests.model_files import write_model

CLASSES = ("bow", "clap", "wave")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for label in CLASSES:
        for scene in range(5):
            for take in range(2):
                video(tmp_path / "clips" / label / f"{label}_{scene}_{take}.mp4", 20)
    return tmp_path / "clips"


def begun(root: Path, **more: object) -> tuple[Begun, list[str]]:
    lines: list[str] = []
    return begin(Wanted(root, root.parent / "my", **more), lines.append), lines  # type: ignore[arg-type]


def test_it_writes_configurations_that_agree_with_each_other(root: Path) -> None:
    found, lines = begun(root)
    local, remote = (load_config(found.files[role], ClassifierConfig) for role in ("local", "remote"))
    siminet = load_config(found.files["siminet"], SimiNetConfig)
    assert local.data == remote.data == siminet.data
    assert siminet.classifier == str(local.output)
    assert any("30 clips of 3 classes: bow 10, clap 10, wave 10" in line for line in lines)
    steps = 24 * local.fit.windows_per_clip * local.fit.epochs / local.fit.batch
    assert 60 < steps < 300  # few clips are shown more often
    assert local.input.width < remote.input.width


def test_the_pair_finds_its_models_in_its_own_folder_wherever_that_is(root: Path) -> None:
    found, _ = begun(root)
    for name in ("local", "remote"):
        write_model(found.files["pair"].parent, name)
    tree = read_pair(str(found.files["pair"]))
    assert tree["local"]["model"] == str(root.parent / "my" / "local")
    worker = tree.pop("worker")
    config = validate(tree | {"worker": worker | {"router": "ipc:///tmp/x"}}, "pair")
    assert (config.capture.width, config.capture.height) == (172, 128)
    assert tree["local"]["similarity"]["weights"] == str(root.parent / "my" / "siminet")  # still to be trained


def test_names_that_begin_alike_are_one_scene(root: Path) -> None:
    found, lines = begun(root)
    assert found.data.options == {"group": "prefix"}
    assert any("bow_0_0.mp4: bow_0" in line and "--option group=clip" in line for line in lines)


def test_what_is_said_of_groups_is_obeyed(root: Path) -> None:
    found, lines = begun(root, options={"group": "clip"})
    assert found.data.options == {"group": "clip"}
    assert not any("one scene" in line for line in lines)


def test_names_that_all_begin_alike_tell_no_scenes(tmp_path: Path) -> None:
    for label in CLASSES:
        for n in range(5):
            video(tmp_path / "clips" / label / f"clip_{n}.mp4", 20)
    assert begun(tmp_path / "clips")[0].data.options == {}


def test_clips_that_cannot_be_read_and_classes_of_few_are_told(root: Path) -> None:
    (root / "bow" / "bow_0_0.mp4").write_bytes(b"")
    _, lines = begun(root)
    assert any(line.startswith("skipped ") and "bow_0_0.mp4" in line for line in lines)
    assert any(line.startswith("few clips: bow;") for line in lines)


def test_tall_pictures_stay_tall(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sized(172 * 128, 0.5) == (104, 208)
    monkeypatch.setattr("clownfish.training.begin.SHAPES_AS_THEY_ARE", (0.1, 1.0))  # 64×48 is out of it
    found, _ = begun(root)
    local = load_config(found.files["local"], ClassifierConfig)
    assert (found.data.cache_width, found.data.cache_height) == sized(172 * 128, 64 / 48)
    assert local.input.width / local.input.height == pytest.approx(64 / 48, rel=0.1)


def test_it_does_not_write_over_what_is_there_unless_told_to(root: Path) -> None:
    begun(root)
    with pytest.raises(ConfigError, match=r"local.toml is there already; write to another folder, or say --force"):
        begun(root)
    begun(root, force=True, quick=True)


@pytest.mark.parametrize("name", ["csv", "pku-mmd", "ucf101", "activitynet", "ucf9"])
def test_it_takes_any_data_set_that_shows_each_class(name: str, tmp_path: Path) -> None:
    written = WRITERS[name](tmp_path / "data")
    wanted = Wanted(written.root, tmp_path / "my", dataset=name, options=written.options)
    if name == "pku-mmd":
        with pytest.raises(DatasetError, match=r"no clips of brushing hair, .*every class needs some"):
            begin(wanted, lambda line: None)
        return
    found = begin(wanted, lambda line: None)
    data = load_config(found.files["local"], ClassifierConfig).data
    assert (data.dataset, data.options) == (name, written.options)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nowhere"], "nowhere: is no folder"),
        (["clips", "--option", "speed"], "expected KEY=VALUE"),
        (["clips", "--option", "speed=3"], "has no option 'speed'"),
        (["clips", "--dataset", "kinetics"], "unknown data set 'kinetics'"),
        (["clips/bow"], "holds 0 class folders"),
        (["clips", "--output", "clips/my"], "my lies in the folder of the clips"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_written(
    root: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], complaint: str
) -> None:
    monkeypatch.chdir(root.parent)
    result = CliRunner().invoke(train_app, ["init", *arguments])
    assert isinstance(result.exception, ClownfishError)
    assert complaint in str(result.exception)
    assert not (root.parent / "my-pair").exists()


def test_a_pair_may_name_models_of_the_working_folder_and_a_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path, "small")
    path = write(tmp_path / "my" / "pair.toml", '[local]\nmodel = "small"\n[worker]\nmodel = "mine:large"\n')
    tree = read_pair(str(path))
    assert (tree["local"]["model"], tree["worker"]["model"]) == ("small", "mine:large")


def test_a_pair_without_both_models_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "pair.toml", '[local]\nmodel = "a"\n')
    with pytest.raises(ConfigError, match=r"worker.model is missing; a pair names"):
        read_pair(str(path))


# -- scores of any data set -------------------------------------------------------------------------------------------


@pytest.fixture
def measured(tmp_path: Path) -> list[str]:
    """A data set with a stream, and a pair that knows its classes, as options of the command."""
    video(tmp_path / "data" / "a.mp4", 80)
    write(tmp_path / "data" / "a.csv", "start_frame,end_frame,label,part\n0,40,bow,test\n40,80,clap,test\n")
    for name in ("local", "remote"):
        write_model(tmp_path, name)
    text = '[local]\nmodel = "local"\n[worker]\nmodel = "remote"\n[capture]\nwidth = 64\nheight = 48\n'
    write(tmp_path / "pair.toml", text)
    return ["--dataset", "csv", "--root", str(tmp_path / "data"), "--pair", str(tmp_path / "pair.toml")]


def test_a_pair_is_scored_on_any_data_set_with_streams(
    measured: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(train_app, ["score", *measured], catch_exceptions=False)
    assert result.exit_code == 0
    assert [line.split(":")[0] for line in result.output.splitlines()] == ["local local", "remote remote"]


def test_methods_are_compared_on_any_data_set_with_streams(
    measured: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["streams", *measured, "--similarity", "cosine", "--json", "scores.json"]
    result = CliRunner().invoke(eval_app, command, catch_exceptions=False)
    assert result.exit_code == 0
    (stream,) = json.loads((tmp_path / "scores.json").read_text())["streams"]
    assert (stream["header"]["width"], stream["header"]["height"]) == (64, 48)  # the pair's own
    assert 0 <= stream["methods"]["fused live"]["accuracy"] <= 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [([], "nothing to measure on"), (["--dataset", "csv"], "--dataset csv: its folder is missing; say --root FOLDER")],
)
def test_a_comparison_of_nothing_is_refused(arguments: list[str], complaint: str) -> None:
    result = CliRunner().invoke(eval_app, ["streams", *arguments])
    assert complaint in str(result.exception)


def test_labels_that_a_model_does_not_know_and_sets_without_streams_are_named(
    measured: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    table = tmp_path / "data" / "a.csv"
    table.write_text(table.read_text().replace("clap", "jump"))
    result = CliRunner().invoke(train_app, ["score", *measured])
    assert "local does not know jump; score with models of the data set's classes" in str(result.exception)
    table.write_text(table.read_text().replace("test", "train"))
    result = CliRunner().invoke(train_app, ["score", *measured])
    assert "has no streams: no part of it is held back" in str(result.exception)
