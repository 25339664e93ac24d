"""Training SimiNet on drawn streams (§III-C): pairs are neighbours in whole streams, as natural ones are, where
most pairs are steady and a change of context spreads over several windows."""

from __future__ import annotations

from collections.abc import Sequence

from clownfish.models.description import read_description
from clownfish.models.load import build, load_weights, pick_device
from clownfish.training.config import SimiNetConfig
from clownfish.training.device import on_device
from clownfish.training.drawn import DrawnData, Say, see_drawn
from clownfish.training.siminet_choice import TrainedSimiNet, choose, features_of
from clownfish.training.siminet_pairs import SeenStreams
from clownfish.zoo import locate


class DrawnSimiNetConfig(SimiNetConfig):
    """`clownfish train siminet` where the data set is a drawn one. Lengths and rounds of joined clips are not read:
    nothing is joined."""

    data: DrawnData


def train_drawn_siminet(config: DrawnSimiNetConfig, say: Say = print) -> TrainedSimiNet:
    """Train on the streams kept for SimiNet, keep the epoch that is best on the validation streams, and export it.

    Raises ModelError where the classifier cannot be read or the loss is no longer finite.
    """
    description = read_description(config.classifier)
    features_of(config, description)
    network = build(description)
    load_weights(network, locate(config.classifier).with_suffix(".safetensors"), description)
    network.eval()
    drawn = config.data.draw(description.input.frame_step, say, parts=False)

    def see(names: Sequence[str]) -> SeenStreams:
        return SeenStreams.of([see_drawn(there, drawn, drawn.streams[name], description.input) for name in names])

    with on_device(network, pick_device(config.device)) as there:
        train = see([f"train/{i}" for i in config.data.siminet_streams])
        validation = see([f"validation/{i}" for i in config.data.validation_groups])
    return choose(config, description, train, validation, say)
