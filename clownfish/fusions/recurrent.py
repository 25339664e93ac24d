"""A small recurrent network in place of exponential smoothing, in the spirit of Dedelayed (arXiv:2510.13714).

One gated recurrent unit (Cho et al., 2014) sees what fusion sees of a window: log p_l, ρ, and log p_r where the cloud
has answered. Its state stands in for p_f and β: how old the cloud's last answer is, and what has become of it, it has
learnt to keep there. States are kept for each window of the horizon, so that a late result rewinds to its own and
replays.

The closing revision looks ahead. One linear layer for each offset reads off the state that many windows later what this
window was; and a hidden Markov chain (`fusions.hidden`), learnt with it, says how likely each context makes all that
was said of the `lookahead` windows that follow. Both are added. A remote result that comes later than horizon −
lookahead windows after its own can come too late for the closing of windows before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Literal

import numpy as np

from clownfish.errors import ModelError
from clownfish.fusions.chain import Chain, Float64, Link
from clownfish.fusions.hidden import Hidden, likelihood, shapes
from clownfish.fusions.vectors import logit, logs, softmax
from clownfish.fusions.weights import Learnt, learnt

SHIFT, SCALE = 3.0, 3.0
"""Logarithms of probabilities enter as (log p + SHIFT) / SCALE, and logit ρ as it is over SCALE."""


class Recurrent(Chain):
    """`weights` names what was learnt. `remote_weight` and `anchor_beta` are the paper's method's and not heeded.

    `alpha` of a result is the mean of the update gate, the share of its state that the network kept; `beta` begins at
    max p_f where a remote result is known and is multiplied by α from window to window, as in Alg. 1.
    """

    def __init__(
        self,
        theta: float = 0.5,
        remote_weight: float = 2 / 3,
        horizon: int = 64,
        *,
        weights: str,
        stream: str = "",
        epoch: int = 0,
        classes: Sequence[str] = (),
        anchor_beta: Literal["max", "one"] = "max",
    ) -> None:
        """Raises ModelError where the weights are missing, damaged, or of other classes."""
        super().__init__(theta, horizon, stream=stream, epoch=epoch, classes=classes)
        found = learnt(weights, "recurrent", classes)
        k, units, heads = len(found.classes), _size(found, "now.weight", 1), _size(found, "later.weight", 0)
        (
            self._from_input,
            self._from_input_bias,
            self._from_state,
            self._from_state_bias,
            self._now,
            self._now_bias,
            self._later,
            self._later_bias,
            weigh,
            *hidden,
        ) = found.shaped(
            cell_weight_ih=(3 * units, 2 * k + 2),
            cell_bias_ih=(3 * units,),
            cell_weight_hh=(3 * units, units),
            cell_bias_hh=(3 * units,),
            now_weight=(k, units),
            now_bias=(k,),
            later_weight=(heads, k, units),
            later_bias=(heads, k),
            weigh=(3,),
            **shapes(k),
        )
        self._hidden = Hidden(hidden)
        self._weigh_local, self._weigh_remote, self._weigh_message = map(float, weigh)
        self._units = units
        self._lookahead = found.lookahead
        self._nothing = np.zeros(k)
        self._begin = np.zeros(units)
        self._size = k

    def _compute(self, link: Link, previous: Link | None) -> None:
        n = self._units
        state = self._begin if previous is None else previous.memory[:n]
        x = np.concatenate(
            [
                self._nothing if link.p_local is None else (logs(link.p_local) + SHIFT) / SCALE,
                self._nothing if link.p_remote is None else (logs(link.p_remote) + SHIFT) / SCALE,
                (logit(link.rho) / SCALE, 0.0 if link.p_remote is None else 1.0),
            ]
        )
        of_x = self._from_input @ x + self._from_input_bias
        of_state = self._from_state @ state + self._from_state_bias
        gates = 1 / (1 + np.exp(-(of_x[: 2 * n] + of_state[: 2 * n])))
        reset, update = gates[:n], gates[n:]
        new = np.tanh(of_x[2 * n :] + reset * of_state[2 * n :])
        state = new + update * (state - new)
        link.p_fused = softmax(self._now @ state + self._now_bias + self._said(link))
        link.memory = np.concatenate([state, likelihood(self._hidden.evidence(link)), self._hidden.leave(link.rho)])
        link.alpha = 0.0 if previous is None else float(update.mean())
        link.beta = min(1.0, float(link.p_fused.max()))
        if link.p_remote is None:
            link.beta = 0.0 if previous is None else previous.beta * link.alpha

    def _closing(self, link: Link, following: Iterator[Link]) -> Float64:
        n = self._units
        later = [each.memory for each in islice(following, self._lookahead)]
        if not later:
            return link.p_fused
        offset = min(len(later), len(self._later)) - 1
        read = self._later[offset] @ later[offset][:n] + self._later_bias[offset]
        message = self._hidden.message([memory[n:] for memory in later])
        return softmax(read + self._said(link) + self._weigh_message * np.log(message + 1e-12))

    def _said(self, link: Link) -> Float64:
        """What both models said of the window itself, weighed."""
        said = self._nothing
        if link.p_local is not None:
            said = said + self._weigh_local * logs(link.p_local)
        if link.p_remote is not None:
            said = said + self._weigh_remote * logs(link.p_remote)
        return said


def _size(found: Learnt, name: str, axis: int) -> int:
    """Of a tensor, along one axis; what else is wrong with its shape is found later."""
    shape = found.tensors[name].shape if name in found.tensors else ()
    if len(shape) <= axis:
        raise ModelError(f"{found.where}: holds no whole {name}; train it again")
    return int(shape[axis])
