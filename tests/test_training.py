"""Training end to end on a data set that the test draws itself: what is written, resumed, refused."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import torch
from pydantic import ValidationError

from clownfish.datasets import ucf9
from clownfish.errors import ConfigError, ModelError
from clownfish.models.description import check_siminet, read_description, read_siminet_description
from clownfish.models.load import load_model
from clownfish.models.siminet import SimiNetModule
from clownfish.similarity.siminet import SimiNet
from clownfish.training.classifier import train_classifier
from clownfish.training.config import ClassifierConfig, SimiNetConfig, load_config
from clownfish.training.siminet import train_siminet
from clownfish.training.siminet_fit import fit_platt, fold_platt
from clownfish.training.siminet_pairs import Pairs

CLASSES = ucf9.CLASSES
GROUPS = (1, 2)
FRAMES = 62


def draw_clip(path: Path, colour: int, frames: int = FRAMES) -> None:
    """A clip whose class shows as its brightness."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height = 48, 32
        for n in range(frames):
            pixels = np.full((32, 48, 3), colour, np.uint8)
            pixels[:, n % 48] = 255 - colour
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ucf9")
    rows = ["path,label,group,frames"]
    for n, label in enumerate(CLASSES):
        for group in GROUPS:
            name = f"train/{label}/{label}_g{group}.mp4"
            draw_clip(folder / name, 10 + 26 * n)
            rows.append(f"{name},{label},{group},{FRAMES}")
    (folder / "train.csv").write_text("\n".join(rows) + "\n")
    return folder


def data(root: Path, folder: Path) -> dict[str, object]:
    return {
        "dataset": "ucf9",
        "root": root,
        "validation_groups": (2,),
        "cache": folder / "cache",
        "cache_width": 24,
        "cache_height": 24,
    }


def configured(root: Path, folder: Path, **fit: object) -> ClassifierConfig:
    return ClassifierConfig.model_validate(
        {
            "name": "tiny",
            "seed": 3,
            "output": folder / "out" / "tiny",
            "runs": folder / "runs",
            "architecture": "mobilenet3d",
            "options": {"width": 0.125},
            "feature": "logits",
            "input": {"width": 16, "height": 16, "window_size": 8, "mean": (127, 127, 127), "std": (70, 70, 70)},
            "data": data(root, folder),
            "fit": {"epochs": 3, "batch": 6, "learning_rate": 0.01} | fit,
        }
    )


def quiet(line: str) -> None:
    pass


class Stop(Exception):
    pass


def stop_after_first_epoch(line: str) -> None:
    if line.startswith("epoch 1/"):
        raise Stop


def test_training_writes_weights_and_a_calibrated_description_that_load(root: Path, tmp_path: Path) -> None:
    trained = train_classifier(configured(root, tmp_path), quiet)
    path = str(tmp_path / "out" / "tiny.safetensors")
    assert read_description(path) == trained.description
    assert trained.description.classes == CLASSES
    assert trained.calibration_error <= trained.calibration_error_before + 0.2
    model = load_model(path, device="cpu")
    assert model.infer([[np.zeros((32, 48, 3), np.uint8)] * 8]).p.shape == (1, 9)


def test_a_run_stopped_after_an_epoch_goes_on_bit_identically(root: Path, tmp_path: Path) -> None:
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    train_classifier(configured(root, straight), quiet)
    with pytest.raises(Stop):
        train_classifier(configured(root, broken), stop_after_first_epoch)
    lines: list[str] = []
    train_classifier(configured(root, broken), lines.append)
    assert any(line.startswith("going on after epoch 1") for line in lines)
    weights = [(folder / "out" / "tiny.safetensors").read_bytes() for folder in (straight, broken)]
    assert weights[0] == weights[1]


def test_a_probe_trains_the_last_layer_alone(root: Path, tmp_path: Path) -> None:
    states = []
    for probe_epochs in (1, 30):
        config = configured(root, tmp_path / str(probe_epochs), probe_epochs=probe_epochs, epochs=0)
        train_classifier(config, quiet)
        checkpoint = config.runs / "tiny" / "checkpoint.pt"
        states.append(torch.load(checkpoint, weights_only=True)["network"])
    changed = {name for name in states[0] if not torch.equal(states[0][name], states[1][name])}
    assert changed == {"classifier.1.weight", "classifier.1.bias"}


def test_frozen_parameters_keep_their_values(root: Path, tmp_path: Path) -> None:
    states = []
    for epochs in (0, 1):
        config = configured(root, tmp_path / str(epochs), epochs=epochs, frozen=("features.",))
        train_classifier(config, quiet)
        states.append(torch.load(config.runs / "tiny" / "checkpoint.pt", weights_only=True)["network"])
    assert torch.equal(states[0]["features.0.0.weight"], states[1]["features.0.0.weight"])
    assert not torch.equal(states[0]["classifier.1.weight"], states[1]["classifier.1.weight"])


def test_a_refit_learns_from_all_clips_and_keeps_the_temperature_that_validation_gave(
    root: Path, tmp_path: Path
) -> None:
    once = train_classifier(configured(root, tmp_path / "once"), quiet)
    lines: list[str] = []
    config = configured(root, tmp_path / "twice", refit=True)
    twice = train_classifier(config, lines.append)
    assert twice == once
    weights = [(tmp_path / which / "out" / "tiny.safetensors").read_bytes() for which in ("once", "twice")]
    assert weights[0] != weights[1]
    kept = [torch.load(config.runs / run / "checkpoint.pt", weights_only=True) for run in ("tiny", "tiny-refit")]
    assert [state["epoch"] for state in kept] == [3, 3]
    assert any("on the validation groups, too" in line for line in lines)


def test_a_refit_leaves_nothing_for_patience_to_watch(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"refit has no validation clips left for patience"):
        configured(root, tmp_path, refit=True, patience=2)


def test_a_loss_that_is_not_finite_stops_the_run(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"the loss is nan.*lower learning_rate"):
        train_classifier(configured(root, tmp_path, learning_rate=1e30), quiet)


def test_a_checkpoint_of_another_network_is_refused(root: Path, tmp_path: Path) -> None:
    config = configured(root, tmp_path, epochs=0)
    train_classifier(config, quiet)
    with pytest.raises(ModelError, match=r"does not fit this configuration"):
        train_classifier(config.model_copy(update={"options": {"width": 0.25}}), quiet)


def test_siminet_trains_on_the_classifiers_features_and_runs_without_torch(root: Path, tmp_path: Path) -> None:
    train_classifier(configured(root, tmp_path), quiet)
    config = SimiNetConfig.model_validate(
        {
            "name": "tiny-siminet",
            "seed": 3,
            "output": tmp_path / "out" / "siminet",
            "runs": tmp_path / "runs",
            "classifier": str(tmp_path / "out" / "tiny.safetensors"),
            "rounds": 2,
            "validation_rounds": 1,
            "hidden": 32,
            "epochs": 4,
            "data": data(root, tmp_path),
        }
    )
    lines: list[str] = []
    trained = train_siminet(config, lines.append)
    path = str(tmp_path / "out" / "siminet.safetensors")
    ways = {(one.feature, one.pairs) for one in trained.candidates}
    assert ways == {(f, p) for f in ("logits", "embedding") for p in ("neighbours 1 apart", "contexts")}
    assert trained.auc == max(one.auc for one in trained.candidates) == trained.candidates[0].auc
    kept = trained.candidates[0].feature
    assert read_siminet_description(path).feature_size == SimiNet(path).feature_size == {"logits": 9}.get(kept, 128)
    description = read_description(str(tmp_path / "out" / "tiny"))
    assert description.feature == kept
    check_siminet(read_siminet_description(path), description)
    assert any("feature was 'logits', is 'embedding' now" in line for line in lines) == (kept == "embedding")


@pytest.mark.parametrize("name", ["local", "local-wide", "remote", "mobilenet"])
def test_the_shipped_configurations_are_valid(name: str) -> None:
    assert load_config(Path(f"configs/train/ucf9-{name}.toml"), ClassifierConfig).name == f"ucf9-{name}"


def test_the_shipped_siminet_configuration_is_valid() -> None:
    assert load_config(Path("configs/train/ucf9-siminet.toml"), SimiNetConfig).name == "ucf9-siminet"


def test_an_unknown_key_is_named_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(Path("configs/train/ucf9-local.toml").read_text() + "\nepoch = 3\n")
    with pytest.raises(ConfigError, match=r"bad.toml: fit.epoch: Extra inputs"):
        load_config(path, ClassifierConfig)


def test_platt_scaling_makes_rho_a_probability_at_the_share_of_transitions_that_streams_have() -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    module = SimiNetModule(4, 16)
    fold_platt(module, 40.0, 0.0)
    previous, current = rng.normal(size=(2, 20000, 4)).astype(np.float32)
    with torch.inference_mode():
        logit = module.logit(torch.from_numpy(previous), torch.from_numpy(current)).numpy()
    truth = 1 / (1 + np.exp(-(3 * logit + 2.5)))
    same = rng.random(20000) < truth
    scale, shift = fit_platt(module, Pairs(previous, current, same))
    fold_platt(module, scale, shift)
    with torch.inference_mode():
        rho = torch.sigmoid(module.logit(torch.from_numpy(previous), torch.from_numpy(current))).numpy()
    assert abs(rho - truth).mean() < 0.01


def test_platt_scaling_stays_finite_where_the_classes_part_without_error() -> None:
    module = SimiNetModule(1, 4)
    x = np.array([[-1.0], [1.0]] * 20, np.float32)
    with torch.inference_mode():
        logit = module.logit(torch.from_numpy(x), torch.from_numpy(x)).numpy()
    scale, shift = fit_platt(module, Pairs(x, x, logit > np.median(logit)))
    assert np.isfinite([scale, shift]).all()
    assert abs(logit * scale + shift).max() < 10
