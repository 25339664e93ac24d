"""SimiNet: the numpy twin that runs, beside the torch module that is trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from clownfish.errors import ModelError
from clownfish.models.siminet import SimiNetModule
from clownfish.similarity.base import Inferred
from clownfish.similarity.siminet import SimiNet
from clownfish.zoo import locate, names

FEATURES = 6


def exported(folder: Path, module: SimiNetModule) -> str:
    path = folder / "siminet.safetensors"
    save_file({name: tensor.numpy() for name, tensor in module.state_dict().items()}, path)
    return str(path)


def inferred(feature: np.ndarray) -> Inferred:
    return Inferred(stream="s", t=0, p=np.full(3, 1 / 3), feature=feature)


def test_fig_6_has_two_hidden_layers_of_1024_and_one_sigmoid_unit() -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in SimiNetModule(FEATURES).state_dict().items()}
    assert shapes["fc1.weight"] == (1024, 2 * FEATURES)
    assert shapes["fc2.weight"] == (1024, 1024)
    assert shapes["fc3.weight"] == (1, 1024)


def test_numpy_and_torch_agree_within_1e_5(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = SimiNetModule(FEATURES)
    numpy_twin = SimiNet(exported(tmp_path, module))
    previous, current = np.random.default_rng(0).normal(0, 5, (2, 100, FEATURES)).astype(np.float32)
    with torch.inference_mode():
        expected = module(torch.from_numpy(previous), torch.from_numpy(current)).numpy()
    np.testing.assert_allclose(numpy_twin.rho_batch(previous, current), expected, atol=1e-5)
    one = numpy_twin.rho(inferred(previous[3]), inferred(current[3]))
    assert one == pytest.approx(float(expected[3]), abs=1e-5)


def test_the_order_of_the_windows_matters(tmp_path: Path) -> None:
    siminet = SimiNet(exported(tmp_path, SimiNetModule(FEATURES, hidden=16)))
    a, b = (inferred(x) for x in np.random.default_rng(0).normal(0, 5, (2, FEATURES)))
    assert siminet.rho(a, b) != siminet.rho(b, a)


def test_rho_stays_finite_and_in_range_for_huge_features(tmp_path: Path) -> None:
    siminet = SimiNet(exported(tmp_path, SimiNetModule(FEATURES, hidden=16)))
    rho = siminet.rho_batch(np.full((1, FEATURES), 1e6), np.full((1, FEATURES), -1e6))
    assert np.isfinite(rho).all()
    assert 0 <= rho[0] <= 1


def test_features_of_another_size_are_refused_at_first_use(tmp_path: Path) -> None:
    siminet = SimiNet(exported(tmp_path, SimiNetModule(FEATURES, hidden=16)))
    with pytest.raises(ModelError, match=r"made for features of size 6, got \(5,\)"):
        siminet.rho(inferred(np.zeros(5)), inferred(np.zeros(5)))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"absent.safetensors: no such file"):
        SimiNet(str(tmp_path / "absent"))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"fc4.bias": np.zeros(1, np.float32)}, "a SimiNet holds"),
        ({"fc2.weight": np.zeros((16, 15), np.float32)}, "do not follow each other"),
        ({"fc3.weight": np.zeros((2, 16), np.float32)}, "do not follow each other"),
        ({"fc2.weight": np.zeros(16, np.float32)}, "do not follow each other"),
    ],
)
def test_weights_that_are_no_siminet_are_refused(tmp_path: Path, change: dict[str, np.ndarray], complaint: str) -> None:
    tensors = {name: t.numpy() for name, t in SimiNetModule(FEATURES, hidden=16).state_dict().items()}
    save_file(tensors | change, tmp_path / "bad.safetensors")
    with pytest.raises(ModelError, match=complaint):
        SimiNet(str(tmp_path / "bad"))


def test_a_broken_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.safetensors").write_bytes(b"12345678 no")
    with pytest.raises(ModelError, match="is not a whole safetensors file"):
        SimiNet(str(tmp_path / "bad"))


def test_zoo_names_are_found_inside_the_package_and_anything_else_is_a_path() -> None:
    assert locate("zoo:ucf9/local").is_file()
    assert set(names()) >= {"zoo:ucf9/local", "zoo:ucf9/remote", "zoo:ucf9/siminet"}
    assert locate("models/mine.safetensors") == Path("models/mine.safetensors")
