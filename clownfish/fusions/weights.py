"""What a fusion method has learnt: a description (.json) beside its numbers (.safetensors), both by `clownfish train
fuser`.

The description names the method, the classes in the order of p, and the two models whose answers it learnt from: it
says little of others. It is read with the standard library, as the edge's fusion process does without pydantic.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from clownfish.classes import difference
from clownfish.errors import ModelError
from clownfish.fusions.chain import Float64
from clownfish.zoo import locate

FORMAT = "clownfish-fuser/1"


@dataclass(frozen=True, slots=True)
class Learnt:
    """A fusion method's numbers and what they belong to."""

    where: str
    method: str
    classes: tuple[str, ...]
    lookahead: int
    """How many windows after one its closing revision looks at."""
    tensors: Mapping[str, Float64]

    def shaped(self, **shapes: tuple[int, ...]) -> list[Float64]:
        """The tensors of these names (`a_b` for "a.b"), in this order. Raises ModelError where one is of another shape,
        missing, or left over."""
        wanted = {name.replace("_", "."): shape for name, shape in shapes.items()}
        found = {name: tensor.shape for name, tensor in self.tensors.items()}
        if found != wanted:
            raise ModelError(
                f"{self.where}: holds {_said(found)}; a {self.method} fuser of {len(self.classes)} classes holds "
                f"{_said(wanted)}: train it again"
            )
        return [self.tensors[name] for name in wanted]


def _said(shapes: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {'×'.join(map(str, shape))}" for name, shape in sorted(shapes.items()))


def learnt(weights: str, method: str, classes: Sequence[str]) -> Learnt:
    """What `weights` (a path or `zoo:SET/NAME`) holds for that method.

    Raises ModelError where a file is missing or damaged, and where it is of another method or of other classes; no
    `classes` are not compared.
    """
    found = _read(weights)
    if found.method != method:
        raise ModelError(
            f"{found.where}: was learnt for method {found.method!r}, and the configuration says {method!r}; change one"
        )
    clause = difference(found.classes, classes) if classes else None
    if clause is not None:
        raise ModelError(f"the local model {clause}, compared with the fuser {found.where}: use one learnt for it")
    return found


@lru_cache(maxsize=16)
def _read(weights: str) -> Learnt:
    """One reading serves every stream."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = locate(weights).with_suffix(".json")
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        if tree["format"] != FORMAT:
            raise ModelError(f"{path}: format is {tree['format']!r}, expected {FORMAT!r}")
        method, classes, lookahead = str(tree["method"]), tuple(map(str, tree["classes"])), int(tree["lookahead"])
        if lookahead < 1:
            raise ModelError(f"{path}: lookahead is {lookahead}; expected 1 window or more")
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); `clownfish train fuser` writes it") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: is no fuser's description ({error!r}); `clownfish train fuser` writes it") from error
    path = path.with_suffix(".safetensors")
    try:
        tensors = {name: tensor.astype(np.float64) for name, tensor in load_file(path).items()}
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: is not a whole safetensors file ({error})") from error
    wrong = sorted(name for name, tensor in tensors.items() if not np.isfinite(tensor).all())
    if wrong:
        raise ModelError(f"{path}: {', '.join(wrong)} holds numbers that are not finite; train it again")
    return Learnt(str(path), method, classes, lookahead, tensors)
