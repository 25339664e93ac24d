"""Training SimiNet (§III-C, §VI-A): do two windows that follow each other show the same context?

Pairs are those that it will see: neighbours in streams joined from clips, where windows share most of their frames
and a change spreads over several of them. A pair is a transition where the middle frames' contexts differ.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from clownfish.datasets import DATASETS
from clownfish.datasets.base import Clip, split_by_group
from clownfish.datasets.joined import join
from clownfish.models.adapter import Network, describe_feature
from clownfish.models.description import ModelDescription, SimiNetDescription, read_description
from clownfish.models.load import build, load_weights
from clownfish.training.cache import FrameCache, open_cache
from clownfish.training.config import SimiNetConfig
from clownfish.training.export import export
from clownfish.training.measure import auc, cosine
from clownfish.training.siminet_fit import Pairs, fit, fit_platt, fold_platt
from clownfish.training.streams import see
from clownfish.zoo import locate

Array = npt.NDArray[np.float32]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class TrainedSimiNet:
    """What came out; areas under the ROC curve are transitions against steady pairs on joined validation streams."""

    description: SimiNetDescription
    auc: float
    auc_cosine: float


def train_siminet(config: SimiNetConfig, say: Say = print) -> TrainedSimiNet:
    """Train on joined training clips, keep the epoch that is best on joined validation clips, and export it.

    Raises ModelError where the classifier cannot be read or the loss is no longer finite, DatasetError for bad data.
    """
    torch.manual_seed(config.seed)
    description = read_description(config.classifier)
    train, validation = _pairs(config, description, say)
    share = 1 - train.same.mean()
    say(f"{len(train.same)} training pairs, {share:.3f} of them transitions; {len(validation.same)} validation pairs")
    module, best = fit(config, train, validation, say)
    scale, shift = fit_platt(module, validation)
    fold_platt(module, scale, shift)
    say(f"calibrated on validation streams: logit × {scale:.3f} + {shift:.3f}")
    siminet = SimiNetDescription(
        name=config.name,
        classifier=description.name,
        feature=description.feature,
        feature_size=train.previous.shape[1],
        hidden=config.hidden,
    )
    export(config.output, module, siminet)
    plain = auc(cosine(validation.previous, validation.current), validation.same)
    say(f"{config.name}: validation AUC {best:.4f}, cosine of the features {plain:.4f}")
    return TrainedSimiNet(siminet, best, plain)


def _pairs(config: SimiNetConfig, description: ModelDescription, say: Say) -> tuple[Pairs, Pairs]:
    """(train, validation), kept under runs/ and named after the weights that they come from."""
    data = config.data
    dataset = DATASETS.get(data.dataset)(data.root)
    clips = dataset.clips()
    cache = open_cache(
        data.cache, data.dataset, clips, (data.cache_width, data.cache_height), description.input.frame_step
    )
    weights = locate(config.classifier).with_suffix(".safetensors")
    network = build(description)
    load_weights(network, weights, description)
    network.eval()
    made_of = weights.read_bytes() + weights.with_suffix(".json").read_bytes() + config.model_dump_json().encode()
    key = hashlib.sha256(made_of).hexdigest()[:16]
    found = []
    for part, chosen in zip(("train", "validation"), split_by_group(clips, data.validation_groups), strict=True):
        path = config.runs / config.name / f"pairs-{part}-{key}.npz"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            pairs = collect(config, part == "train", network, description, cache, chosen, say)
            np.savez(path, previous=pairs.previous, current=pairs.current, same=pairs.same)
        with np.load(path, allow_pickle=False) as arrays:
            found.append(Pairs(arrays["previous"], arrays["current"], arrays["same"]))
    return found[0], found[1]


def collect(
    config: SimiNetConfig,
    training: bool,
    network: Network,
    description: ModelDescription,
    cache: FrameCache,
    clips: Sequence[Clip],
    say: Say,
) -> Pairs:
    """Neighbouring windows' features: in training from short segments (more transitions for the same work), else from
    streams as they are measured on."""
    rng = np.random.default_rng([config.seed, int(training)])
    usable = [clip for clip in clips if cache.has(clip)]
    previous, current, same = [], [], []
    for n in range(config.rounds if training else config.validation_rounds):
        lengths = {"shortest": config.shortest, "longest": config.longest} if training else {}
        for stream in join(usable, rng, **lengths):
            seen = see(network, cache, stream, description.classes, description.input)
            feature = describe_feature(torch.from_numpy(seen.embedding), torch.from_numpy(seen.logits), description)
            previous.append(feature[:-1].numpy())
            current.append(feature[1:].numpy())
            same.append(seen.context[1:] == seen.context[:-1])
        say(f"pairs: round {n + 1} of {'training' if training else 'validation'} streams seen")
    return Pairs(np.concatenate(previous), np.concatenate(current), np.concatenate(same))
