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


SHARED = ("local_scale", "remote_scale", "leave_shared")
"""Parameters of `HiddenModule` that all classes share."""


class HiddenModule(nn.Module):
    """The hidden Markov chain of `fusions.hidden`.

    Parameters are how far it has come from where it began, so that weight decay holds it there: each model's answer as
    evidence for what it says, and what follows as often as it is. `tied`: four numbers are learnt alone, the same for
    all classes: what each model's answer weighs, and how ρ tells that a context was left.
    """

    def __init__(self, classes: int, share: Tensor | None = None, tied: bool = False) -> None:
        """`share`: how often each class is, (classes,); without it, all are as often."""
        super().__init__()
        self.local_mix, self.local_bias = _zeros(classes, classes), _zeros(classes)
        self.remote_mix, self.remote_bias = _zeros(classes, classes), _zeros(classes)
        self.slope_change, self.leave_change = _zeros(1), _zeros(classes)
        self.next_change = _zeros(classes, classes)
        # windows share three quarters of their frames, so a local answer is begun with as a quarter of evidence
        self.local_scale, self.remote_scale = nn.Parameter(torch.tensor([0.25])), nn.Parameter(torch.ones(1))
        self.leave_shared = nn.Parameter(torch.tensor([-1.5]))
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(name == "slope_change" or (name in SHARED) == tied)
        share = torch.full((classes,), 1 / classes) if share is None else share
        self.register_buffer("log_share", share.log())
        self.register_buffer("one", torch.eye(classes), persistent=False)

    def tensors(self) -> dict[str, Tensor]:
        """As `fusions.hidden` reads them."""
        return {
            "local.weight": self.get_buffer("one") * self.local_scale + self.local_mix,
            "local.bias": self.local_bias,
            "remote.weight": self.get_buffer("one") * self.remote_scale + self.remote_mix,
            "remote.bias": self.remote_bias,
            "leave.slope": self.slope_change - 0.7,
            "leave.bias": self.leave_change + self.leave_shared,
            "next": self.next,
        }

    @property
    def next(self) -> Tensor:
        """(classes, classes): what follows a context that was left."""
        logits = self.get_buffer("log_share") + self.next_change
        return torch.softmax(logits.masked_fill(self.get_buffer("one") > 0, -torch.inf), dim=1)

    def evidence(self, seen: Seen) -> tuple[Tensor, Tensor]:
        """(of the local answers alone, of all that is known), log-likelihoods (windows, streams, classes)."""
        of = self.tensors()
        local = (seen.log_local @ of["local.weight"] + of["local.bias"]) * seen.inferred[..., None]
        return local, local + (seen.log_remote @ of["remote.weight"] + of["remote.bias"]) * seen.sent[..., None]

    def leave(self, seen: Seen) -> Tensor:
        """(windows, streams, classes): probability that each context was left."""
        slope, bias = self.slope_change - 0.7, self.leave_change + self.leave_shared
        return torch.sigmoid(slope * seen.logit_rho[..., None] + bias)

    def messages(self, evidence: Tensor, leave: Tensor, ahead: int) -> Tensor:
        """(windows − ahead, streams, classes): what the `ahead` windows that follow tell of each, summing to 1."""
        count = len(evidence) - ahead
        message = torch.full_like(evidence[:count], 1 / evidence.shape[-1])
        for k in range(ahead, 0, -1):
            later = slice(k, k + count)
            stayed = torch.softmax(evidence[later], -1) * message
            message = stayed + leave[later] * (stayed @ self.next.T - stayed)
            message = message / message.sum(-1, keepdim=True)
        return message


class BayesianModule(nn.Module):
    """`fusions.bayesian`."""

    def __init__(self, classes: int, share: Tensor | None = None, tied: bool = False) -> None:
        super().__init__()
        self.hidden = HiddenModule(classes, share, tied)
        self.prior_change = _zeros(classes).requires_grad_(not tied)

    @property
    def prior(self) -> Tensor:
        """(classes,): what a stream begins with."""
        return torch.softmax(self.hidden.get_buffer("log_share") + self.prior_change, 0)

    def tensors(self) -> dict[str, Tensor]:
        """As `fusions.bayesian` reads them."""
        return {**self.hidden.tensors(), "prior": self.prior}

    def forward(self, seen: Seen, at: Tensor, lag: int, ahead: int) -> Said:
        local, evidence = self.hidden.evidence(seen)
        leave, follows, prior = self.hidden.leave(seen), self.hidden.next, self.prior

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

        closing = known[: windows - ahead] * self.hidden.messages(evidence, leave, ahead)
        closing = closing / closing.sum(-1, keepdim=True)
        return Said((known + 1e-12).log(), (live + 1e-12).log(), (closing + 1e-12).log())


class RecurrentModule(nn.Module):
    """`fusions.recurrent`, with layers for `heads` offsets."""

    def __init__(self, classes: int, units: int, heads: int, share: Tensor | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        self.cell = nn.GRU(2 * classes + 2, units)
        self.now = nn.Linear(units, classes)
        self.later_weight = nn.Parameter(torch.empty(heads, classes, units).uniform_(-1, 1) / units**0.5)
        self.later_bias = nn.Parameter(torch.zeros(heads, classes))
        self.weigh = nn.Parameter(torch.full((3,), 0.5))
        self.hidden = HiddenModule(classes, share)
        self.dropout = nn.Dropout(dropout)

    def tensors(self) -> dict[str, Tensor]:
        """As `fusions.recurrent` reads them."""
        cell = {f"cell.{part}.{of}": getattr(self.cell, f"{part}_{of}_l0") for part in ("weight", "bias") for of in _OF}
        return {
            **cell,
            "now.weight": self.now.weight,
            "now.bias": self.now.bias,
            "later.weight": self.later_weight,
            "later.bias": self.later_bias,
            "weigh": self.weigh,
            **self.hidden.tensors(),
        }

    def forward(self, seen: Seen, at: Tensor, lag: int, ahead: int) -> Said:
        sent, inferred = seen.sent[..., None], seen.inferred[..., None]
        local = (seen.log_local + SHIFT) / SCALE * inferred
        rho = seen.logit_rho[..., None] / SCALE
        remote = (seen.log_remote + SHIFT) / SCALE * sent
        states, _ = self.cell(torch.cat([local, remote, rho, sent], -1))
        said_local = self.weigh[0] * seen.log_local * inferred
        said = said_local + self.weigh[1] * seen.log_remote * sent
        known = self.now(self.dropout(states)) + said

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
                _, last = self.cell(alone[t].flatten(1, 2), padded[begun[which] + 1].flatten(0, 1)[None])
                live[which] = self.now(self.dropout(last[0])).view(-1, *known.shape[1:]) + said_local[at[which]]

        count, offset = len(states) - ahead, min(ahead, len(self.later_weight))
        later = self.dropout(states[offset : offset + count])
        closing = later @ self.later_weight[offset - 1].T + self.later_bias[offset - 1] + said[:count]
        _, evidence = self.hidden.evidence(seen)
        message = self.hidden.messages(evidence, self.hidden.leave(seen), ahead)
        closing = closing + self.weigh[2] * (message + 1e-12).log()
        return Said(*(F.log_softmax(x, -1) for x in (known, live, closing)))


_OF = ("ih", "hh")


def _zeros(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(shape))
