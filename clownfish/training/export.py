"""Weights and their description as they ship: safetensors, convolutions and matrices in fp16, the rest in fp32."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save
from torch import nn

from clownfish.atomic import write_text, write_whole
from clownfish.models.description import ModelDescription, SimiNetDescription


def export(output: Path, network: nn.Module, description: ModelDescription | SimiNetDescription) -> None:
    """Write `output`.safetensors and `output`.json. Batch norm's statistics stay fp32: they are few and span
    decades."""
    weights = {
        name: tensor.detach().to(torch.float16 if tensor.ndim > 1 else tensor.dtype).contiguous()
        for name, tensor in network.state_dict().items()
    }
    write_whole(output.with_suffix(".safetensors"), lambda file: file.write(save(weights)))
    write_json(output.with_suffix(".json"), description)


def write_json(path: Path, description: ModelDescription | SimiNetDescription) -> None:
    """The description as JSON, whole or not at all."""
    write_text(path, json.dumps(description.model_dump(mode="json", exclude_none=True), indent=2) + "\n")
