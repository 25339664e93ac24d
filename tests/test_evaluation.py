"""The comparison on the command line, end to end, on videos that the tests draw, with real (random) models."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from clownfish.errors import ClownfishError, ConfigError, DatasetError, ModelError, SourceError
from clownfish.evaluation.cli import eval_app
from clownfish.evaluation.cli.options import plugin
from clownfish.evaluation.compare import METHODS, Settings, compare, intervals, pooled
from clownfish.evaluation.metrics import accuracy
from clownfish.evaluation.recorder import Recorder, RecordSettings, stream_name
from clownfish.evaluation.replay import rhos
from clownfish.models.description import InputDescription, ModelDescription
from clownfish.models.load import build, load_model
from clownfish.opencv import resized
from clownfish.settings import Plugin
from clownfish.sources.truth import Context, Truth
from clownfish.sources.video import VideoFile
from clownfish.training.export import export
from tests.test_evaluation_replay import made
from tests.videos import write_image, write_video

CLASSES = ("bow", "clap", "wave")


def write_model(path: Path, seed: int, classes: tuple[str, ...] = CLASSES, window_size: int = 16) -> str:
    description = ModelDescription(
        name=path.name,
        architecture="mobilenet3d",
        options={"width": 0.25},
        classes=classes,
        input=InputDescription(
            width=32, height=32, window_size=window_size, mean=(114.0, 114.0, 114.0), std=(58.0, 58.0, 58.0)
        ),
        feature="logits",
        temperature=1.0,
    )
    torch.manual_seed(seed)
    export(path, build(description), description)
    return str(path.with_suffix(".safetensors"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two videos with ground truth, and a pair of models."""
    root = tmp_path_factory.mktemp("evaluation")
    for name, frames in (("a", 60), ("b", 42)):
        write_video(root / f"{name}.mp4", frames)
        (root / f"{name}.csv").write_text(f"start_frame,end_frame,label\n0,30,bow\n30,{frames},wave\n")
    write_model(root / "local", 1)
    write_model(root / "remote", 2)
    return root


def pair(folder: Path) -> RecordSettings:
    return RecordSettings(local=str(folder / "local"), remote=str(folder / "remote"), device="cpu")


def invoke(folder: Path, *arguments: str) -> str:
    models = ["--local", str(folder / "local"), "--remote", str(folder / "remote"), "--device", "cpu"]
    command = ["streams", *models, "--dumps", str(folder / "dumps"), *arguments]
    result = CliRunner().invoke(eval_app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command_compares_every_method_on_every_stream_and_on_all(folder: Path) -> None:
    numbers = folder / "numbers.json"
    output = invoke(
        folder,
        str(folder / "a.mp4"),
        str(folder / "b.mp4"),
        "--similarity",
        "cosine,on=feature",
        "--json",
        str(numbers),
    )
    for word in ("all streams", *METHODS, "context_aware n_w=6, similarity cosine on=feature, lag 1"):
        assert word in output
    found = json.loads(numbers.read_text())
    assert [stream["header"]["stream"] for stream in found["streams"]] == ["a", "b"]
    assert list(found["all"]) == list(METHODS)
    total, a, b = (each["fused live"] for each in (found["all"], *(s["methods"] for s in found["streams"])))
    assert total["windows"] == a["windows"] + b["windows"] == 12 + 7
    assert total["wire_bytes"] == a["wire_bytes"] + b["wire_bytes"]
    assert 0 < total["wire_bytes"] < found["all"]["cloud-only"]["wire_bytes"]
    assert a["frames_scored"] == (30 - 12) + (60 - 38)  # from the first window's own frames on; 8 after the change
    right = total["accuracy"] * total["frames_scored"]
    assert right == pytest.approx(a["accuracy"] * a["frames_scored"] + b["accuracy"] * b["frames_scored"])
    low, high = total["accuracy_interval"]
    assert low <= total["accuracy"] <= high


def test_a_dump_holds_the_models_own_answers_and_is_made_once(folder: Path, tmp_path: Path) -> None:
    recorder = Recorder(pair(folder), tmp_path)
    seen: list[int] = []
    dump = recorder.dump(str(folder / "a.mp4"), seen.append)
    assert seen == list(range(12))
    frames = [resized(pixels, 172, 128) for pixels in VideoFile(folder / "a.mp4")]
    model = load_model(pair(folder).remote, "cpu")
    np.testing.assert_array_equal(dump.p_remote[3], model.infer([frames[12:28]]).p[0])
    again = Recorder(pair(folder), tmp_path).dump(str(folder / "a.mp4"), seen.append)
    assert len(seen) == 12, "no model ran again"
    np.testing.assert_array_equal(again.p_local, dump.p_local)


def test_other_weights_are_dumped_anew_beside_the_old_ones(folder: Path, tmp_path: Path) -> None:
    """Also a changed temperature is another model: the description belongs to its identity."""
    for name, seed in (("local", 1), ("remote", 2)):
        write_model(tmp_path / name, seed)
    dumps = tmp_path / "dumps"
    first = Recorder(pair(tmp_path), dumps).dump(str(folder / "b.mp4"))
    description = tmp_path / "local.json"
    description.write_text(description.read_text().replace('"temperature": 1.0', '"temperature": 0.5'))
    second = Recorder(pair(tmp_path), dumps).dump(str(folder / "b.mp4"))
    assert len(list(dumps.iterdir())) == 2
    assert first.p_local.max() < second.p_local.max()


def test_a_video_without_ground_truth_is_compared_in_bytes_alone(folder: Path, tmp_path: Path) -> None:
    output = invoke(
        folder, str(write_video(tmp_path / "bare.mp4", 30)), "--similarity", "constant,value=0.9", "--lag=-1"
    )
    line = next(line for line in output.splitlines() if line.startswith("fused live"))
    assert line.count("-") == 4
    assert "lag never" in output


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        (["none.mp4", "--similarity", "cosine"], SourceError, "cannot read none.mp4"),
        (["a.mp4", "rtsp://camera/1", "--similarity", "cosine"], ConfigError, "is live: it never ends"),
        (["a.mp4", "--similarity", "nearest"], ConfigError, "unknown similarity 'nearest'; known: constant, cosine"),
        (["a.mp4", "--similarity", "cosine,on"], ConfigError, "expected KIND,OPTION=VALUE"),
        (["a.mp4", "--similarity", "cosine,angle=3"], ConfigError, "unexpected keyword argument 'angle'"),
        (["a.mp4", "--similarity", "cosine", "--codec", "gif"], ConfigError, "unknown codec 'gif'"),
        (["a.mp4", "--lag=-2"], ConfigError, "lag is -2 windows"),
        (["a.mp4", "--similarity", "cosine", "--device", "tpu"], ConfigError, "expected auto, cpu, cuda"),
        (["a.mp4", "--similarity", "cosine", "--remote", "none"], ModelError, "no description at none.json"),
        (["a.mp4", "--similarity", "siminet,weights=none"], ModelError, "none.safetensors: no such file"),
    ],
)
def test_what_cannot_be_used_is_named(
    folder: Path, tmp_path: Path, arguments: list[str], kind: type[ClownfishError], said: str
) -> None:
    arguments = [str(folder / each) if each == "a.mp4" else each for each in arguments]
    with pytest.raises(kind) as caught:
        invoke(folder, *arguments, "--dumps", str(tmp_path))
    assert said in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_models_of_other_classes_or_windows_are_refused_before_anything_runs(folder: Path, tmp_path: Path) -> None:
    local = str(folder / "local")
    other = write_model(tmp_path / "other", 3, classes=("bow", "clap", "run"))
    with pytest.raises(ModelError, match=r"lacks 'wave' and adds 'run'.* cannot be fused"):
        Recorder(RecordSettings(local=local, remote=other), tmp_path).header(str(folder / "a.mp4"))
    short = write_model(tmp_path / "short", 3, window_size=8)
    with pytest.raises(ModelError, match="takes windows of 8 frames, asked for are windows of 16"):
        Recorder(RecordSettings(local=local, remote=short), tmp_path).header(str(folder / "a.mp4"))


def test_a_codec_that_cannot_be_used_shows_before_any_model_runs(folder: Path, tmp_path: Path) -> None:
    settings = dataclasses.replace(pair(folder), codec=Plugin("jpeg", {"quality": 101}))
    with pytest.raises(ConfigError, match="quality"):
        Recorder(settings, tmp_path).header(str(folder / "a.mp4"))


@pytest.mark.parametrize(
    ("source", "name"), [("x/dev00.mp4", "dev00"), ("puppets:test/3", "puppets-test-3"), ("images:x/y/", "images-x-y")]
)
def test_a_stream_has_a_name_that_is_fit_for_a_file(source: str, name: str) -> None:
    assert stream_name(source) == name


def test_a_folder_of_images_is_another_source_when_one_of_them_changes(folder: Path, tmp_path: Path) -> None:
    recorder = Recorder(pair(folder), tmp_path)
    write_image(tmp_path / "0.png", 0)
    before = recorder.header(f"images:{tmp_path}")
    write_image(tmp_path / "0.png", 1)
    assert recorder.header(f"images:{tmp_path}") != before


def test_the_oracle_sees_the_contexts_of_the_middle_frames() -> None:
    dump = made(10)  # size 4, stride 2: the middle frame of window t is 2·t + 2
    truth = Truth((Context(0, 11, "class 0"), Context(11, 22, "class 1")))
    settings = Settings(similarity=Plugin("oracle"))
    oracle = settings.build_similarity(dump, truth)
    assert np.flatnonzero(rhos(dump, oracle) == 0).tolist() == [5]
    with pytest.raises(DatasetError, match="stream s has no ground truth to look up"):
        compare(dump, None, settings)


def test_every_row_says_what_its_method_sends() -> None:
    dump = made(40)
    truth = Truth((Context(0, 82, "class 1"),))
    rows = {row.method: row for row in compare(dump, truth, Settings(similarity=Plugin("cosine")))}
    assert tuple(rows) == METHODS
    assert rows["edge-only"].sent == rows["edge-only"].wire_bytes == 0
    assert rows["edge-only"].reduction == 1
    assert rows["cloud-only"].reduction == 0
    assert rows["cloud-only"].sent_share == 1
    assert rows["fused live"].wire_bytes == rows["fused final"].wire_bytes
    assert 0 < rows["fused live"].reduction < 1
    assert rows["edge-only"].accuracy == pytest.approx((np.repeat(dump.p_local.argmax(1), 2)[6:] == 1).mean())


def test_pooled_scores_are_those_of_all_frames_together() -> None:
    truth = Truth((Context(0, 82, "class 1"),))
    settings = Settings(similarity=Plugin("cosine"))
    streams = [compare(made(40, seed), truth, settings) for seed in range(3)]
    for n, row in enumerate(pooled(streams)):
        matrices = [rows[n].confusion for rows in streams]
        assert row.confusion is not None
        assert row.accuracy == accuracy(sum(matrix for matrix in matrices if matrix is not None))
    bare = compare(made(40), None, settings)
    assert pooled([streams[0], bare])[0].accuracy is None
    assert intervals([streams[0], bare])[0].accuracy is None


def test_options_of_a_plugin_are_values_of_their_own_type() -> None:
    read = plugin("x,a=3,b=0.5,c=text,d=zoo:ucf9/siminet,e=true")
    assert read.kind == "x"
    assert read.options == {"a": 3, "b": 0.5, "c": "text", "d": "zoo:ucf9/siminet", "e": True}
