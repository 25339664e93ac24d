"""A linear probe: the last layer alone, on embeddings computed once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F

from clownfish.datasets.base import Clip
from clownfish.models.adapter import Network
from clownfish.training.cache import FrameCache
from clownfish.training.config import ClassifierConfig
from clownfish.training.optimise import last_layer, step
from clownfish.training.sampling import plain

PROBE_BATCH = 128
PROBE_LEARNING_RATE = 1e-3

Say = Callable[[str], None]


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
    last = last_layer(network)
    optimizer = torch.optim.AdamW(last.parameters(), lr=PROBE_LEARNING_RATE, weight_decay=config.fit.probe_weight_decay)
    generator = torch.Generator().manual_seed(config.seed)
    for epoch in range(config.fit.probe_epochs):
        for part in torch.split(torch.randperm(len(x), generator=generator), PROBE_BATCH):
            loss = F.cross_entropy(network.head(x[part]), y[part], label_smoothing=config.fit.label_smoothing)
            step(loss, optimizer, f"probe epoch {epoch}")
    with torch.no_grad():  # from here on the last layer takes embeddings as they are
        say(f"probe: training accuracy {(network.eval().head(x).argmax(1) == y).float().mean():.3f}")
        last.weight.div_(std)
        last.bias.sub_(last.weight @ mean)
