"""A user's checkpoint: read without running what is in it, brought in as a model, or as the body of another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from clownfish.cli.app import app
from clownfish.errors import ModelError
from clownfish.models.body import load_body
from clownfish.models.checkpoint import Checkpoint, read_checkpoint
from clownfish.models.description import read_description
from clownfish.models.load import load_model
from clownfish.models.mobilenet import MobileNet3d
from clownfish.models.preprocessing import PREPROCESSING
from clownfish.models.recognise import recognise
from clownfish.models.resnet import ResNet3d
from tests.public_networks import MobileNet, ResNet, State, random_state

SMALL = MobileNet(0.25)


def saved(path: Path, state: State, **beside: Any) -> Path:
    """As the public training codes save it."""
    torch.save({"epoch": 3, "state_dict": state, "optimizer": {"lr": 0.1}} | beside, path)
    return path


def small(path: Path, classes: int = 400, **beside: Any) -> Path:
    state = {f"module.{name}": tensor for name, tensor in random_state(SMALL, classes).items()}
    return saved(path, state, **({"arch": "mobilenet"} | beside))


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["model", "import", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def window(size: int = 16) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (120, 160, 3), np.uint8) for _ in range(size)]


def test_an_imported_checkpoint_answers_as_the_public_code_does(tmp_path: Path) -> None:
    """Frames in, through the scaled shorter side, centre crop, mean and network, logits out."""
    Image = pytest.importorskip("PIL.Image", reason="needs Pillow to be the public code's preprocessing")
    path = small(tmp_path / "mobilenet.pth")
    output = run(path, "--output", tmp_path / "new" / "kinetics", "--size", 64)
    assert "mobilenet3d {'width': 0.25}, 400 classes (numbered" in output
    frames = []
    for frame in window():
        scaled = Image.fromarray(frame).resize((85, 64), Image.BILINEAR)  # int(64 · 160 / 120)
        x1 = round((85 - 64) / 2)
        frames.append(np.asarray(scaled.crop((x1, 0, x1 + 64, 64)), np.float32) - (114.7748, 107.7354, 99.4750))
    x = torch.from_numpy(np.stack(frames).astype(np.float32)).permute(3, 0, 1, 2)[None]
    theirs = SMALL.logits(random_state(SMALL, 400), x)[0].numpy()
    model = load_model(str(tmp_path / "new" / "kinetics.safetensors"), device="cpu")
    ours = model.infer([window()]).feature[0]
    assert np.ptp(theirs) > 10
    np.testing.assert_allclose(ours, theirs, atol=0.02 * np.ptp(theirs))  # Pillow rounds pixels between its two passes


@pytest.mark.parametrize("zipped", [True, False])
def test_both_of_torchs_file_formats_are_read(tmp_path: Path, zipped: bool) -> None:
    state = random_state(SMALL, 3)
    wrapped = {"arch": "mobilenet", "state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}
    torch.save(wrapped, tmp_path / "m.pth", _use_new_zipfile_serialization=zipped)
    checkpoint = read_checkpoint(tmp_path / "m.pth")
    assert checkpoint.arch == "mobilenet"
    assert checkpoint.weights.keys() == state.keys()
    torch.save(state, tmp_path / "bare.pth", _use_new_zipfile_serialization=zipped)
    assert read_checkpoint(tmp_path / "bare.pth").weights.keys() == state.keys()


@pytest.mark.parametrize(
    ("public", "arch", "expected"),
    [
        (ResNet("resnet", 10, "A"), None, ("resnet3d", {"depth": 10, "shortcut": "A", "width": 1.0})),
        (ResNet("resnet", 18, "A"), "resnet-18", ("resnet3d", {"depth": 18, "shortcut": "A", "width": 1.0})),
        (ResNet("resnet", 34, "B"), "resnet-34", ("resnet3d", {"depth": 34, "shortcut": "B", "width": 1.0})),
        (ResNet("resnet", 50, "B"), "resnet", ("resnet3d", {"depth": 50, "shortcut": "B", "width": 1.0})),
        (ResNet("resnext", 101, "B"), "resnext-101", ("resnext3d", {"depth": 101, "shortcut": "B", "width": 1.0})),
        (MobileNet(0.45), "mobilenet", ("mobilenet3d", {"width": 0.45})),
        (MobileNet(2.0), "mobilenet", ("mobilenet3d", {"width": 2.0})),
    ],
)
def test_an_architecture_is_read_off_the_weights(
    public: ResNet | MobileNet, arch: str | None, expected: tuple[str, dict[str, Any]]
) -> None:
    weights = {name: torch.empty(shape, device="meta") for name, shape in public.shapes(400)}
    assert recognise(Checkpoint(weights, arch), Path("x.pth")) == expected


def test_what_a_checkpoint_calls_itself_must_agree_with_its_weights() -> None:
    weights = {name: torch.empty(shape, device="meta") for name, shape in ResNet("resnet", 18, "A").shapes(4)}
    with pytest.raises(ModelError, match=r"x.pth: calls itself 'resnet-34', but .* of resnet3d {'depth': 18"):
        recognise(Checkpoint(weights, "resnet-34"), Path("x.pth"))
    with pytest.raises(ModelError, match=r"calls itself 'resnext-101', but"):
        recognise(Checkpoint(weights, "resnext-101"), Path("x.pth"))
    for name in [name for name in weights if name.startswith("layer2.1.")]:
        del weights[name]
    with pytest.raises(ModelError, match=r"has \(2, 1, 2, 2\) basic blocks in its stages; known are"):
        recognise(Checkpoint(weights, "resnet-18"), Path("x.pth"))
    with pytest.raises(ModelError, match=r"no architecture known here \(it calls itself 'densenet-121'; .*--arch"):
        recognise(Checkpoint({"features.conv0.weight": torch.zeros(2, 2)}, "densenet-121"), Path("x.pth"))


@pytest.mark.parametrize("as_json", [False, True])
def test_class_names_come_from_a_file(tmp_path: Path, as_json: bool) -> None:
    names = ["riding a bike", "sneezing", "yoga"]
    file = tmp_path / ("kinetics.json" if as_json else "names.txt")
    file.write_text(json.dumps({"labels": names, "database": {}}) if as_json else "\n".join(names) + "\n\n")
    run(small(tmp_path / "m.pth", 3), "--output", tmp_path / "m", "--classes", file, "--size", 32)
    assert read_description(str(tmp_path / "m.safetensors")).classes == tuple(names)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a\nb\na\n", r"'a' stands there twice"),
        ("a\n", r"names no two classes"),
        ("a\nb\n", r"'classifier.1.weight' answers 3 classes, but 2 are named"),
    ],
)
def test_wrong_class_names_are_refused_and_nothing_is_written(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "names.txt").write_text(text)
    with pytest.raises(ModelError, match=complaint):
        run(small(tmp_path / "m.pth", 3), "--output", tmp_path / "m", "--classes", tmp_path / "names.txt")
    assert not list(tmp_path.glob("m.safetensors")) + list(tmp_path.glob("m.json"))


def test_an_architecture_that_is_named_is_taken_and_must_fit(tmp_path: Path) -> None:
    path = small(tmp_path / "m.pth", 3)
    named = ["--output", tmp_path / "m", "--size", 32, "--arch", "mobilenet3d", "--option"]
    run(path, *named, "width=0.25")
    with pytest.raises(ModelError, match=r"'features.0.0.weight' has shape \(8, 3, 3, 3, 3\), .*needs \(16, "):
        run(path, *named, "width=0.5")
    with pytest.raises(ModelError, match=r"--option width: expected KEY=VALUE"):
        run(path, *named, "width")


@pytest.mark.parametrize("name", PREPROCESSING)
def test_every_preprocessing_can_be_described(tmp_path: Path, name: str) -> None:
    from clownfish.models.importing import Wanted, import_checkpoint

    small(tmp_path / "m.pth", 2)
    shape = import_checkpoint(tmp_path / "m.pth", tmp_path / "m", Wanted(preprocess=name)).input
    assert (shape.mean, shape.std) == PREPROCESSING[name]
    assert (shape.resize, shape.width, shape.height, shape.window_size) == ("shorter_side", 112, 112, 16)


def test_an_impossible_input_or_preprocessing_is_refused(tmp_path: Path) -> None:
    path = small(tmp_path / "m.pth", 2)
    with pytest.raises(ModelError, match=r"16 is not a multiple of frame_step 3"):
        run(path, "--output", tmp_path / "m", "--frame-step", 3)
    with pytest.raises(ModelError, match=r"unknown preprocessing 'sepia'; known: activitynet"):
        run(path, "--output", tmp_path / "m", "--preprocess", "sepia")


# -- what is no checkpoint --------------------------------------------------------------------------------------------


class Custom:
    """Something that only code can bring back."""


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({"state_dict": {"a": torch.zeros(2)}, "opt": Custom()}, r"needs tests.test_models_import.Custom to be run"),
        (torch.nn.Linear(2, 2), r"needs torch.nn.modules.linear.Linear to be run, which an untrusted file must not"),
        ({"state_dict": {}}, r"expected a dictionary of tensors"),
        ({"epoch": 3}, r"'epoch' is a int, expected names with a tensor each"),
        ([torch.zeros(2)], r"read a list"),
        ({"state_dict": {"a": {"b": torch.zeros(2)}}}, r"'a' is a dict"),
    ],
)
def test_what_is_no_dictionary_of_tensors_is_refused(tmp_path: Path, content: object, complaint: str) -> None:
    torch.save(content, tmp_path / "m.pth")
    with pytest.raises(ModelError, match=rf"m.pth: .*{complaint}"):
        read_checkpoint(tmp_path / "m.pth")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_a_checkpoint_that_is_cut_off_is_refused(tmp_path: Path, zipped: bool, share: float) -> None:
    path = tmp_path / "m.pth"
    torch.save({"state_dict": {"a": torch.zeros(500, 8)}}, path, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ModelError, match=r"m.pth: is no(t a whole)? checkpoint"):
        read_checkpoint(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.pth").write_text("no checkpoint\n" * 30)
    save_file({"a": torch.zeros(2)}, tmp_path / "tensors.pth")
    for name in ("text.pth", "tensors.pth"):
        with pytest.raises(ModelError, match=rf"{name}: is no(t a whole)? checkpoint"):
            read_checkpoint(tmp_path / name)
    with pytest.raises(ModelError, match=r"none.pth: no such file"):
        read_checkpoint(tmp_path / "none.pth")


# -- fine-tuning ------------------------------------------------------------------------------------------------------


def test_a_body_is_taken_from_a_checkpoint_of_other_classes(tmp_path: Path) -> None:
    path = small(tmp_path / "m.pth", 400)
    network = MobileNet3d(9, width=0.25)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    load_body(network, path)
    state = random_state(SMALL, 400)
    for name, tensor in network.state_dict().items():
        expected = before[name] if name.startswith("classifier.") else state[name]
        torch.testing.assert_close(tensor, expected, msg=name)


def test_a_body_is_taken_from_a_model_of_ours(tmp_path: Path) -> None:
    run(small(tmp_path / "m.pth", 5), "--output", tmp_path / "m", "--size", 32)
    network = MobileNet3d(5, width=0.25)
    last = network.classifier[1].weight.clone()
    load_body(network, str(tmp_path / "m.safetensors"))
    state = random_state(SMALL, 5)
    torch.testing.assert_close(network.features[13].bn2.running_var, state["features.13.bn2.running_var"])
    torch.testing.assert_close(network.classifier[1].weight, last)  # replaced even where the number is the same


def test_a_body_is_taken_from_the_zoo() -> None:
    from clownfish.models.load import build

    description = read_description("zoo:ucf9/local")
    network = build(description.model_copy(update={"classes": ("a", "b")}))
    load_body(network, "zoo:ucf9/local")
    assert all(torch.isfinite(tensor).all() for tensor in network.state_dict().values())


@pytest.mark.parametrize(
    ("network", "complaint"),
    [
        (lambda: MobileNet3d(2, width=0.5), r"m.pth \(mobilenet\): 'features.0.0.weight' has shape \(8, .*needs \(16,"),
        (lambda: ResNet3d(2, depth=10, width=0.125), r"has no 'conv1.weight', which ResNet3d as configured needs"),
    ],
)
def test_a_body_that_does_not_match_wholly_is_refused_and_nothing_changes(
    tmp_path: Path, network: Any, complaint: str
) -> None:
    net = network()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with pytest.raises(ModelError, match=complaint):
        load_body(net, small(tmp_path / "m.pth"))
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())


def test_a_body_with_more_than_the_network_has_is_refused(tmp_path: Path) -> None:
    state = random_state(SMALL, 3) | {"features.14.conv1.weight": torch.zeros(1)}
    with pytest.raises(ModelError, match=r"'features.14.conv1.weight' \(and 0 more\) is no part of MobileNet3d"):
        load_body(MobileNet3d(2, width=0.25), saved(tmp_path / "m.pth", state))


def test_a_network_without_a_linear_layer_has_no_body(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"Identity has no linear layer"):
        load_body(torch.nn.Identity(), small(tmp_path / "m.pth"))
