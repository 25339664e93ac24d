"""The training loop of a classifier: epochs over augmented windows, a checkpoint after each."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from clownfish.datasets.base import Clip
from clownfish.errors import ModelError
from clownfish.models.adapter import Network
from clownfish.models.load import pick_device
from clownfish.training.batches import Batch, Batches, epochs_of
from clownfish.training.cache import FrameCache
from clownfish.training.checkpoint import Checkpoint
from clownfish.training.config import ClassifierConfig, DiscardConfig
from clownfish.training.distil import Teacher, divergence
from clownfish.training.logs import RunLog
from clownfish.training.optimise import make_optimizer, set_learning_rate, train_mode
from clownfish.training.precision import Precision
from clownfish.training.progress import Say, track
from clownfish.training.sampling import plain, window_at

VALIDATION_BATCH = 8


def checkpoint_of(config: ClassifierConfig, classes: tuple[str, ...]) -> Checkpoint:
    """The run's checkpoint: it goes on only as the same network, on the same classes and input."""
    identity = config.model_dump(mode="json", include={"architecture", "options", "input", "seed"})
    if isinstance(config, DiscardConfig):
        identity["discard"] = config.discard.model_dump(mode="json", exclude={"recall"})
    return Checkpoint(config.runs / config.name, {"classes": classes, **identity}, config.model_dump(mode="json"))


def fit(
    network: Network,
    cache: FrameCache,
    train: list[Clip],
    validation: list[Clip],
    classes: tuple[str, ...],
    config: ClassifierConfig,
    say: Say,
    class_weights: Tensor | None = None,
) -> None:
    """Train the chosen layers, one checkpoint per epoch, learning rate on a cosine after a warm-up; goes on from a
    checkpoint where one lies. `network` comes and leaves on the CPU.

    `class_weights` (classes,) scales each class's part of the loss. Raises ConfigError or ModelError before the first
    epoch where layers, precision, teacher or checkpoint do not fit, later where the loss is not finite.
    """
    options, device = config.fit, pick_device(config.device)
    precision = Precision(options.precision, device)
    teacher = Teacher(config.distil, classes, config.input, device) if config.distil else None
    batches = Batches(
        cache,
        train,
        classes,
        config.input,
        config.augment,
        options.windows_per_clip,
        options.batch,
        config.seed,
        teacher.input if teacher else None,
    )
    batches_of = epochs_of(batches, options.workers, device)
    checkpoint = checkpoint_of(config, classes)
    state = checkpoint.load(say)
    network.to(device)
    optimizer = make_optimizer(network, options)
    first, history, best = 0, [], None
    if state is not None:
        first, history, best = state["epoch"], state["history"], state["best"]
        with checkpoint.restoring():
            network.load_state_dict(state["network"])
            if state["optimizer"] is not None:
                optimizer.load_state_dict(state["optimizer"])
            if state["scaler"]:  # of fp16 alone; a run may go on in another precision
                precision.scaler.load_state_dict(state["scaler"])
    log = RunLog(config.runs / config.name, config.tensorboard)
    weights = None if class_weights is None else class_weights.to(device)
    for epoch in range(first, options.epochs):
        if best is not None and options.patience is not None and epoch - best["epoch"] > options.patience:
            say(f"stopped: no better for {options.patience} epochs than epoch {best['epoch'] + 1}")
            break
        began = time.monotonic()
        train_mode(network, options.freeze_batch_norm)
        torch.manual_seed(config.seed * 100_003 + epoch)
        what = f"epoch {epoch + 1}/{options.epochs}"
        loss = _epoch(
            track(say, batches_of(epoch), len(batches), what), epoch, len(batches), network, teacher, optimizer,
            precision, config, weights, device,
        )  # fmt: skip
        accuracy, validation_loss = clip_scores(network, cache, validation, classes, config)
        row = {"epoch": epoch, "loss": loss, "validation_clip_accuracy": accuracy, "validation_loss": validation_loss}
        history.append({**row, "learning_rate": optimizer.param_groups[0]["lr"], "seconds": time.monotonic() - began})
        if options.patience is not None and (best is None or _better(row, best)):
            best = {**row, "network": {name: tensor.clone() for name, tensor in network.state_dict().items()}}
        checkpoint.save(
            epoch + 1,
            network=network.state_dict(),
            optimizer=optimizer.state_dict(),
            scaler=precision.scaler.state_dict(),
            history=history,
            best=best,
        )
        log.write(history)
        say(f"{what}: loss {loss:.4f}, validation clips {accuracy:.3f}, {time.monotonic() - began:.0f} s")
    log.close()
    if options.patience is not None and best is not None:
        network.load_state_dict(best["network"])
        say(f"kept epoch {best['epoch'] + 1}: validation clips {best['validation_clip_accuracy']:.3f}")
    network.to("cpu")


def _epoch(
    batches: Iterable[Batch],
    epoch: int,
    count: int,
    network: Network,
    teacher: Teacher | None,
    optimizer: torch.optim.Optimizer,
    precision: Precision,
    config: ClassifierConfig,
    class_weights: Tensor | None,
    device: torch.device,
) -> float:
    """One epoch; returns the mean loss over its windows."""
    total, windows = 0.0, 0
    for n, batch in enumerate(batches):
        set_learning_rate(optimizer, epoch + n / count, config.fit)
        x, targets, teacher_x = (None if t is None else t.to(device, non_blocking=True) for t in batch)
        assert x is not None
        assert targets is not None
        with precision.autocast():
            logits = network(x).float()
            answers = teacher.logits(teacher_x) if teacher is not None and teacher_x is not None else None
        loss = F.cross_entropy(logits, targets, class_weights, label_smoothing=config.fit.label_smoothing)
        if answers is not None and config.distil is not None:
            share = config.distil.weight
            loss = (1 - share) * loss + share * divergence(logits, answers, config.distil.temperature)
        precision.step(loss, optimizer, f"epoch {epoch + 1}, batch {n + 1}")
        total, windows = total + float(loss.detach()) * len(x), windows + len(x)
    return total / windows


def _better(row: dict[str, Any], best: dict[str, Any]) -> bool:
    """More clips right; of as many, the lower loss."""
    new, old = ((r["validation_clip_accuracy"], -r["validation_loss"]) for r in (row, best))
    return bool(new > old)


def clip_scores(
    network: Network, cache: FrameCache, clips: list[Clip], classes: tuple[str, ...], config: ClassifierConfig
) -> tuple[float, float]:
    """(share of clips whose centre window is answered right, its mean cross-entropy). The network may be on a GPU.

    Raises ModelError where an answer is not finite.
    """
    network.eval()
    device = next(network.parameters()).device
    logits = []
    with torch.inference_mode():
        for begin in range(0, len(clips), VALIDATION_BATCH):
            windows = []
            for clip in clips[begin : begin + VALIDATION_BATCH]:
                frames = cache.clip(clip)
                start = max(len(frames) - config.input.frames, 0) // 2
                windows.append(plain(window_at(frames, start, config.input), config.input))
            x = torch.stack(windows).contiguous(memory_format=torch.channels_last_3d)
            logits.append(network(x.to(device)).float().cpu())
    answers, labels = torch.cat(logits), torch.tensor([classes.index(clip.label) for clip in clips])
    if not torch.isfinite(answers).all():
        raise ModelError("the network answers validation windows with numbers that are not finite: lower learning_rate")
    return float((answers.argmax(1) == labels).float().mean()), float(F.cross_entropy(answers, labels))
