"""Early discard (§VI-G) on the live graph, as plug-ins: a binary model on the edge chooses, the cloud answers.

`model_name(pair)` names the local model: the pair's early-discard model, which answers in the pair's own classes, or
the router would refuse it. What it thinks of a window, p of `send`, is its feature; `SendScore` hands that on in the
place of ρ, and `SendAbove` sends the windows where it is high enough. Until the cloud has answered for a window that
was sent, nothing is known of it but that it was not discarded: its local answer means nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clownfish.errors import ConfigError
from clownfish.filters.base import Verdict
from clownfish.messages import Pixels
from clownfish.models.base import Inference
from clownfish.models.description import read_description
from clownfish.pair import EarlyDiscard, read_discard, read_pair
from clownfish.similarity.base import Inferred
from clownfish.zoo import read_classes

_PREFIX = "pair_"


def early_discard_of(pair: str) -> EarlyDiscard:
    """The pair's early-discard model. Raises ConfigError where it has none."""
    found = read_discard(pair)
    if found is None:
        raise ConfigError(f"pair {pair} has no [discard] model; train one: clownfish train discard, or choose another")
    return found


def threshold_of(pair: str) -> float:
    """From which p of `send` on a window is sent. Raises ConfigError where the model says none."""
    model = early_discard_of(pair).model
    threshold = read_description(model).threshold
    if threshold is None:
        raise ConfigError(f"{model} has no threshold in its description; train it with: clownfish train discard")
    return threshold


def model_name(pair: str) -> str:
    """`module:attribute` for [local] model. A plug-in's name is all that reaches a service, so the pair is in it."""
    named = str(Path(pair).absolute()) if pair.endswith(".toml") else pair
    return f"{__name__}:{_PREFIX}{named.encode().hex()}"


class Factory:
    """What that attribute is: knows the classes, and makes the model when called."""

    def __init__(self, pair: str) -> None:
        self.pair = pair
        self.classes = read_classes(read_pair(pair)["local"]["model"])

    def __call__(self) -> DiscardModel:
        return DiscardModel(self.pair, self.classes)


class DiscardModel:
    """A `WindowModel`: p of `send` is its feature; its answer is the background as far as it would discard."""

    def __init__(self, pair: str, classes: tuple[str, ...]) -> None:
        from clownfish.models.load import load_model  # torch

        discard = early_discard_of(pair)
        self._model = load_model(discard.model)
        self._send = self._model.classes.index("send")
        self.name, self.classes, self.window_size = self._model.name, classes, self._model.window_size
        worth = np.isin(classes, discard.sends(classes))
        if worth.all() or not worth.any():
            raise ConfigError(f"pair {pair}: [discard] must find some classes worth sending, and not all of {classes}")
        self._sent, self._kept = worth / worth.sum(), ~worth / (~worth).sum()

    def infer(self, windows: Sequence[Sequence[Pixels]]) -> Inference:
        """See `WindowModel.infer`."""
        send = self._model.infer(windows).p[:, self._send : self._send + 1].astype(np.float64)
        p = send * self._sent + (1 - send) * self._kept
        return Inference(p=p.astype(np.float32), feature=send.astype(np.float32))


class SendScore:
    """A `Similarity` that says how much a window is worth sending, whatever came before it."""

    def rho(self, previous: Inferred, current: Inferred) -> float:
        return float(np.clip(current.feature[0], 0.0, 1.0))


class SendAbove:
    """A `FilterPolicy`: sends where the score reaches the threshold. The first window of a stream, which has no score,
    is sent."""

    def __init__(self, threshold: float) -> None:
        """Raises ConfigError unless 0 ≤ threshold ≤ 1."""
        if not 0 <= threshold <= 1:
            raise ConfigError(f"threshold is {threshold:g}; expected 0 to 1")
        self.threshold = threshold

    def on_window(self, t: int) -> Verdict:
        return Verdict.WAIT

    def on_rho(self, t: int, rho: float | None) -> bool:
        return rho is None or rho >= self.threshold


def __getattr__(name: str) -> Any:
    """`pair_…`, see `model_name`."""
    if not name.startswith(_PREFIX):
        raise AttributeError(f"module {__name__} has no attribute {name!r}")
    return Factory(bytes.fromhex(name.removeprefix(_PREFIX)).decode())
