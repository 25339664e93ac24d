"""Training one classifier: probe, fit, calibrate, export (§VI-A). The local and the remote model differ in
configuration only."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clownfish.datasets.base import Clip
from clownfish.errors import ModelError
from clownfish.models.adapter import Network
from clownfish.models.description import ModelDescription
from clownfish.models.load import build, channels_last
from clownfish.training.cache import FrameCache
from clownfish.training.calibrate import expected_calibration_error, fit_temperature, softmax
from clownfish.training.config import ClassifierConfig, Fit
from clownfish.training.data import prepared
from clownfish.training.export import export
from clownfish.training.initial import load_imagenet
from clownfish.training.sampling import plain, training_batches
from clownfish.training.streams import joined_streams, see

PROBE_BATCH = 128
PROBE_LEARNING_RATE = 1e-3

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Trained:
    """What came out, on the joined validation streams."""

    description: ModelDescription
    accuracy: float
    """Share of windows whose answer is the class of their middle frame."""
    calibration_error: float
    calibration_error_before: float


def prepare(config: ClassifierConfig, say: Say) -> tuple[FrameCache, list[Clip], list[Clip], tuple[str, ...]]:
    """(cache, training clips, validation clips, classes); decodes where that has not been done."""
    found = prepared(config.data, config.input.frame_step, config.input.window_size, say)
    return found.cache, found.train, found.validation, found.classes


def train_classifier(config: ClassifierConfig, say: Say = print) -> Trained:
    """Train, resume where a checkpoint of the same configuration lies, and write weights, description and card.

    Raises DatasetError or ConfigError before training starts, ModelError when the loss is no longer finite.
    """
    torch.manual_seed(config.seed)
    cache, train, validation, classes = prepare(config, say)
    description = ModelDescription(
        name=config.name,
        architecture=config.architecture,
        options=config.options,
        classes=classes,
        input=config.input,
        feature=config.feature,
        temperature=1.0,
    )
    network = channels_last(build(description))
    if not _checkpoint(config).exists():
        if config.initial == "imagenet":
            load_imagenet(network)
        if config.fit.probe_epochs:
            probe(network, cache, train, classes, config, say)
        _save(_checkpoint(config), network, _optimizer(network, config), 0)
    fit(network, cache, train, validation, classes, config, say)
    network.eval()
    rng = np.random.default_rng(config.seed)
    seen = [see(network, cache, stream, classes, config.input) for stream in joined_streams(cache, validation, rng)]
    logits, labels = np.concatenate([s.logits for s in seen]), np.concatenate([s.label for s in seen])
    temperature = fit_temperature(logits, labels)
    trained = Trained(
        description=description.model_copy(update={"temperature": round(temperature, 4)}),
        accuracy=float((logits.argmax(1) == labels).mean()),
        calibration_error=expected_calibration_error(softmax(logits, temperature), labels),
        calibration_error_before=expected_calibration_error(softmax(logits), labels),
    )
    export(config.output, network, trained.description)
    say(
        f"{config.name}: validation accuracy {trained.accuracy:.3f}, temperature {temperature:.3f}, calibration error "
        f"{trained.calibration_error_before:.3f} → {trained.calibration_error:.3f}"
    )
    return trained


def probe(
    network: Network, cache: FrameCache, clips: list[Clip], classes: tuple[str, ...], config: ClassifierConfig, say: Say
) -> None:
    """Train the last layer alone, on embeddings of unchanged windows, computed once: quick, and fine-tuning starts from
    answers instead of noise (Kumar et al., "Fine-Tuning can Distort Pretrained Features", ICLR 2022)."""
    network.eval()
    shape = config.input
    embeddings, labels = [], []
    with torch.inference_mode():
        for n, clip in enumerate(clips):
            frames = cache.clip(clip)
            latest = max(len(frames) - shape.frames, 0)
            starts = np.unique(np.linspace(0, latest, config.fit.probe_windows).round().astype(int))
            windows = torch.stack([plain(frames[first : first + shape.frames], shape) for first in starts])
            embeddings.append(network.embed(windows))
            labels += [classes.index(clip.label)] * len(starts)
            if n % 100 == 99:
                say(f"probe: {n + 1} of {len(clips)} clips embedded")
    x, y = torch.cat(embeddings).clone(), torch.tensor(labels)
    mean, std = torch.zeros(x.shape[1]), torch.ones(x.shape[1])
    if config.fit.probe_standardise:
        mean, std = x.mean(0), x.std(0) + 1e-3
    x = (x - mean) / std
    network.train()
    last = _last(network)
    optimizer = torch.optim.AdamW(last.parameters(), lr=PROBE_LEARNING_RATE, weight_decay=config.fit.probe_weight_decay)
    generator = torch.Generator().manual_seed(config.seed)
    for epoch in range(config.fit.probe_epochs):
        for part in torch.split(torch.randperm(len(x), generator=generator), PROBE_BATCH):
            loss = F.cross_entropy(network.head(x[part]), y[part], label_smoothing=config.fit.label_smoothing)
            _step(loss, optimizer, f"probe epoch {epoch}")
    with torch.no_grad():  # from here on the last layer takes embeddings as they are
        say(f"probe: training accuracy {(network.eval().head(x).argmax(1) == y).float().mean():.3f}")
        last.weight.div_(std)
        last.bias.sub_(last.weight @ mean)


def _last(network: Network) -> nn.Linear:
    """The layer that makes logits of an embedding."""
    return [module for module in network.modules() if isinstance(module, nn.Linear)][-1]


def _embedding_parameters(network: Network) -> list[nn.Parameter]:
    """All parameters but those of the last linear layer."""
    own = {id(parameter) for parameter in _last(network).parameters()}
    return [parameter for parameter in network.parameters() if id(parameter) not in own]


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
    optimizer = _optimizer(network, config)
    batches = max(len(train) * options.windows_per_clip // options.batch, 1)
    checkpoint = _checkpoint(config)
    first = _resume(checkpoint, network, optimizer, say)
    peak = (options.learning_rate, options.head_learning_rate or options.learning_rate)
    for epoch in range(first, options.epochs):
        began, total, count = time.monotonic(), 0.0, 0
        _train_mode(network, options.freeze_batch_norm)
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
            _step(loss, optimizer, f"epoch {epoch}, batch {n}")
            total, count = total + float(loss.detach()) * len(x), count + len(x)
        accuracy = clip_accuracy(network, cache, validation, classes, config)
        _save(checkpoint, network, optimizer, epoch + 1)
        _log(config.runs / config.name / "log.csv", epoch, total / count, accuracy)
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


def _optimizer(network: Network, config: ClassifierConfig) -> torch.optim.Optimizer:
    """Two groups: the body as far as it is not frozen, then the last layer at its own rate."""
    options = config.fit
    for name, parameter in network.named_parameters():
        parameter.requires_grad = not name.startswith(options.frozen)
    body = [p for p in _embedding_parameters(network) if p.requires_grad]
    known = {id(p) for p in _embedding_parameters(network)}
    head = [p for p in network.parameters() if id(p) not in known]
    groups: list[dict[str, Any]] = [
        {"params": body, "lr": options.learning_rate},
        {"params": head, "lr": options.head_learning_rate or options.learning_rate},
    ]
    if options.optimizer == "adamw":
        return torch.optim.AdamW(groups, weight_decay=options.weight_decay)
    return torch.optim.SGD(groups, momentum=0.9, nesterov=True, weight_decay=options.weight_decay)


def learning_rate_share(epoch: float, options: Fit) -> float:
    """Share of the peak rate at a point of training: linear up over the warm-up, then half a cosine down to 0, and so
    again from each restart."""
    begin = max((r for r in options.restarts if r <= epoch), default=0)
    end = min((r for r in options.restarts if r > epoch), default=options.epochs)
    warmup = options.warmup_epochs
    if epoch - begin < warmup:
        return (epoch - begin + 0.05) / (warmup + 0.05)
    return 0.5 * (1 + math.cos(math.pi * (epoch - begin - warmup) / max(end - begin - warmup, 1e-9)))


def _train_mode(network: Network, freeze_batch_norm: bool) -> None:
    network.train()
    if freeze_batch_norm:
        for module in network.modules():
            if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d)):
                module.eval()


def _step(loss: Tensor, optimizer: torch.optim.Optimizer, where: str) -> None:
    if not torch.isfinite(loss):
        raise ModelError(
            f"the loss is {loss.item()} at {where}: lower learning_rate, then start again from the checkpoint"
        )
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def _checkpoint(config: ClassifierConfig) -> Path:
    return config.runs / config.name / "checkpoint.pt"


def _save(path: Path, network: Network, optimizer: torch.optim.Optimizer, epoch: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    torch.save({"epoch": epoch, "network": network.state_dict(), "optimizer": optimizer.state_dict()}, part)
    part.replace(path)  # never half a checkpoint


def _resume(path: Path, network: Network, optimizer: torch.optim.Optimizer, say: Say) -> int:
    """The epoch to go on with: 0 where no checkpoint lies. Raises ModelError where it is of another network."""
    if not path.exists():
        return 0
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
    except (RuntimeError, KeyError, ValueError) as error:
        raise ModelError(f"{path}: does not fit this configuration ({error}); delete it to start over") from error
    if state["epoch"]:
        say(f"going on after epoch {state['epoch']} ({path})")
    return int(state["epoch"])


def _log(path: Path, epoch: int, loss: float, accuracy: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists() or epoch == 0
    with path.open("w" if new else "a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(["epoch", "loss", "validation_clip_accuracy"])
        writer.writerow([epoch, f"{loss:.5f}", f"{accuracy:.5f}"])
