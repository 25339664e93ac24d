"""Engines: each answers as torch fp32 does, says what it needs, and compiles when it is loaded."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from clownfish.config import validate
from clownfish.errors import ConfigError, ModelError
from clownfish.models.adapter import network_input
from clownfish.models.base import WindowModel
from clownfish.models.description import InputDescription, ModelDescription, write_description
from clownfish.models.engines import ENGINES
from clownfish.models.engines.cache import cached, digest, or_without
from clownfish.models.engines.onnxruntime import CPU, CUDA, TENSORRT, pick_providers, provider_options
from clownfish.models.engines.tracing import convolutions_as_modules, flat_graph, parted
from clownfish.models.load import build, load_model
from clownfish.sources.windows import spread_windows
from clownfish.training.export import export
from tests.model_files import answering

CLASSES = ("bow", "clap", "jump", "wave")
SHAPE = InputDescription(width=32, height=24, window_size=8, frame_step=2, mean=(110, 100, 90), std=(60, 60, 60))
OPTIONS = {
    "mobilenet3d": {"width": 0.25},
    "resnet3d": {"depth": 10, "width": 0.125, "shortcut": "A"},
    "framenet": {"blocks": 3},
    "stacked": {"frames": 4, "width": 0.25, "depth": 1},
}
PACKAGES = {"openvino": ("openvino",), "onnxruntime": ("onnxruntime", "onnxscript")}
"""What each engine needs beside torch."""

CASES = [
    # the same arithmetic in another order
    ("torch", "fp32", 1e-6, 1.0),
    ("openvino", "fp32", 1e-4, 1.0),
    ("onnxruntime", "fp32", 1e-4, 1.0),
    # eight bits of mantissa
    ("torch", "bf16", 0.05, 0.9),
    ("openvino", "bf16", 0.05, 0.9),
    # 256 levels
    ("torch-int8", "fp32", 0.15, 0.9),
]
"""Engine, precision, largest |Δp| from torch fp32, least share of windows with the same answer."""


def described(architecture: str = "framenet", **changes: Any) -> ModelDescription:
    fields: dict[str, Any] = {
        "name": f"test-{architecture}",
        "architecture": architecture,
        "options": OPTIONS.get(architecture, {}),
        "classes": CLASSES,
        "input": SHAPE,
        "feature": "embedding",
        "temperature": 1.0,
    }
    return ModelDescription.model_validate(fields | changes)


@pytest.fixture(scope="module")
def windows() -> list[tuple[np.ndarray, ...]]:
    found = spread_windows("shapes:test/0", SHAPE.window_size, 4, 64, 48, 40, seconds=60)
    return [window.frames for window in found]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("CLOWNFISH_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, windows: list[tuple[np.ndarray, ...]]) -> str:
    path = tmp_path_factory.mktemp("model") / "model"
    export(path, answering(described(), windows), described())
    return str(path)


@pytest.fixture(scope="module")
def load(model: str, windows: list[tuple[np.ndarray, ...]]):
    """Loads the model in an engine, once for all tests; skips where the engine's package is not installed."""
    loaded: dict[tuple[str, str], WindowModel] = {}

    def load_once(engine: str, precision: str) -> WindowModel:
        for package in PACKAGES.get(engine, ()):
            pytest.importorskip(package, reason=f"engine {engine} needs the package {package}")
        key = engine, precision
        if key not in loaded:
            loaded[key] = load_model(model, "cpu", precision, engine, lambda size: windows[::2])  # type: ignore[arg-type]
        return loaded[key]

    return load_once


# -- every engine ------------------------------------------------------------------------------------------------------


def test_every_engine_is_among_the_cases() -> None:
    assert {engine for engine, *_ in CASES} == set(ENGINES.names())


@pytest.mark.parametrize(("engine", "precision", "tolerance", "same"), CASES)
def test_an_engine_answers_as_torch_fp32_does(load, windows, engine, precision, tolerance, same) -> None:
    expected = np.concatenate([load("torch", "fp32").infer([window]).p for window in windows])
    assert len(set(expected.argmax(1))) > 2  # else agreement would say nothing
    p = np.concatenate([load(engine, precision).infer([window]).p for window in windows])
    np.testing.assert_allclose(p, expected, atol=tolerance)
    assert (p.argmax(1) == expected.argmax(1)).mean() >= same


@pytest.mark.parametrize(("engine", "precision"), [case[:2] for case in CASES])
def test_a_batch_answers_what_its_windows_do_alone_and_stays_what_it_was(load, windows, engine, precision) -> None:
    loaded = load(engine, precision)
    together = loaded.infer(windows[:3])
    p, feature = together.p.copy(), together.feature.copy()
    alone = [loaded.infer([window]) for window in windows[:3]]
    loaded.infer(windows[10:12])
    tolerance = 0.02 if precision == "bf16" else 1e-5
    np.testing.assert_allclose(p, np.concatenate([each.p for each in alone]), atol=tolerance)
    np.testing.assert_allclose(feature, np.concatenate([each.feature for each in alone]), atol=tolerance)
    assert (together.p == p).all()
    assert (together.feature == feature).all()
    assert together.p.dtype == together.feature.dtype == np.float32


@pytest.mark.parametrize(("engine", "package"), [("openvino", "openvino"), ("onnxruntime", "onnxruntime")])
def test_a_missing_package_is_answered_with_the_line_that_installs_it(monkeypatch, model, engine, package) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModelError, match=r"needs: pip install 'clownfish\[(openvino|onnx)\]'"):
        load_model(model, "cpu", "fp32", engine)


@pytest.mark.parametrize("engine", ["torch-int8", "openvino"])
def test_an_engine_for_cpus_refuses_another_device(model, engine) -> None:
    pytest.importorskip(engine.replace("-int8", ""), reason="its engine needs it")
    with pytest.raises(ModelError, match="runs on CPUs only"):
        load_model(model, "cuda", "fp32", engine, lambda size: [])


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_what_was_compiled_is_not_compiled_again(monkeypatch, load, model, engine) -> None:
    load(engine, "fp32")

    def export_again(*arguments: Any) -> None:
        raise AssertionError("exported a second time")

    monkeypatch.setattr(torch.export, "export", export_again)
    load_model(model, "cpu", "fp32", engine)


# -- int8 --------------------------------------------------------------------------------------------------------------


def test_int8_says_where_its_ranges_could_come_from(model) -> None:
    with pytest.raises(ModelError, match="set `calibration` to a video"):
        load_model(model, "cpu", "fp32", "torch-int8")
    with pytest.raises(ModelError, match="gave not one window"):
        load_model(model, "cpu", "fp32", "torch-int8", lambda size: [])
    with pytest.raises(ModelError, match="precision 'bf16' does not go with it"):
        load_model(model, "cpu", "bf16", "torch-int8", lambda size: [])


def test_int8_keeps_weights_in_a_quarter_of_the_space(load) -> None:
    whole, small = (load(engine, "fp32").engine.weights_bytes for engine in ("torch", "torch-int8"))
    assert small < whole * 0.75  # this network is so small that names and scales weigh


def test_choosing_a_backend_for_int8_changes_nothing_for_others(load) -> None:
    before = torch.backends.quantized.engine
    load("torch-int8", "fp32")
    assert torch.backends.quantized.engine == before


@pytest.mark.parametrize("architecture", OPTIONS)
def test_a_flat_graph_in_three_parts_answers_what_the_network_does(architecture) -> None:
    torch.manual_seed(0)
    network = build(described(architecture)).eval()
    flat = flat_graph(network, torch.zeros(1, 3, 4, 24, 32))
    convolutions_as_modules(flat)
    whole = parted(flat)
    integer = [type(module) for module in whole.submod_1.modules()]
    assert nn.Linear not in integer
    assert integer.count(nn.Conv2d) + integer.count(nn.Conv3d) == sum(
        isinstance(module, (nn.Conv2d, nn.Conv3d)) for module in network.modules()
    )
    x = torch.randn(1, 3, 4, 24, 32)
    with torch.no_grad():
        torch.testing.assert_close(whole(x), network(x), rtol=1e-4, atol=1e-5)


class _Reads(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * x.sum().item()


class _Branches(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class _Measures(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        first, rest = x.split([1, x.shape[1] - 1], dim=1)
        return first.expand_as(rest) * rest.size(1) + len(x)


def test_a_course_that_depends_on_numbers_is_refused_and_one_on_shapes_is_not() -> None:
    x = torch.ones(1, 3, 2)
    for network in (_Reads(), _Branches()):
        with pytest.raises(torch.fx.proxy.TraceError):
            flat_graph(network, x)
    torch.testing.assert_close(flat_graph(_Measures(), x)(2 * x), _Measures()(2 * x))


def test_a_network_that_cannot_be_quantised_is_an_error_in_words(tmp_path) -> None:
    description = described("tests.engines_apart:Undecided", options={}, feature="logits")
    export(tmp_path / "model", Undecided(4), description)
    with pytest.raises(
        ModelError, match=r"'test-.*Undecided' cannot be quantised \(TraceError: .*\); use engine 'torch'"
    ):
        load_model(str(tmp_path / "model"), "cpu", "fp32", "torch-int8", lambda size: [])


class Undecided(nn.Module):
    """Its course depends on what it sees."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(3, classes)

    def embed(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3, 4)) if x.sum() > 0 else x.amax(dim=(2, 3, 4))

    def head(self, embedding: Tensor) -> Tensor:
        return self.linear(embedding)


# -- ONNX --------------------------------------------------------------------------------------------------------------


def own_file(folder: Path, outputs: tuple[str, ...] = ("embedding", "logits"), frames: int = 4, **changes: Any) -> str:
    """An ONNX file such as a user brings: the mean colour, and four linear functions of it."""
    onnx = pytest.importorskip("onnx", reason="writes the ONNX file")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    weights = np.arange(12, dtype=np.float32).reshape(3, 4) / 5
    names = {"embedding": [1, 3], "logits": [1, 4], "scores": [1, 4]}
    last = "scores" if "scores" in outputs else "logits"
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["x", "axes"], ["embedding"], keepdims=0),
            helper.make_node("MatMul", ["embedding", "weights"], [last]),
        ],
        "own",
        [helper.make_tensor_value_info("x", kind, [1, 3, frames, 24, 32])],
        [helper.make_tensor_value_info(name, kind, names[name]) for name in outputs],
        [onnx.numpy_helper.from_array(np.array([2, 3, 4]), "axes"), onnx.numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, folder / "own.onnx")
    write_description(folder / "own.json", described("onnx", **changes))
    return str(folder / "own")


@pytest.mark.parametrize("engine", ["torch", "onnxruntime", "openvino"])
def test_a_users_own_onnx_file_runs_with_its_description(tmp_path, windows, engine) -> None:
    pytest.importorskip("openvino" if engine == "openvino" else "onnxruntime", reason="its engine needs it")
    loaded = load_model(own_file(tmp_path), "cpu", "fp32", engine)
    answer = loaded.infer(windows[:2])
    x = network_input(windows[:2], SHAPE, torch.device("cpu"), torch.float32)
    colour = x.mean(dim=(2, 3, 4))
    expected = torch.softmax(colour @ (torch.arange(12.0).reshape(3, 4) / 5), dim=1)
    np.testing.assert_allclose(answer.p, expected, atol=1e-4)
    np.testing.assert_allclose(answer.feature, nn.functional.normalize(colour, dim=1), atol=1e-4)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
@pytest.mark.parametrize(
    ("file", "message"),
    [
        ({"frames": 5}, r"input 'x' has shape \(1, 3, 5, 24, 32\); the description says \(1, 3, 4, 24, 32\)"),
        ({"outputs": ("embedding", "scores")}, "one must be called 'logits'"),
        ({"outputs": ("logits",)}, "no output 'embedding'.*write feature = \"logits\""),
    ],
)
def test_an_own_file_that_does_not_fit_its_description_is_refused(tmp_path, engine, file, message) -> None:
    pytest.importorskip(engine, reason="its engine needs it")
    with pytest.raises(ModelError, match=message):
        load_model(own_file(tmp_path, **file), "cpu", "fp32", engine)


def test_an_own_file_needs_no_embedding_where_the_feature_is_the_logits(tmp_path, windows) -> None:
    pytest.importorskip("onnxruntime", reason="its engine needs it")
    answer = load_model(own_file(tmp_path, ("logits",), feature="logits"), "cpu").infer(windows[:1])
    assert answer.feature.shape == (1, 4)


def test_an_own_file_that_is_missing_or_broken_or_for_another_engine_is_an_error(tmp_path) -> None:
    pytest.importorskip("onnxruntime", reason="its engine needs it")
    name = own_file(tmp_path)
    with pytest.raises(ModelError, match="'torch-int8' runs no ONNX file"):
        load_model(name, "cpu", "fp32", "torch-int8")
    (tmp_path / "own.onnx").write_bytes(b"not one")
    with pytest.raises(ModelError, match="onnxruntime cannot run it"):
        load_model(name, "cpu")
    (tmp_path / "own.onnx").unlink()
    with pytest.raises(ModelError, match=r"own\.onnx: no such file"):
        load_model(name, "cpu")


def test_the_graph_that_cuda_gets_for_fp16_answers_as_fp32_does(tmp_path, windows) -> None:
    ort = pytest.importorskip("onnxruntime", reason="runs the graph")
    pytest.importorskip("onnxscript", reason="writes the graph")
    from clownfish.models.engines.export import write_onnx

    description = described("stacked")
    network = answering(described("stacked"), windows)
    x = network_input(windows[:1], SHAPE, torch.device("cpu"), torch.float32)
    with torch.no_grad():
        expected = network(x).numpy()
    write_onnx(tmp_path / "half.onnx", network.half(), description, torch.float16)
    session = ort.InferenceSession(str(tmp_path / "half.onnx"), providers=[CPU])
    frames = x.permute(0, 2, 3, 4, 1).half().numpy()
    logits = session.run(["logits"], {"frames": frames})[0]
    assert logits.dtype == np.float16
    np.testing.assert_allclose(logits, expected, atol=0.05 * np.abs(expected).max())


ALL = [TENSORRT, CUDA, CPU]


@pytest.mark.parametrize(
    ("available", "device", "precision", "own", "chosen"),
    [
        (ALL, "auto", "fp32", False, [(TENSORRT, [CUDA, CPU]), (CUDA, [CPU]), (CPU, [])]),
        (ALL, "cuda", "fp16", False, [(TENSORRT, [CUDA, CPU]), (CUDA, [CPU])]),
        (ALL, "auto", "fp16", True, [(TENSORRT, [CUDA, CPU])]),
        (ALL, "cpu", "fp32", False, [(CPU, [])]),
        ([CUDA, CPU], "auto", "fp32", False, [(CUDA, [CPU]), (CPU, [])]),
        ([CPU], "auto", "fp32", False, [(CPU, [])]),
    ],
)
def test_execution_providers_are_tried_best_first(available, device, precision, own, chosen) -> None:
    assert pick_providers(available, device, precision, own) == chosen


@pytest.mark.parametrize(
    ("device", "precision", "message"),
    [
        ("cuda", "fp32", "needs TensorRT, cuda; this onnxruntime has CPU.*install onnxruntime-gpu"),
        ("auto", "fp16", "needs TensorRT, cuda"),
        ("cpu", "fp16", "does not compute in that; use precision 'fp32'"),
        ("auto", "bf16", "does not compute in that"),
    ],
)
def test_what_no_execution_provider_does_is_refused(device, precision, message) -> None:
    with pytest.raises(ModelError, match=message):
        pick_providers([CPU], device, precision)


def test_tensorrt_keeps_what_it_builds_and_computes_in_the_precision_asked_for(tmp_path) -> None:
    options = provider_options(TENSORRT, "fp16", tmp_path)
    assert options["trt_fp16_enable"] is True
    assert options["trt_engine_cache_enable"] is True
    assert options["trt_engine_cache_path"] == str(tmp_path)
    assert provider_options(TENSORRT, "fp32", tmp_path)["trt_fp16_enable"] is False
    assert provider_options(CPU, "fp32", tmp_path) == {}


# -- the cache ---------------------------------------------------------------------------------------------------------


def test_another_network_shape_or_version_has_another_digest() -> None:
    torch.manual_seed(0)
    network = build(described())
    first = digest(network, described(), "1.0")
    assert digest(network, described(name="renamed", temperature=2.0), "1.0") == first
    wider = SHAPE.model_copy(update={"width": 40})
    assert len({first, digest(network, described(), "1.1"), digest(network, described(input=wider), "1.0")}) == 3
    with torch.no_grad():
        network.fc.bias[0] += 1e-3
    assert digest(network, described(), "1.0") != first


def test_a_cache_entry_is_there_whole_or_not_at_all(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("CLOWNFISH_CACHE", str(tmp_path / "cache"))

    def half(folder: Path) -> None:
        (folder / "file").write_text("half")
        raise ModelError("interrupted")

    with pytest.raises(ModelError, match="interrupted"):
        cached("entry", half)
    assert list((tmp_path / "cache").iterdir()) == []
    assert (
        cached("entry", lambda folder: (folder / "file").write_text("whole") and None) == tmp_path / "cache" / "entry"
    )
    assert (cached("entry", half) / "file").read_text() == "whole"
    for left in (b"", b"whol", bytes(5)):  # what a cut of power leaves of a file that was just written
        (tmp_path / "cache" / "entry" / "file").write_bytes(left)
        again = cached("entry", lambda folder: (folder / "file").write_text("whole") and None)
        assert (again / "file").read_text() == "whole"
    monkeypatch.setenv("CLOWNFISH_CACHE", "/proc/nowhere")
    with pytest.raises(ModelError, match="name another folder in the environment variable CLOWNFISH_CACHE"):
        cached("entry", half)


def test_what_a_runtime_kept_and_cannot_read_is_thrown_away_once(tmp_path) -> None:
    kept, tries = tmp_path / "tensorrt", []

    def make() -> str:
        tries.append([path.name for path in kept.glob("*")])
        if tries[-1]:
            raise RuntimeError("could not deserialize engine from cache")
        return "session"

    kept.mkdir()
    (kept / "torn.engine").write_bytes(b"")
    assert or_without(kept, make) == "session"
    assert tries == [["torn.engine"], []]


@pytest.mark.parametrize("kept", ["nothing", "no folder"])
def test_who_fails_without_having_kept_anything_is_not_tried_again(kept: str, tmp_path) -> None:
    tries = []

    def make() -> None:
        tries.append(1)
        raise RuntimeError("no such library")

    with pytest.raises(RuntimeError, match="no such library"):
        or_without(tmp_path if kept == "nothing" else tmp_path / "none", make)
    assert len(tries) == 1


# -- configuration -----------------------------------------------------------------------------------------------------


def tree(**local: Any) -> dict[str, Any]:
    return {"streams": [{"name": "a", "source": "a.mp4"}], "local": {"model": "zoo:shapes/local", **local}}


def test_an_engine_is_named_in_the_configuration_and_an_unknown_one_is_answered_with_the_known() -> None:
    assert validate(tree(engine="openvino"), "f").local.engine == "openvino"
    assert validate(tree(engine="my.engines:Fast"), "f").local.engine == "my.engines:Fast"
    assert validate(tree(), "f").local.engine == "torch"
    with pytest.raises(
        ConfigError, match=r"local\.engine: unknown engine 'fast'; known: onnxruntime, openvino, torch, t"
    ):
        validate(tree(engine="fast"), "f")
    with pytest.raises(ConfigError, match=r"worker\.engine: unknown engine 'fast'"):
        validate({"worker": {"model": "zoo:shapes/remote", "engine": "fast"}}, "f")
