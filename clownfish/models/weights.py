"""Named weights out of files, and whether they fit a network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from clownfish.errors import ModelError

COUNTER = "num_batches_tracked"
"""Batch norm's counter, which torch before 0.4.1 did not save, and which no answer depends on."""


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Raises ModelError where the file is missing or not whole."""
    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise ModelError(
            f"{path}: no such file; train the model, or name another (a path, or zoo:SET/MODEL)"
        ) from error
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: is not a whole safetensors file ({error})") from error


def last_layer(network: nn.Module) -> str:
    """Name of the layer that makes logits, whose size is the number of classes: the last linear one. Raises ModelError
    where there is none."""
    linear: list[str] = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise ModelError(f"{type(network).__name__} has no linear layer, so no last one to replace")
    return linear[-1]


def fill(
    network: nn.Module, weights: Mapping[str, Tensor], source: str, needs: str, without: Iterable[str] = ()
) -> None:
    """Load `weights` into `network`, all but the layers `without`, which stay as they are.

    Raises ModelError, and changes nothing, where one is missing, foreign or of another shape: `source` says where they
    come from, `needs` what the network is called.
    """
    parts = tuple(f"{layer}." for layer in without)
    expected = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith(parts)}
    for name, tensor in expected.items():
        if name.endswith(COUNTER):
            continue
        if name not in weights:
            raise ModelError(f"{source}: has no {name!r}, which {needs} needs")
        read, shape = tuple(weights[name].shape), tuple(tensor.shape)
        if read != shape:
            raise ModelError(f"{source}: {name!r} has shape {read}, {needs} needs {shape}")
    foreign = sorted(name for name in weights if name not in expected and not name.startswith(parts))
    if foreign:
        raise ModelError(f"{source}: {foreign[0]!r} (and {len(foreign) - 1} more) is no part of {needs}")
    network.load_state_dict({name: weights[name] for name in expected if name in weights}, strict=False)
