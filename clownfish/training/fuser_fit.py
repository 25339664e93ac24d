"""Fitting a fuser: pieces of held-out streams, late remote results and patterns of sending drawn at random.

Every batch draws a lag, a pattern (the paper's policy at some n_w, or windows at random) and an offset to look ahead,
and is judged by three answers of each window: live, known (once all results have come) and closing.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from clownfish.errors import ModelError
from clownfish.fusions.vectors import FLOOR
from clownfish.models.fusers import BayesianModule, RecurrentModule
from clownfish.training.checkpoint import Checkpoint
from clownfish.training.fuser_config import FuserConfig
from clownfish.training.fuser_streams import Learned, Streams
from clownfish.training.logs import RunLog
from clownfish.training.progress import Say, track

Fuser = BayesianModule | RecurrentModule

_RATES = (0.03, 0.06, 0.12, 0.2, 0.35)
"""Shares of windows sent, where they are sent at random."""
_WARM_UP = 0.1
"""Of all batches, while the learning rate rises."""


def fit(config: FuserConfig, learned: Learned, say: Say) -> tuple[Fuser, dict[str, float]]:
    """(the fuser, validation scores) of the best epoch; a checkpoint after each, from which it goes on bit by bit.

    Raises ModelError where the loss is not finite.
    """
    torch.manual_seed(config.seed)
    module = built(config, learned)
    optimizer = torch.optim.AdamW(_groups(config, module), lr=0.0)
    folder = config.runs / config.name
    identity = {"classes": list(learned.classes), "units": config.units, "lookahead": config.lookahead}
    checkpoint = Checkpoint(folder, identity, config.model_dump(mode="json"))
    history: list[dict[str, float]] = []
    best: dict[str, Any] = {"scores": {"mean": -1.0}, "network": module.state_dict()}
    first = 0
    state = checkpoint.load(say)
    if state is not None:
        with checkpoint.restoring():
            module.load_state_dict(state["network"])
            optimizer.load_state_dict(state["optimizer"])
            first, history, best = state["epoch"], state["history"], state["best"]
    log = RunLog(folder)
    for epoch in range(first, config.fit.epochs):
        loss = _epoch(config, module, optimizer, learned.train, epoch, say)
        scores = judged(config, module, learned.validation)
        if scores["mean"] > best["scores"]["mean"]:
            best = {"scores": scores, "network": {k: v.clone() for k, v in module.state_dict().items()}}
        history.append({"epoch": epoch, "loss": loss, **scores})
        checkpoint.save(
            epoch + 1, network=module.state_dict(), optimizer=optimizer.state_dict(), history=history, best=best
        )
        log.write(history)
        said = ", ".join(f"{name} {100 * score:.1f}" for name, score in scores.items())
        say(f"epoch {epoch + 1}/{config.fit.epochs}: loss {loss:.3f}, validation {said} %")
    log.close()
    module.load_state_dict(best["network"])
    return module.eval(), dict(best["scores"])


def built(config: FuserConfig, learned: Learned) -> Fuser:
    """The module before it has learnt anything but how often each class is."""
    classes = len(learned.classes)
    count = torch.ones(classes)
    count.scatter_add_(0, learned.train.label.flatten(), learned.train.weight.flatten())
    share = count / count.sum()
    if config.method == "bayesian":
        return BayesianModule(classes, share, config.tied)
    return RecurrentModule(classes, config.units, min(config.heads, config.lookahead), share, config.fit.dropout)


def _groups(config: FuserConfig, module: Fuser) -> list[dict[str, Any]]:
    """Parameters with their learning rate (`peak`) and weight decay: the hidden chain's, and all others."""
    fit = config.fit
    named = {name: p for name, p in module.named_parameters() if p.requires_grad}
    chain = [name for name in named if name.startswith("hidden.") or name == "prior_change"]
    held = fit.hidden_weight_decay * (not config.tied)  # four numbers need not be held
    groups = [{"params": [named[name] for name in chain], "peak": fit.hidden_learning_rate, "weight_decay": held}]
    others = [p for name, p in named.items() if name not in chain]
    if others:
        groups.append({"params": others, "peak": fit.learning_rate, "weight_decay": fit.weight_decay})
    return groups


def _epoch(
    config: FuserConfig, module: Fuser, optimizer: torch.optim.Optimizer, train: Streams, epoch: int, say: Say
) -> float:
    """The mean loss. Random numbers depend on (seed, epoch) alone."""
    fit = config.fit
    rng = np.random.default_rng([config.seed, epoch])
    torch.manual_seed(config.seed * 100_003 + epoch)
    module.train()
    total = 0.0
    for n in track(say, range(fit.batches), fit.batches, f"epoch {epoch + 1}/{fit.epochs}"):
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * _rate((epoch * fit.batches + n) / (fit.epochs * fit.batches))
        loss = _loss(config, module, _piece(config, train, rng), rng)
        if not torch.isfinite(loss):
            raise ModelError(f"the fuser's loss is {loss.item()} in epoch {epoch + 1}: lower fit.learning_rate")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        total += loss.item()
    return total / fit.batches


def _rate(done: float) -> float:
    """Warm-up, then a cosine to 0; `done` is the share of batches that are behind."""
    return done / _WARM_UP if done < _WARM_UP else 0.5 * (1 + float(np.cos(np.pi * (done - _WARM_UP) / (1 - _WARM_UP))))


def _piece(config: FuserConfig, train: Streams, rng: np.random.Generator) -> Streams:
    """A batch of pieces, with a pattern of sending and some windows that local inference skipped."""
    fit = config.fit
    which = rng.integers(0, len(train.length), fit.batch)
    last = (train.length[torch.from_numpy(which)] - fit.windows).clamp_min(0).tolist()
    starts = [int(rng.integers(0, each + 1)) for each in last]
    sent = train.sent[int(rng.choice(fit.n_w))]
    windows = min(fit.windows, len(train.label))
    piece = train.cut(starts, which.tolist(), windows, sent)
    seen = piece.seen
    if rng.uniform() < fit.random_share:
        seen = replace(seen, sent=(torch.rand(seen.sent.shape) < float(rng.choice(_RATES))).float())
    skipped = (torch.rand(seen.sent.shape) < fit.gaps).float() * seen.sent
    local, remote = (_calibrated_otherwise(x, fit.jitter) for x in (seen.log_local, seen.log_remote))
    return replace(piece, seen=replace(seen, log_local=local, log_remote=remote, inferred=1 - skipped))


def _calibrated_otherwise(log_p: Tensor, jitter: float) -> Tensor:
    """(windows, pieces, classes), each piece at a temperature of its own."""
    if not jitter:
        return log_p
    scale = 1 + jitter * (2 * torch.rand(log_p.shape[1]) - 1)
    return torch.log_softmax(log_p * scale[:, None], -1).clamp_min(math.log(FLOOR))


def _loss(config: FuserConfig, module: Fuser, piece: Streams, rng: np.random.Generator) -> Tensor:
    fit = config.fit
    windows = len(piece.label)
    at = torch.from_numpy(
        np.sort(rng.choice(np.arange(fit.warm, windows), min(fit.answers, windows - fit.warm), False))
    )
    ahead = int(rng.integers(1, config.lookahead + 1)) if rng.uniform() < 0.5 else config.lookahead
    said = module(piece.seen, at, int(rng.integers(0, fit.max_lag + 1)), ahead)
    weight = piece.weight * piece.seen.inferred
    judged = slice(fit.warm, windows - ahead)
    return (
        _cross_entropy(said.live, piece.label[at], weight[at])
        + 0.5 * _cross_entropy(said.known[fit.warm :], piece.label[fit.warm :], weight[fit.warm :])
        + _cross_entropy(said.closing[judged], piece.label[judged], weight[judged])
    )


def _cross_entropy(log_p: Tensor, label: Tensor, weight: Tensor) -> Tensor:
    return -(log_p.gather(-1, label[..., None])[..., 0] * weight).sum() / weight.sum().clamp_min(1)


@torch.no_grad()
def judged(config: FuserConfig, module: Fuser, streams: Streams) -> dict[str, float]:
    """Shares of scored frames answered right: `live` by lag and `closing`, by n_w, and the mean of all."""
    module.eval()
    at = torch.arange(len(streams.label))
    scores: dict[str, float] = {}
    for n_w in config.judged_n_w:
        seen = replace(streams.seen, sent=streams.sent[n_w])
        for lag in config.judged_lags:
            said = module(seen, at, lag, config.lookahead)
            scores[f"n_w {n_w} lag {lag}"] = _accuracy(said.live, streams)
        closing = torch.cat([said.closing, said.known[len(said.closing) :]])
        scores[f"n_w {n_w} closing"] = _accuracy(closing, streams)
    return {"mean": float(np.mean(list(scores.values()))), **scores}


def _accuracy(log_p: Tensor, streams: Streams) -> float:
    right = (log_p.argmax(-1) == streams.label) * streams.weight
    return float(right.sum() / streams.weight.sum())
