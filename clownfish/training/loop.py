"""The training loop of a classifier: epochs over augmented windows, a checkpoint after each."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F

from clownfish.datasets.base import Clip
from clownfish.models.adapter import Network
from clownfish.training.cache import FrameCache
from clownfish.training.checkpoint import checkpoint_of, resume, save
from clownfish.training.config import ClassifierConfig
from clownfish.training.logs import log_epoch
from clownfish.training.optimise import learning_rate_share, make_optimizer, step, train_mode
from clownfish.training.sampling import plain, training_batches

Say = Callable[[str], None]


def fit(
    network: Network,
    cache: FrameCache,
    train: list[Clip],
    validation: list[Clip],
    classes: tuple[str, ...],
    config: ClassifierConfig,
    say: Say,
) -> None:
    """Train all layers that are not frozen, one checkpoint per epoch, learning rate on a cosine after a warm-up."""
    options = config.fit
    optimizer = make_optimizer(network, config)
    batches = max(len(train) * options.windows_per_clip // options.batch, 1)
    checkpoint = checkpoint_of(config)
    first = resume(checkpoint, network, optimizer, say)
    peak = (options.learning_rate, options.head_learning_rate or options.learning_rate)
    for epoch in range(first, options.epochs):
        began, total, count = time.monotonic(), 0.0, 0
        train_mode(network, options.freeze_batch_norm)
        torch.manual_seed(config.seed * 100_003 + epoch)
        rng = np.random.default_rng([config.seed, epoch])
        epoch_batches = training_batches(
            cache, train, classes, config.input, config.augment, options.windows_per_clip, options.batch, rng
        )
        for n, (x, targets) in enumerate(epoch_batches):
            rate = learning_rate_share(epoch + n / batches, options)
            for group, top in zip(optimizer.param_groups, peak, strict=True):
                group["lr"] = top * rate
            loss = F.cross_entropy(network(x), targets, label_smoothing=options.label_smoothing)
            step(loss, optimizer, f"epoch {epoch}, batch {n}")
            total, count = total + float(loss.detach()) * len(x), count + len(x)
        accuracy = clip_accuracy(network, cache, validation, classes, config)
        save(checkpoint, network, optimizer, epoch + 1)
        log_epoch(config.runs / config.name / "log.csv", epoch, total / count, accuracy)
        say(
            f"epoch {epoch + 1}/{options.epochs}: loss {total / count:.4f}, validation clips {accuracy:.3f}, "
            f"{time.monotonic() - began:.0f} s"
        )


def clip_accuracy(
    network: Network, cache: FrameCache, clips: list[Clip], classes: tuple[str, ...], config: ClassifierConfig
) -> float:
    """Share of clips whose centre window is answered right."""
    network.eval()
    right = 0
    with torch.inference_mode():
        for clip in clips:
            frames = cache.clip(clip)
            start = max(len(frames) - config.input.frames, 0) // 2
            x = plain(frames[start : start + config.input.frames], config.input)
            right += int(network(x[None]).argmax()) == classes.index(clip.label)
    return right / len(clips)
