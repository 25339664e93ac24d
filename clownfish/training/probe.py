"""A linear probe: the last layer alone, on embeddings computed once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from clownfish.datasets.base import Clip
from clownfish.models.adapter import Network
from clownfish.models.load import pick_device
from clownfish.training.cache import FrameCache
from clownfish.training.config import ClassifierConfig
from clownfish.training.device import on_device
from clownfish.training.optimise import last_layer
from clownfish.training.precision import Precision
from clownfish.training.progress import Say, track
from clownfish.training.sampling import plain, window_at

PROBE_BATCH = 128
PROBE_LEARNING_RATE = 1e-3


Known = dict[str, Tensor]
"""Clip's key → embeddings of its windows (windows, embedding size)."""


def probe(
    network: Network,
    cache: FrameCache,
    clips: list[Clip],
    classes: tuple[str, ...],
    config: ClassifierConfig,
    say: Say,
    known: Known,
) -> None:
    """Train the last layer alone, on embeddings of unchanged windows, computed once: quick, and fine-tuning starts from
    answers instead of noise (Kumar et al., "Fine-Tuning can Distort Pretrained Features", ICLR 2022).

    `known` holds what this body made of clips before, and is added to.
    """
    network.eval()
    device = pick_device(config.device)
    forward = Precision(config.fit.precision, device)
    with torch.inference_mode(), on_device(network, device) as there, forward.autocast():
        for n, clip in enumerate(track(say, clips, len(clips), "probe: embedding clips")):
            if clip.key not in known:
                known[clip.key] = _embeddings(there, cache.clip(clip), config)
            if n % 100 == 99:
                say(f"probe: {n + 1} of {len(clips)} clips embedded")
    x = torch.cat([known[clip.key] for clip in clips])
    y = torch.tensor([classes.index(clip.label) for clip in clips for _ in known[clip.key]])
    mean, std = torch.zeros(x.shape[1]), torch.ones(x.shape[1])
    if config.fit.probe_standardise:
        mean, std = x.mean(0), x.std(0) + 1e-3
    x = (x - mean) / std
    network.train()
    last = last_layer(network)
    precision = Precision("fp32", torch.device("cpu"))
    optimizer = torch.optim.AdamW(last.parameters(), lr=PROBE_LEARNING_RATE, weight_decay=config.fit.probe_weight_decay)
    generator = torch.Generator().manual_seed(config.seed)
    for epoch in range(config.fit.probe_epochs):
        for part in torch.split(torch.randperm(len(x), generator=generator), PROBE_BATCH):
            loss = F.cross_entropy(network.head(x[part]), y[part], label_smoothing=config.fit.label_smoothing)
            precision.step(loss, optimizer, f"probe epoch {epoch}")
    with torch.no_grad():  # from here on the last layer takes embeddings as they are
        say(f"probe: training accuracy {(network.eval().head(x).argmax(1) == y).float().mean():.3f}")
        last.weight.div_(std)
        last.bias.sub_(last.weight @ mean)


def _embeddings(network: Network, frames: npt.NDArray[np.uint8], config: ClassifierConfig) -> Tensor:
    """Those of a clip's windows, (windows, embedding size)."""
    shape = config.input
    latest = max(len(frames) - shape.frames, 0)
    starts = np.unique(np.linspace(0, latest, config.fit.probe_windows).round().astype(int))
    windows = torch.stack([plain(window_at(frames, int(first), shape), shape) for first in starts])
    return network.embed(windows).float()
