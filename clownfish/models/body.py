"""Fine-tuning begins from another model's weights, all but the last layer, which is of other classes."""

from __future__ import annotations

from pathlib import Path

from clownfish.models.adapter import Network
from clownfish.models.checkpoint import read_checkpoint
from clownfish.models.weights import fill, last_layer, read_safetensors
from clownfish.zoo import PREFIX, locate


def load_body(network: Network, source: str | Path) -> None:
    """Fill `network` from `source`, all but its last layer, which stays as it is: for fine-tuning to other classes.

    `source`: a checkpoint (see `models.checkpoint`), a .safetensors file or `zoo:SET/MODEL`; its number of classes does
    not matter. Raises ModelError, and changes nothing, where the rest does not match wholly, naming the first weight
    that differs, what was read and what was expected.
    """
    name = str(source)
    needs = f"{type(network).__name__} as configured"
    path = locate(name)
    if name.startswith(PREFIX) or path.suffix == ".safetensors":
        weights = read_safetensors(path)
    else:
        checkpoint = read_checkpoint(path)
        weights = checkpoint.weights
        name += f" ({checkpoint.arch})" if checkpoint.arch else ""
    fill(network, weights, name, needs, without=(last_layer(network),))
