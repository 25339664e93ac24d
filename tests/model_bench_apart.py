"""`clownfish model bench`: what it compares, whom it refuses to recommend, and how it ends."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from clownfish.cli.app import app
from clownfish.errors import ConfigError, ModelError, SourceError
from clownfish.lab.engine_report import engine_table, failures, verdict
from clownfish.lab.engines import EngineBench, EngineBenchOptions, bench_engines
from clownfish.models.description import InputDescription, ModelDescription
from clownfish.opencv import cv2, swap_red_and_blue
from clownfish.shapes import CLASSES, stream
from clownfish.sources.windows import spread_windows
from clownfish.training.export import export
from tests.model_files import answering

FRAMES = 480


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Real windows, with their truth: the beginning of a drawn stream, as a file."""
    path = tmp_path_factory.mktemp("video") / "shapes.mp4"
    drawn = stream("test", 0)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 30.0, (172, 128))
    for pixels in drawn.frames(stop=FRAMES):
        writer.write(swap_red_and_blue(pixels))
    writer.release()
    rows = [f"{each.start},{each.end},{each.label}" for each in drawn.intervals]
    path.with_suffix(".csv").write_text("\n".join(["start_frame,end_frame,label", *rows]))
    return str(path)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, source: str) -> str:
    description = ModelDescription(
        name="small",
        architecture="framenet",
        options={"blocks": 3},
        classes=CLASSES,
        input=InputDescription(width=32, height=24, window_size=8, frame_step=4, mean=(110, 100, 90), std=(60, 60, 60)),
        feature="logits",
        temperature=1.0,
    )
    windows = [window.frames for window in spread_windows(source, 8, 4, 64, 48, 30)]
    path = tmp_path_factory.mktemp("model") / "small"
    export(path, answering(description, windows), description)
    return str(path)


@pytest.fixture(scope="module")
def darkness(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A video of a lens cap: what is calibrated on it knows no range of what comes later."""
    path = str(tmp_path_factory.mktemp("video") / "dark.mp4")
    writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"mp4v"), 30.0, (64, 48))
    for _ in range(20):
        writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    return path


def measure(model: str, source: str, **options: object) -> EngineBench:
    said: list[str] = []
    fields = {"engines": ("torch", "torch-int8"), "windows": 40, "max_changed": 0.2} | options
    found = bench_engines(EngineBenchOptions(model, source, **fields), said.append)  # type: ignore[arg-type]
    assert any("in turn" in each for each in said)
    return found


@pytest.fixture(scope="module")
def fair(model: str, source: str) -> EngineBench:
    return measure(model, source)


@pytest.fixture(scope="module")
def spoilt(model: str, source: str, darkness: str) -> EngineBench:
    return measure(model, source, calibration=darkness)


def test_every_engine_answers_every_window_beside_torch_fp32(fair: EngineBench) -> None:
    assert [(each.engine, each.precision) for each in fair.scores] == [
        ("torch", "fp32"), ("torch", "bf16"), ("torch-int8", "fp32"),
    ]  # fmt: skip
    assert fair.windows == 40
    baseline = fair.scores[0]
    assert (baseline.ratio, baseline.changed, baseline.difference) == (1.0, 0, 0.0)
    for each in fair.scores:
        assert 0 < each.median_ms <= each.p95_ms
        assert each.accuracy is not None
        assert 0 <= each.accuracy <= 1
    assert fair.scores[2].difference > 0
    assert fair.scores[2].weights_mb < baseline.weights_mb


def test_an_engine_that_agrees_may_be_recommended(fair: EngineBench) -> None:
    assert fair.refused == []
    assert fair.recommended == min(fair.scores, key=lambda each: each.ratio)
    assert failures(fair) == []


def test_an_engine_that_changes_answers_is_refused_by_name_however_fast(spoilt: EngineBench) -> None:
    assert [each.engine for each in spoilt.refused] == ["torch-int8"]
    assert spoilt.share(spoilt.refused[0]) > 0.2
    assert spoilt.recommended.engine == "torch"
    assert failures(spoilt) == ["torch-int8"]
    said = "\n".join(verdict(spoilt))
    assert f"refused: torch-int8 changes {spoilt.share(spoilt.refused[0]):.1%} of the answers" in said
    assert "20.0% may change" in said
    assert "dark.mp4" in said
    assert 'recommended: engine = "torch"' in said


def test_the_table_shows_each_engine_with_its_agreement(spoilt: EngineBench) -> None:
    console = Console(width=160, record=True, file=Path("/dev/null").open("w"))  # noqa: SIM115
    console.print(engine_table(spoilt))
    text = console.export_text()
    console.file.close()
    line = next(each for each in text.splitlines() if "torch-int8" in each)
    assert f"{1 - spoilt.share(spoilt.refused[0]):.1%}" in line
    assert "torch bf16" in text


def test_the_command_writes_numbers_and_fails_where_a_named_engine_is_refused(
    tmp_path: Path, model: str, source: str, darkness: str
) -> None:
    numbers = tmp_path / "numbers.json"
    command = ["model", "bench", model, "--source", source, "--windows", "10", "--calibration", darkness]
    result = CliRunner().invoke(app, [*command, "--engines", "torch-int8", "--json", str(numbers)])
    assert result.exit_code == 1
    assert "refused: torch-int8" in result.output
    read = json.loads(numbers.read_text())
    assert read["recommended"] == {"engine": "torch", "precision": "fp32"}
    assert [each["refused"] for each in read["scores"]] == [False, True]


def test_an_engine_that_is_not_installed_is_listed_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, model: str, source: str
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    found = measure(model, source, engines=("openvino",), windows=4)
    assert [(each.engine, each.precision) for each in found.absent] == [("openvino", None)]
    assert "not measured: openvino: " in verdict(found)[0]
    assert "pip install 'clownfish[openvino]'" in verdict(found)[0]
    assert failures(found) == ["openvino"]


def test_windows_are_calibrated_on_that_are_not_measured(fair: EngineBench, source: str) -> None:
    assert fair.calibrated_on == f"{source}, windows between"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"engines": ("fast",)}, ConfigError, "unknown engine 'fast'; known: onnxruntime"),
        ({"model": "tests.models:Mine"}, ModelError, "runs in no engine"),
        ({"model": "nowhere/at-all"}, ModelError, "no description"),
        ({"source": "camera:0"}, ConfigError, "is live and never ends"),
        ({"source": "nowhere.mp4"}, SourceError, "cannot read the video file"),
    ],
)
def test_wrong_names_are_errors_before_anything_is_measured(model, source, options, error, message) -> None:
    with pytest.raises(error, match=message):
        bench_engines(EngineBenchOptions(**({"model": model, "source": source} | options)), lambda text: None)


# -- windows of a source -----------------------------------------------------------------------------------------------


def test_windows_are_spread_over_all_of_the_source(source: str) -> None:
    t = [window.t for window in spread_windows(source, 8, 4, 32, 24, 10)]
    assert len(t) == 10
    assert t[0] == 0
    assert t[-1] >= 0.9 * (FRAMES - 8) / 4
    gaps = np.diff(t)
    assert gaps.max() <= 2 * gaps.min()
    runs = np.array([window.t for window in spread_windows(source, 8, 4, 32, 24, 30, run=6)]).reshape(5, 6)
    assert (np.diff(runs, axis=1) == 1).all()
    assert len(spread_windows(source, 8, 4, 32, 24, 56, run=8)) == 56  # the fifteenth run is one window short
    assert runs[-1, -1] >= 0.8 * (FRAMES - 8) / 4


def test_a_short_source_gives_all_its_windows_and_one_shorter_than_a_window_is_an_error(darkness: str) -> None:
    found = spread_windows(darkness, 8, 4, 32, 24, 10)
    assert [window.t for window in found] == [0, 1, 2, 3]
    assert found[0].frames[0].shape == (24, 32, 3)
    assert [window.t for window in spread_windows(darkness, 8, 4, 32, 24, 10, seconds=0.4)] == [0, 1]
    with pytest.raises(SourceError, match="has 20 frames; one window needs 21"):
        spread_windows(darkness, 21, 4, 32, 24, 10)
