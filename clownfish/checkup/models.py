"""The models: whole files, of the right window, and classes that are the same at the edge and in the cloud."""

from __future__ import annotations

import json
import os
from pathlib import Path

from clownfish.checkup.finding import Finding, fault, ok
from clownfish.classes import difference
from clownfish.errors import ClownfishError
from clownfish.models.description import (
    check_siminet,
    read_description,
    read_siminet_description,
    weights_path,
)
from clownfish.settings import Config
from clownfish.zoo import locate, read_classes
from clownfish.zoo.own import is_own

_ANOTHER = "name a model that is there (zoo:SET/MODEL, or a path with its .json beside it), or train it"


def models(config: Config) -> list[Finding]:
    """Of each model that runs here: whether it can be read. Then whether their classes are the same."""
    found: list[Finding] = []
    classes: dict[str, tuple[str, ...]] = {}
    for section, model in (("local", config.local), ("worker", config.worker)):
        if model is None:
            continue
        name = f"model [{section}]"
        try:
            classes[section] = read_classes(model.model)
            said = (
                "is your own"
                if is_own(model.model)
                else _read(model.model, config.window.size if config.streams else None)
            )
        except (ClownfishError, OSError, ValueError) as error:
            found.append(fault(name, str(error), _ANOTHER))
        else:
            found.append(ok(name, f"{model.model} {said}, {len(classes[section])} classes"))
    if config.local is not None and config.local.similarity.kind == "siminet" and "local" in classes:
        found.append(_siminet(config.local.model, str(config.local.similarity.options.get("weights", ""))))
    if len(classes) == 2 and config.uplink is not None:
        words = difference(classes["local"], classes["worker"])
        if words is None:
            found.append(ok("classes", "the same at the edge and in the cloud"))
        else:
            advice = "take two models of one pair: answers of unlike classes are never fused"
            found.append(fault("classes", f"[worker] model {words}, beside [local] model", advice))
    return found


def _read(name: str, size: int | None) -> str:
    """`size` of windows, where it is known. Raises ClownfishError, OSError or ValueError where it could not be used."""
    description = read_description(name)
    if size is not None and description.input.window_size != size:
        raise ValueError(f"{name} wants windows of {description.input.window_size} frames; [window] size is {size}")
    return _whole(weights_path(name, description))


def _whole(path: Path) -> str:
    """Whether the file is as long as its own header says; read without loading it."""
    size = path.stat().st_size
    if path.suffix == ".safetensors":
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 0 < length <= size - 8:
                raise ValueError(f"{path} is no whole safetensors file: it has {size} bytes")
            tensors = json.loads(file.read(length))
        end = 8 + length + max(each["data_offsets"][1] for key, each in tensors.items() if key != "__metadata__")
        if end != size:
            raise ValueError(f"{path} has {size} bytes; expected {end}: it is cut off or damaged, copy it again")
    elif not os.access(path, os.R_OK):
        raise PermissionError(f"{path} may not be read by this user")
    return f"is whole ({size / 1e6:.1f} MB)"


def _siminet(local: str, weights: str) -> Finding:
    weights = weights or "zoo:ucf9/siminet"
    name = "model [local] similarity"
    try:
        siminet = read_siminet_description(weights)
        if not is_own(local):
            check_siminet(siminet, read_description(local))
        return ok(name, f"{weights} {_whole(locate(weights).with_suffix('.safetensors'))}")
    except (ClownfishError, OSError, ValueError) as error:
        return fault(name, str(error), "name the SimiNet of this local model, or similarity = { kind = 'cosine' }")
