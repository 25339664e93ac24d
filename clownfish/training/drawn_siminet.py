"""Training SimiNet on drawn streams (§III-C): pairs are neighbours in whole streams, as natural ones are, where
most pairs are steady and a change of context spreads over several windows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from clownfish.datasets.drawn import Drawn
from clownfish.models.adapter import Network, describe_feature
from clownfish.models.description import ModelDescription, SimiNetDescription, read_description
from clownfish.models.load import build, load_weights
from clownfish.training.config import SimiNetConfig
from clownfish.training.drawn import DrawnData, Say, see_drawn
from clownfish.training.export import export
from clownfish.training.measure import auc, cosine
from clownfish.training.siminet import TrainedSimiNet
from clownfish.training.siminet_fit import Pairs, fit, fit_platt, fold_platt
from clownfish.zoo import locate


class DrawnSimiNetConfig(SimiNetConfig):
    """`clownfish train siminet` where the data set is a drawn one. Lengths and rounds of joined clips are not read:
    nothing is joined."""

    data: DrawnData


def train_drawn_siminet(config: DrawnSimiNetConfig, say: Say = print) -> TrainedSimiNet:
    """Train on the streams kept for SimiNet, keep the epoch that is best on the validation streams, and export it.

    Raises ModelError where the classifier cannot be read or the loss is no longer finite.
    """
    torch.manual_seed(config.seed)
    description = read_description(config.classifier)
    network = build(description)
    load_weights(network, locate(config.classifier).with_suffix(".safetensors"), description)
    network.eval()
    drawn = config.data.draw(description.input.frame_step, say)
    train = pairs(network, description, drawn, [f"train/{i}" for i in config.data.siminet_streams])
    validation = pairs(network, description, drawn, [f"validation/{i}" for i in config.data.validation_groups])
    share = 1 - train.same.mean()
    say(f"{len(train.same)} training pairs, {share:.3f} of them transitions; {len(validation.same)} validation pairs")
    module, best = fit(config, train, validation, say)
    fold_platt(module, *fit_platt(module, validation))
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


def pairs(network: Network, description: ModelDescription, drawn: Drawn, names: Sequence[str]) -> Pairs:
    """Features of all neighbouring windows of these streams."""
    previous, current, same = [], [], []
    for name in names:
        seen = see_drawn(network, drawn, drawn.streams[name], description.input)
        feature = describe_feature(torch.from_numpy(seen.embedding), torch.from_numpy(seen.logits), description)
        previous.append(feature[:-1].numpy())
        current.append(feature[1:].numpy())
        same.append(seen.context[1:] == seen.context[:-1])
    return Pairs(np.concatenate(previous), np.concatenate(current), np.concatenate(same))
