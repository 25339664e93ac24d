"""The public checkpoints' names, shapes and answers (`public_networks` has them from the published layer lists)."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from clownfish.errors import ModelError
from clownfish.models import ARCHITECTURES
from clownfish.models.weights import fill
from tests.public_networks import MobileNet, Public, ResNet, random_state

CASES: list[tuple[str, dict[str, Any], Public]] = [
    *(
        ("resnet3d", {"depth": depth, "shortcut": shortcut}, ResNet("resnet", depth, shortcut))
        for depth, shortcut in [(10, "B"), (18, "A"), (18, "B"), (34, "A"), (50, "A"), (50, "B")]
    ),
    ("resnext3d", {}, ResNet("resnext", 101, "B")),
    ("mobilenet3d", {}, MobileNet(1.0)),
    ("mobilenet3d", {"width": 0.45}, MobileNet(0.45)),
]
NAMES = [f"{name}-{'-'.join(map(str, options.values())) or 'default'}" for name, options, _ in CASES]


@pytest.mark.parametrize(("architecture", "options", "public"), CASES, ids=NAMES)
def test_a_public_checkpoint_loads_and_answers_as_its_own_code_does(
    architecture: str, options: dict[str, Any], public: Public
) -> None:
    torch.set_num_threads(1)
    state = random_state(public, 7)
    with torch.device("meta"):
        network = ARCHITECTURES.get(architecture)(classes=7, **options)
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    assert shapes == {name: tuple(tensor.shape) for name, tensor in state.items()}
    network = network.to_empty(device="cpu").eval()
    fill(network, state, "a checkpoint", architecture)
    x = torch.randn(2, 3, 17, 35, 35, generator=torch.Generator().manual_seed(1))  # odd sizes: shortcuts must agree
    x[1] = 0.3 * x[1] + torch.linspace(-2, 2, 35)
    with torch.inference_mode():
        logits, theirs = network(x), public.logits(state, x)
    assert theirs.std(dim=0).mean() > 1e-3  # it does depend on what it sees
    torch.testing.assert_close(logits, theirs, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("architecture", "options", "classes", "millions"),
    [
        ("resnet3d", {"depth": 10, "shortcut": "B"}, 400, 14.605),
        ("resnet3d", {"depth": 18, "shortcut": "A"}, 400, 33.235),
        ("resnet3d", {"depth": 34, "shortcut": "A"}, 400, 63.545),
        ("resnet3d", {"depth": 50, "shortcut": "B"}, 400, 47.019),
        ("resnet3d", {"depth": 101, "shortcut": "B"}, 400, 86.065),
        ("resnext3d", {}, 400, 48.341),
        ("resnext3d", {}, 101, 47.728),
        ("mobilenet3d", {}, 400, 3.708),
        ("mobilenet3d", {}, 600, 3.913),
        ("mobilenet3d", {"width": 0.5}, 600, 1.172),
    ],
)
def test_the_networks_are_as_large_as_published(
    architecture: str, options: dict[str, Any], classes: int, millions: float
) -> None:
    with torch.device("meta"):
        network = ARCHITECTURES.get(architecture)(classes=classes, **options)
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.001)


@pytest.mark.parametrize(
    ("architecture", "options", "complaint"),
    [
        ("resnet3d", {"depth": 20}, r"depth is 20, shortcut 'B'; there are \[10, 18, 34, 50, 101\]"),
        ("resnet3d", {"shortcut": "C"}, r"shortcut 'C'; .*'A', 'B'"),
        ("resnext3d", {"depth": 18}, r"depth is 18, .*\[50, 101\]"),
        ("resnext3d", {"width": 0.3}, r"width is 0.3; it must be a multiple of 0.25"),
    ],
)
def test_a_network_that_there_is_not_is_refused(architecture: str, options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        ARCHITECTURES.get(architecture)(classes=2, **options)


def test_a_checkpoint_without_batch_norms_counters_loads() -> None:
    """As those saved before torch 0.4.1, which the CVPR 2018 ones are."""
    state = random_state(MobileNet(0.25), 3)
    network = ARCHITECTURES.get("mobilenet3d")(classes=3, width=0.25)
    old = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    fill(network, old, "an old checkpoint", "mobilenet3d")
    torch.testing.assert_close(network.state_dict()["features.13.bn2.bias"], state["features.13.bn2.bias"])
    del old["features.13.bn2.running_mean"]
    with pytest.raises(ModelError, match=r"an old checkpoint: has no 'features.13.bn2.running_mean'"):
        fill(network, old, "an old checkpoint", "mobilenet3d")
