"""Training SimiNet (§III-C, §VI-A): do two windows that follow each other show the same context?

Pairs are those that it will see: neighbours in streams joined from clips, where windows share most of their frames
and a change spreads over several of them. A pair is a transition where the middle frames' contexts differ.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from typing import BinaryIO

import numpy as np

from clownfish.atomic import write_whole
from clownfish.classes import difference
from clownfish.datasets.base import Clip
from clownfish.errors import DatasetError
from clownfish.models.adapter import Network
from clownfish.models.description import ModelDescription, read_description
from clownfish.models.load import build, load_weights, pick_device
from clownfish.training.cache import FrameCache
from clownfish.training.config import SimiNetConfig
from clownfish.training.data import prepared
from clownfish.training.device import on_device
from clownfish.training.progress import Say
from clownfish.training.siminet_choice import TrainedSimiNet, choose, features_of
from clownfish.training.siminet_pairs import SeenStreams
from clownfish.training.streams import joined_streams, see
from clownfish.zoo import locate


def train_siminet(config: SimiNetConfig, say: Say = print) -> TrainedSimiNet:
    """Train on joined training clips, keep the epoch that is best on joined validation clips, and export it.

    Raises ModelError where the classifier cannot be read or the loss is no longer finite, DatasetError for bad data.
    """
    description = read_description(config.classifier)
    features_of(config, description)
    train, validation = _seen(config, description, say)
    return choose(config, description, train, validation, say)


def _seen(config: SimiNetConfig, description: ModelDescription, say: Say) -> tuple[SeenStreams, SeenStreams]:
    """(train, validation), kept under runs/ and named after the weights that they come from."""
    shape = description.input
    data = prepared(config.data, shape.frame_step, shape.window_size, say)
    clause = difference(description.classes, data.classes)
    if clause is not None:
        raise DatasetError(f"data set {config.data.dataset} {clause}, compared with {config.classifier}")
    weights = locate(config.classifier).with_suffix(".safetensors")
    network = build(description)
    load_weights(network, weights, description)
    network.eval()
    clips = repr([sorted(clip.key for clip in part) for part in (data.train, data.validation)])
    what = config.model_dump_json(include={"seed", "data", "rounds", "shortest", "longest", "validation_rounds"})
    made_of = weights.read_bytes() + (clips + description.model_dump_json(exclude={"feature"}) + what).encode()
    key = hashlib.sha256(made_of).hexdigest()[:16]
    found = []
    for part, chosen in (("train", data.train), ("validation", data.validation)):
        path = config.runs / config.name / f"seen-{part}-{key}.npz"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with on_device(network, pick_device(config.device)) as there:
                seen = collect(config, part == "train", there, description, data.cache, chosen, say)
            write_whole(path, partial(_write, seen))
        with np.load(path, allow_pickle=False) as arrays:
            found.append(SeenStreams(**arrays))
    return found[0], found[1]


def _write(seen: SeenStreams, file: BinaryIO) -> None:
    np.savez(file, embedding=seen.embedding, logits=seen.logits, stream=seen.stream, context=seen.context)


def collect(
    config: SimiNetConfig,
    training: bool,
    network: Network,
    description: ModelDescription,
    cache: FrameCache,
    clips: Sequence[Clip],
    say: Say,
) -> SeenStreams:
    """What the classifier makes of joined streams: in training from short segments (more transitions for the
    same work), else from streams as they are measured on."""
    rng = np.random.default_rng([config.seed, int(training)])
    seen = []
    for n in range(config.rounds if training else config.validation_rounds):
        for stream in joined_streams(cache, clips, rng, (config.shortest, config.longest) if training else None):
            seen.append(see(network, cache, stream, description.classes, description.input))
        say(f"pairs: round {n + 1} of {'training' if training else 'validation'} streams seen")
    return SeenStreams.of(seen)
