"""Networks that are not ours: by module:factory, as a TorchScript program, or as a whole model of one's own."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from clownfish.errors import ConfigError, ModelError
from clownfish.messages import Pixels
from clownfish.models.base import Inference
from clownfish.models.description import InputDescription, ModelDescription, write_description
from clownfish.models.load import build, load_model
from clownfish.training.export import export

CLASSES = ("bow", "clap", "wave")


class Plain(nn.Module):
    """A user's network: one convolution."""

    def __init__(self, classes: int, channels: int = 4) -> None:
        super().__init__()
        self.conv = nn.Conv3d(3, channels, 3)
        self.fc = nn.Linear(channels, classes)

    @torch.jit.export
    def embed(self, x: Tensor) -> Tensor:
        return self.conv(x).relu().mean(dim=(2, 3, 4))

    @torch.jit.export
    def head(self, embedding: Tensor) -> Tensor:
        return self.fc(embedding)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.embed(x))


def no_network(classes: int) -> object:
    return nn.Linear(3, classes)


class OwnModel:
    """A user's whole model: the brighter the window, the surer of the last class."""

    classes = CLASSES
    name = "own"
    window_size = 4

    def infer(self, windows: Sequence[Sequence[Pixels]]) -> Inference:
        bright = np.array([np.mean(window) / 255 for window in windows], np.float32)
        p = np.stack([(1 - bright) / 2, (1 - bright) / 2, bright], axis=1)
        return Inference(p=p, feature=p)


def described(architecture: str, **changes: object) -> ModelDescription:
    fields: dict[str, object] = {
        "name": "foreign",
        "architecture": architecture,
        "options": {},
        "classes": CLASSES,
        "input": InputDescription(width=16, height=12, window_size=4, mean=(110, 100, 90), std=(60, 61, 62)),
        "feature": "logits",
        "temperature": 1.0,
    }
    return ModelDescription.model_validate(fields | changes)


def window() -> list[Pixels]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (12, 16, 3), np.uint8) for _ in range(4)]


def program(path: Path, network: nn.Module, make: Callable[..., torch.jit.ScriptModule]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        extra = (torch.zeros(1, 3, 4, 12, 16),) if make is torch.jit.trace else ()
        torch.jit.save(make(network.eval(), *extra), str(path))


def answers(network: nn.Module, description: ModelDescription) -> np.ndarray:
    shape = description.input
    x = (torch.from_numpy(np.stack(window())).float() - torch.tensor(shape.mean)) / torch.tensor(shape.std)
    with torch.inference_mode():
        return torch.softmax(network.eval()(x.permute(3, 0, 1, 2)[None]), dim=1).numpy()


def test_a_users_network_enters_by_module_and_factory(tmp_path: Path) -> None:
    description = described("tests.test_models_foreign:Plain", options={"channels": 5})
    network = build(description)
    export(tmp_path / "m", network, description)
    model = load_model(str(tmp_path / "m.safetensors"), device="cpu")
    np.testing.assert_allclose(model.infer([window()]).p, answers(network, description), atol=1e-3)  # saved as fp16


@pytest.mark.parametrize(
    ("architecture", "error", "complaint"),
    [
        (
            "tests.test_models_foreign:no_network",
            ModelError,
            r"gives a Linear without 'embed'; expected a torch module",
        ),
        ("tests.test_models_foreign:Inference", ModelError, r"does not take options"),
        ("tests.test_models_foreign:nothing", ConfigError, r"cannot be loaded from tests.test_models_foreign:nothing"),
        ("nowhere:Net", ConfigError, r"cannot be loaded from nowhere:Net: No module named 'nowhere'"),
    ],
)
def test_what_is_no_network_is_refused(architecture: str, error: type[Exception], complaint: str) -> None:
    with pytest.raises(error, match=complaint):
        build(described(architecture))


@pytest.mark.parametrize("make", [torch.jit.script, torch.jit.trace], ids=["scripted", "traced"])
def test_a_torchscript_program_is_a_model(tmp_path: Path, make: Callable[..., torch.jit.ScriptModule]) -> None:
    network = Plain(3)
    program(tmp_path / "m.pt", network, make)
    write_description(tmp_path / "m.json", described("torchscript"))
    for name in ("m.pt", "m.json", "m"):
        answer = load_model(str(tmp_path / name), device="cpu").infer([window()])
        np.testing.assert_allclose(answer.p, answers(network, described("torchscript")), atol=1e-5)
        assert answer.feature.shape == (1, 3)


def test_a_program_that_exports_its_parts_gives_its_embedding(tmp_path: Path) -> None:
    description = described("torchscript", feature="embedding")
    write_description(tmp_path / "m.json", description)
    program(tmp_path / "m.pt", Plain(3), torch.jit.script)
    assert load_model(str(tmp_path / "m.pt"), device="cpu").infer([window()]).feature.shape == (1, 4)
    program(tmp_path / "m.pt", nn.Sequential(Plain(3)), torch.jit.script)
    with pytest.raises(ModelError, match=r"m.pt: feature is 'embedding', but the program exports no `embed`"):
        load_model(str(tmp_path / "m.pt"), device="cpu")


def test_a_program_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    write_description(tmp_path / "m.json", described("torchscript"))
    with pytest.raises(ModelError, match=r"m.pt: no such file"):
        load_model(str(path), device="cpu")
    program(path, Plain(2), torch.jit.script)
    with pytest.raises(ModelError, match=r"answers 2 classes, its description names 3"):
        load_model(str(path), device="cpu")
    program(path, nn.Conv3d(4, 2, 1), torch.jit.script)
    with pytest.raises(ModelError, match=r"'foreign' cannot take an input of shape \(1, 3, 4, 12, 16\): .* 4 channels"):
        load_model(str(path), device="cpu")
    program(path, nn.Identity(), torch.jit.script)
    with pytest.raises(ModelError, match=r"'foreign' answers \(1, 3, 4, 12, 16\), expected \(windows, classes\)"):
        load_model(str(path), device="cpu")
    torch.save({"a": torch.zeros(3)}, path)
    with pytest.raises(ModelError, match=r"m.pt: is no whole TorchScript program \(.*constants.pkl"):
        load_model(str(path), device="cpu")
    path.write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(ModelError, match=r"m.pt: is no whole TorchScript program"):
        load_model(str(path), device="cpu")
    write_description(tmp_path / "m.json", described("torchscript", options={"width": 2}))
    with pytest.raises(ModelError, match=r"takes no options; the description has {'width': 2}"):
        load_model(str(path), device="cpu")


def test_a_torchscript_program_is_no_checkpoint(tmp_path: Path) -> None:
    from clownfish.models.checkpoint import read_checkpoint

    program(tmp_path / "m.pth", Plain(3), torch.jit.script)
    with pytest.raises(ModelError, match=r"m.pth: is a TorchScript program, not a checkpoint"):
        read_checkpoint(tmp_path / "m.pth")


def test_a_model_of_ones_own_is_named_by_module_and_attribute() -> None:
    model = load_model("tests.test_models_foreign:OwnModel", device="cpu")
    assert model.infer([[np.full((2, 2, 3), 255, np.uint8)] * 4]).p.tolist() == [[0, 0, 1]]
