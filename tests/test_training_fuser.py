"""Training a fuser: what it learns from, that it learns, that a run goes on where it stopped, and the command."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from clownfish.cli.app import app
from clownfish.datasets.base import Interval
from clownfish.datasets.encode import encode, write_truth
from clownfish.errors import ConfigError, DatasetError
from clownfish.evaluation.dump import Dump
from clownfish.evaluation.metrics import accuracy
from clownfish.evaluation.replay import rhos
from clownfish.filters.context_aware import ContextAware
from clownfish.fusions import build_fusion
from clownfish.gate import Gate, Send
from clownfish.messages import WindowKey
from clownfish.settings import FusionSection, Plugin
from clownfish.similarity.constant import Constant
from clownfish.sources import open_source, truth_of
from clownfish.sources.truth import Context, Truth
from clownfish.training.config import load_config
from clownfish.training.fuser_config import FuserConfig, expanded
from clownfish.training.fuser_fit import fit, judged
from clownfish.training.fuser_streams import Learned, answers_for, learned_from, side_by_side
from tests.test_evaluation_dump import HEADER

CONFIGS = Path(__file__).parent.parent / "configs" / "train"
CLASSES = ("rest", "act", "fall")
SIZE, STRIDE = 8, 4
QUICK = {"epochs": 3, "batches": 8, "batch": 8, "windows": 48, "warm": 8, "answers": 8, "n_w": (4, 6)}


def stream(seed: int, windows: int = 160) -> tuple[Dump, Truth, np.ndarray]:
    """Contexts of 40 to 80 frames; the edge is right on half of the windows, the cloud on all."""
    rng = np.random.default_rng(seed)
    frames = SIZE + STRIDE * (windows - 1)
    contexts, start, label = [], 0, 0
    while start < frames:
        end = min(frames, start + int(rng.integers(40, 80)))
        contexts.append(Context(start, end, CLASSES[label]))
        start, label = end, (label + int(rng.integers(1, 3))) % 3
    truth = Truth(tuple(contexts))
    shown = np.array([CLASSES.index(truth.label_at(STRIDE * t + SIZE // 2) or "") for t in range(windows)])
    said = np.where(rng.uniform(size=windows) < 0.5, shown, rng.integers(0, 3, windows))
    dump = Dump(
        header=dataclasses.replace(HEADER, classes=CLASSES, size=SIZE, stride=STRIDE),
        t=np.arange(windows),
        p_local=(0.1 + 0.7 * np.eye(3)[said]).astype(np.float32),
        feature=np.zeros((windows, 2), np.float32),
        p_remote=(0.02 + 0.94 * np.eye(3)[shown]).astype(np.float32),
        frame_bytes=np.full(frames, 100),
    )
    return dump, truth, rhos(dump, Constant(0.9))


def learned() -> Learned:
    train, validation = (side_by_side([stream(s) for s in seeds], (4, 6)) for seeds in (range(6), range(90, 93)))
    return Learned(CLASSES, "small", "large", train, validation)


def config(folder: Path, method: str, **changed: object) -> FuserConfig:
    tree = {
        "name": "tiny",
        "seed": 3,
        "output": folder / "fuser",
        "runs": folder / "runs",
        "method": method,
        "pair": "zoo:shapes",
        "train": "a",
        "validation": "b",
        "units": 12,
        "lookahead": 6,
        "judged_n_w": (6,),
        "fit": QUICK,
    }
    return FuserConfig.model_validate(tree | changed)


def test_ranges_of_streams_are_written_out_zeros_kept() -> None:
    assert expanded("puppets:validation/{9..11}/left  x.mp4") == [
        *(f"puppets:validation/{n}/left" for n in (9, 10, 11)),
        "x.mp4",
    ]
    assert expanded("a{08..10}.mp4") == ["a08.mp4", "a09.mp4", "a10.mp4"]


@pytest.mark.parametrize("name", ["puppets-fuser", "puppets-bayesian", "ucf9-bayesian"])
def test_the_shipped_recipes_are_valid_and_validate_on_other_streams(name: str) -> None:
    found = load_config(CONFIGS / f"{name}.toml", FuserConfig)
    assert found.name == name
    assert not set(expanded(found.train)) & set(expanded(found.validation))


def test_a_windows_class_is_that_of_the_scored_frames_it_answers_for() -> None:
    dump, _, _ = stream(0, windows=8)  # 36 frames; window t answers for frames 4t + 4 to 4t + 7
    truth = Truth((Context(0, 16, "rest"), Context(16, 36, "act")))
    label, weight = answers_for(dump, truth)
    assert label.tolist() == [0, 0, 0, 0, 0, 1, 1, 1]
    assert weight.tolist() == [0, 4, 4, 0, 0, 4, 4, 4]  # the first 8 frames of each context do not count


def test_what_is_sent_is_what_the_gate_sends() -> None:
    dump, truth, _ = stream(1)
    rho = np.random.default_rng(0).uniform(size=dump.windows)
    sent = side_by_side([(dump, truth, rho)], (6,)).sent[6][:, 0]
    gate: Gate[None] = Gate(lambda: ContextAware(6))
    chosen = []
    for t in range(dump.windows):
        key = WindowKey("s", 0, t)
        decisions = gate.window(key, None, t, live=False) + gate.rho(key, float(rho[t]), t)
        chosen.append(any(isinstance(each, Send) for each in decisions))
    np.testing.assert_array_equal(sent.numpy(), chosen)


def test_shorter_streams_are_padded_and_the_padding_counts_for_nothing() -> None:
    both = side_by_side([stream(0, 60), stream(1, 100)], (6,))
    assert both.length.tolist() == [60, 100]
    assert both.weight[60:, 0].sum() == both.sent[6][60:, 0].sum() == 0
    np.testing.assert_array_equal(both.seen.log_local[:60, 0], side_by_side([stream(0, 60)], (6,)).seen.log_local[:, 0])


@pytest.mark.parametrize("method", ["bayesian", "recurrent"])
def test_it_learns_to_be_better_than_the_edge_and_than_the_papers_method(tmp_path: Path, method: str) -> None:
    from clownfish.evaluation.compare import score
    from clownfish.evaluation.replay import replay

    rate = {"learning_rate": 0.02, "hidden_learning_rate": 0.01, "epochs": 6}
    settings = config(tmp_path, method, fit=QUICK | rate)
    known = learned()
    module, scores = fit(settings, known, lambda line: None)
    dump, truth, rho = stream(90)
    edge = accuracy(score(dump, truth, dump.p_local.argmax(1)))
    paper = replay(dump, rho, lambda: ContextAware(6), 1)
    assert scores["n_w 6 lag 1"] > edge + 0.05
    assert scores["n_w 6 closing"] > max(accuracy(score(dump, truth, paper.final)), edge) - 0.02
    assert scores == pytest.approx(judged(settings, module, known.validation)), "the best epoch's weights are kept"


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    known = learned()
    whole, _ = fit(config(tmp_path / "whole", "recurrent"), known, lambda line: None)

    class Stopped(Exception):
        pass

    def stop(line: str) -> None:
        if line.startswith("epoch 2"):
            raise Stopped

    parted = config(tmp_path / "parted", "recurrent")
    with pytest.raises(Stopped):
        fit(parted, known, stop)
    again, _ = fit(parted, known, lambda line: None)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name


def video(folder: Path, number: int, frames: int = 200) -> str:
    """The beginning of a drawn stream, as a labelled video."""
    source = f"shapes:validation/{number}"
    path = folder / f"shapes{number}.mp4"
    truth = truth_of(source)
    assert truth is not None
    opened = open_source(source)
    encode(path, (pixels for pixels, _ in zip(opened, range(frames))))  # noqa: B905 - the stream is longer
    opened.close()
    write_truth(path, [Interval(c.start, min(c.end, frames), c.label) for c in truth.contexts if c.start < frames])
    return str(path)


TOML = """
name = "tiny"
seed = 1
output = "{folder}/out/fuser"
runs = "{folder}/runs"
dumps = "{folder}/dumps"
method = "{method}"
pair = "zoo:shapes"
train = "{first}"
validation = "{second}"
units = 6
lookahead = 4
judged_n_w = [6]

[fit]
epochs = 1
batches = 2
batch = 2
windows = 32
warm = 8
n_w = [6]
"""


def test_the_command_writes_a_fuser_that_the_configuration_can_name(tmp_path: Path) -> None:
    first, second = video(tmp_path, 0), video(tmp_path, 1)
    for method in ("bayesian", "recurrent"):
        file = tmp_path / f"{method}.toml"
        file.write_text(TOML.format(folder=tmp_path, method=method, first=first, second=second))
        name = f"{tmp_path}/{method}"
        command = ["train", "fuser", "--config", str(file), "--fresh", "--set", f"output={name}"]
        result = CliRunner().invoke(app, command, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        learned = load_config(file, FuserConfig)
        classes = learned_from(learned, lambda line: None).classes
        section = FusionSection(method=Plugin(method, {"weights": name}))
        it = build_fusion(section, classes=classes)
        assert it.fuse(0, np.full(len(classes), 1 / len(classes)), None).revision == 0
        assert f'kind = "{method}"' in Path(f"{name}.md").read_text()


def test_streams_that_cannot_teach_are_refused_in_words(tmp_path: Path) -> None:
    first = video(tmp_path, 0)
    with pytest.raises(ConfigError, match="both to train and to validate"):
        learned_from(config(tmp_path, "recurrent", train=first, validation=first, dumps=tmp_path), lambda line: None)
    Path(first).with_suffix(".csv").unlink()
    with pytest.raises(DatasetError, match="no ground truth"):
        learned_from(config(tmp_path, "recurrent", train=first, validation="x.mp4"), lambda line: None)
    with pytest.raises(ConfigError, match="need streams"):
        learned_from(config(tmp_path, "recurrent", train=" ", validation="x.mp4"), lambda line: None)
