"""Learnt fusion methods for training. What runs on the edge box are their numpy twins, `fusions.bayesian` and
`fusions.recurrent`; a test holds both to the same answers.

Both go over several streams at once, windows first: the states that a chain has once every remote result has come, the
live answers that it gave `lag` windows behind them, and closing revisions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clownfish.fusions.recurrent import SCALE, SHIFT
from clownfish.fusions.vectors import FLOOR, RHO_EDGE, UNDEFINED_RHO


@dataclass(frozen=True, slots=True)
class Seen:
    """What fusion sees of `streams` streams of `windows` windows each; shapes (windows, streams[, classes])."""

    log_local: Tensor
    """log p_l."""
    log_remote: Tensor
    """log p_r of every window, also of those not sent."""
    logit_rho: Tensor
    sent: Tensor
    """1 where the remote result is known, else 0."""
    inferred: Tensor
    """1 where the local result is known, else 0: then the remote one is."""

    @classmethod
    def of(cls, p_local: Tensor, p_remote: Tensor, rho: Tensor, sent: Tensor, inferred: Tensor | None = None) -> Seen:
        """From what the models said; NaN where ρ is undefined."""
        rho = torch.nan_to_num(rho, nan=UNDEFINED_RHO).clamp(RHO_EDGE, 1 - RHO_EDGE)
        return cls(
            p_local.clamp_min(FLOOR).log(),
            p_remote.clamp_min(FLOOR).log(),
            torch.logit(rho),
            sent,
            torch.ones_like(sent) if inferred is None else inferred,
        )


class Said(NamedTuple):
    """Log-probabilities (…, classes)."""

    known: Tensor
    """(windows, streams, classes): each window once every remote result up to it has come."""
    live: Tensor
    """(len(at), streams, classes): the answers at the windows `at`, when results come `lag` windows late."""
    closing: Tensor
    """(windows − ahead, streams, classes): looking `ahead` windows further."""


def begun_at(at: Tensor, lag: int) -> Tensor:
    """The last window whose remote result may be known when windows `at` are answered. Before the first: −1."""
    return (at - lag - 1).clamp_min(-1)


class BayesianModule(nn.Module):
    """The hidden Markov chain of `fusions.bayesian`.

    Parameters are how far it has come from where it began, so that weight decay holds it there: each model's answer as
    evidence for what it says, and what follows as often as it is.
    """

    def __init__(self, classes: int, share: Tensor | None = None) -> None:
        """`share`: how often each class is, (classes,); without it, all are as often."""
        super().__init__()
        self.local_mix, self.local_bias = _zeros(classes, classes), _zeros(classes)
        self.remote_mix, self.remote_bias = _zeros(classes, classes), _zeros(classes)
        self.slope_change, self.leave_change = _zeros(1), _zeros(classes)
        self.next_change, self.prior_change = _zeros(classes, classes), _zeros(classes)
        share = torch.full((classes,), 1 / classes) if share is None else share
        self.register_buffer("log_share", share.log())
        self.register_buffer("one", torch.eye(classes), persistent=False)

    @property
    def local_weight(self) -> Tensor:
        """Windows share three quarters of their frames, so a local answer is begun with as a quarter of evidence."""
        return self.get_buffer("one") / 4 + self.local_mix

    @property
    def remote_weight(self) -> Tensor:
        return self.get_buffer("one") + self.remote_mix

    @property
    def next(self) -> Tensor:
        """(classes, classes): what follows a context that was left."""
        logits = self.get_buffer("log_share") + self.next_change
        return torch.softmax(logits.masked_fill(self.get_buffer("one") > 0, -torch.inf), dim=1)

    @property
    def prior(self) -> Tensor:
        """(classes,): what a stream begins with."""
        return torch.softmax(self.get_buffer("log_share") + self.prior_change, 0)

    def leave(self, logit_rho: Tensor) -> Tensor:
        """(…, classes): probability that each context is left."""
        return torch.sigmoid(self.leave_slope * logit_rho[..., None] + self.leave_bias)

    @property
    def leave_slope(self) -> Tensor:
        return self.slope_change - 0.7

    @property
    def leave_bias(self) -> Tensor:
        return self.leave_change - 1.5

    def tensors(self) -> dict[str, Tensor]:
        """As `fusions.bayesian` reads them."""
        return {
            "local.weight": self.local_weight,
            "local.bias": self.local_bias,
            "remote.weight": self.remote_weight,
            "remote.bias": self.remote_bias,
            "leave.slope": self.leave_slope,
            "leave.bias": self.leave_bias,
            "next": self.next,
            "prior": self.prior,
        }

    def forward(self, seen: Seen, at: Tensor, lag: int, ahead: int) -> Said:
        local = (seen.log_local @ self.local_weight + self.local_bias) * seen.inferred[..., None]
        evidence = local + (seen.log_remote @ self.remote_weight + self.remote_bias) * seen.sent[..., None]
        leave, follows, prior = self.leave(seen.logit_rho), self.next, self.prior

        def step(p: Tensor, leave: Tensor, evidence: Tensor) -> Tensor:
            left = p * leave
            return torch.softmax((p - left + left @ follows + 1e-12).log() + evidence, -1)

        windows = len(evidence)
        states = [torch.softmax((prior + 1e-12).log() + evidence[0], -1)]
        for t in range(1, windows):
            states.append(step(states[-1], leave[t], evidence[t]))
        known = torch.stack(states)

        begun = begun_at(at, lag)
        first = torch.softmax((prior + 1e-12).log() + local[0], -1)
        p = torch.where((begun >= 0)[:, None, None], known[begun.clamp_min(0)], first)
        for k in range(lag + 1):
            now = begun + 1 + k
            there = ((now >= 1) & (now <= at))[:, None, None]
            now = now.clamp(0, windows - 1)
            p = torch.where(there, step(p, leave[now], local[now]), p)
        live = known[at] if lag == 0 else p

        count = windows - ahead
        message = torch.ones_like(known[:count])
        for k in range(ahead, 0, -1):
            later = slice(k, k + count)
            message = torch.softmax(evidence[later], -1) * message
            message = message - leave[later] * message + leave[later] * (message @ follows.T)
            message = message / message.sum(-1, keepdim=True)
        closing = known[:count] * message
        closing = closing / closing.sum(-1, keepdim=True)
        return Said((known + 1e-12).log(), (live + 1e-12).log(), (closing + 1e-12).log())


class RecurrentModule(nn.Module):
    """The gated recurrent unit of `fusions.recurrent`."""

    def __init__(self, classes: int, units: int, lookahead: int) -> None:
        super().__init__()
        self.cell = nn.GRU(2 * classes + 2, units)
        self.now = nn.Linear(units, classes)
        self.later_weight = nn.Parameter(torch.empty(lookahead, classes, units).uniform_(-1, 1) / units**0.5)
        self.later_bias = nn.Parameter(torch.zeros(lookahead, classes))
        self.skip = nn.Parameter(torch.full((2,), 0.5))

    def tensors(self) -> dict[str, Tensor]:
        """As `fusions.recurrent` reads them."""
        cell = {f"cell.{part}.{of}": getattr(self.cell, f"{part}_{of}_l0") for part in ("weight", "bias") for of in _OF}
        return {
            **cell,
            "now.weight": self.now.weight,
            "now.bias": self.now.bias,
            "later.weight": self.later_weight,
            "later.bias": self.later_bias,
            "skip": self.skip,
        }

    def forward(self, seen: Seen, at: Tensor, lag: int, ahead: int) -> Said:
        sent, inferred = seen.sent[..., None], seen.inferred[..., None]
        local = (seen.log_local + SHIFT) / SCALE * inferred
        rho = seen.logit_rho[..., None] / SCALE
        remote = (seen.log_remote + SHIFT) / SCALE * sent
        states, _ = self.cell(torch.cat([local, remote, rho, sent], -1))
        said_local = self.skip[0] * seen.log_local * inferred
        said = said_local + self.skip[1] * seen.log_remote * sent
        known = self.now(states) + said

        if lag == 0:
            live = known[at]
        else:
            alone = torch.cat([local, torch.zeros_like(remote), rho, torch.zeros_like(sent)], -1)
            # Before a stream's first window there is no state; the first windows' replays are shorter.
            padded = torch.cat([torch.zeros_like(states[:1]), states])
            live = known.new_empty(len(at), *known.shape[1:])
            begun = begun_at(at, lag)
            for steps in sorted(set((at - begun).tolist())):
                which = (at - begun) == steps
                t = begun[which][None] + torch.arange(1, steps + 1)[:, None]
                x = alone[t].flatten(1, 2)
                _, last = self.cell(x, padded[begun[which] + 1].flatten(0, 1)[None])
                live[which] = self.now(last[0]).view(-1, *known.shape[1:]) + said_local[at[which]]
        weight, bias = self.later_weight[ahead - 1], self.later_bias[ahead - 1]
        closing = states[ahead:] @ weight.T + bias + said[: len(said) - ahead]
        return Said(*(F.log_softmax(x, -1) for x in (known, live, closing)))


_OF = ("ih", "hh")


def _zeros(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(shape))
