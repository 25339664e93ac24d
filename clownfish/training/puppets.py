"""Training a classifier on Puppets (§VI-A on the embedded data set): the loop is `classifier.fit`; what differs is
where windows come from.

Training windows lie in stretches drawn beforehand (`datasets.puppets`), idle ones thinned out; temperature and idle's
prior are chosen on whole validation streams, where two thirds of all windows are idle.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import nn

from clownfish.datasets.puppets import Drawn, DrawnStream, draw_streams, without_much_idle
from clownfish.models.adapter import Network
from clownfish.models.description import InputDescription, ModelDescription
from clownfish.models.load import build, channels_last
from clownfish.puppets import ACTIONS, CLASSES, IDLE
from clownfish.training.cache import FrameCache
from clownfish.training.calibrate import (
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    softmax,
)
from clownfish.training.classifier import Trained, fit
from clownfish.training.config import ClassifierConfig, Data
from clownfish.training.export import export
from clownfish.training.sampling import plain
from clownfish.training.streams import BATCH, STRIDE, SeenStream

Say = Callable[[str], None]

IDLE_OFFSETS = np.arange(-2.0, 4.01, 0.1)


class PuppetsData(Data):
    """Which streams are drawn; `root` is not read."""

    dataset: str = "puppets"
    root: Path = Path()
    validation_groups: tuple[int, ...] = (0, 1, 2, 3, 4, 5)
    """Numbers of the validation streams."""
    train_streams: int = Field(default=48, ge=1)
    """Classifiers learn from train streams 0 to this."""
    siminet_streams: tuple[int, ...] = tuple(range(60, 68))
    """SimiNet learns from these train streams: the classifier's answers on its own would be too good."""
    idle_share: float = Field(default=0.35, gt=0, lt=1)
    """Of the training windows; in the streams two thirds are idle."""
    processes: int = Field(default=1, ge=1)
    """That draw, before training begins."""

    @property
    def names(self) -> list[str]:
        train = [*range(self.train_streams), *self.siminet_streams]
        return [f"train/{i}" for i in train] + [f"validation/{i}" for i in self.validation_groups]

    def draw(self, every: int, say: Say) -> Drawn:
        """All of these streams, drawn where that has not been done."""
        size = (self.cache_width, self.cache_height)
        return draw_streams(
            self.cache, self.names, size, every, self.processes, lambda done, total: say(f"drawn {done} of {total}")
        )


class PuppetsConfig(ClassifierConfig):
    """`clownfish train puppets local` and `clownfish train puppets remote`."""

    data: PuppetsData
    bfloat16: bool = False
    """Compute in bf16 where torch's autocast does: twice as fast for a ResNet on a CPU that has it. A loss that is not
    finite stops the run; the checkpoint can then go on in fp32."""


def train_puppets(config: PuppetsConfig, say: Say = print) -> Trained:
    """Draw, train (going on from a checkpoint), calibrate, and write weights and description.

    Raises ConfigError or DatasetError before training starts, ModelError when the loss is no longer finite.
    """
    torch.manual_seed(config.seed)
    drawn = config.data.draw(config.input.frame_step, say)
    train = [clip for i in range(config.data.train_streams) for clip in drawn.streams[f"train/{i}"].clips()]
    train = without_much_idle(train, config.data.idle_share, np.random.default_rng(config.seed))
    validation = [clip for one in validation_streams(config, drawn) for clip in one.clips()]
    balanced = without_much_idle(validation, 1 / len(CLASSES), np.random.default_rng(config.seed))
    say(f"{len(train)} training clips, {len(balanced)} validation clips")
    description = ModelDescription(
        name=config.name,
        architecture=config.architecture,
        options=config.options,
        classes=CLASSES,
        input=config.input,
        feature=config.feature,
        temperature=1.0,
    )
    network = channels_last(build(description))
    cache = FrameCache(drawn.pixels, drawn.spans(train + balanced), drawn.every)
    with torch.autocast("cpu", torch.bfloat16, enabled=config.bfloat16):
        fit(network, cache, train, balanced, CLASSES, config, say)
    return calibrate_and_export(config, network, description, drawn, say)


def validation_streams(config: PuppetsConfig, drawn: Drawn) -> list[DrawnStream]:
    return [drawn.streams[f"validation/{i}"] for i in config.data.validation_groups]


def calibrate_and_export(
    config: PuppetsConfig, network: Network, description: ModelDescription, drawn: Drawn, say: Say
) -> Trained:
    """Idle's prior and the temperature from the validation streams as they are, then weights and description."""
    network.eval()
    seen = [see_drawn(network, drawn, one, config.input) for one in validation_streams(config, drawn)]
    logits, labels = np.concatenate([s.logits for s in seen]), np.concatenate([s.label for s in seen])
    before = expected_calibration_error(softmax(logits), labels)
    offset = fit_idle_offset(logits, labels)
    logits[:, CLASSES.index(IDLE)] += offset
    last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    with torch.no_grad():
        last.bias[CLASSES.index(IDLE)] += offset
    temperature = fit_temperature(logits, labels)
    acting = labels != CLASSES.index(IDLE)
    trained = Trained(
        description=description.model_copy(update={"temperature": round(temperature, 4)}),
        accuracy=float((logits.argmax(1) == labels).mean()),
        calibration_error=expected_calibration_error(softmax(logits, temperature), labels),
        calibration_error_before=before,
    )
    export(config.output, network, trained.description)
    among_actions = logits[:, [CLASSES.index(action) for action in ACTIONS]].argmax(1) + 1 == labels
    say(
        f"{config.name}: validation windows {trained.accuracy:.3f}, actions {_share(logits, labels, acting):.3f}, "
        f"actions told apart {among_actions[acting].mean():.3f}; idle offset {offset:+.1f}, temperature "
        f"{temperature:.3f}, calibration error {before:.3f} → {trained.calibration_error:.3f}"
    )
    return trained


def _share(logits: npt.NDArray[np.floating], labels: npt.NDArray[np.int64], which: npt.NDArray[np.bool_]) -> float:
    return float((logits.argmax(1) == labels)[which].mean())


def fit_idle_offset(logits: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]) -> float:
    """What to add to idle's logit so that it knows how often people idle: least negative log-likelihood, each offset
    with its own temperature. Training shows idle more rarely than streams do, which shifts the log-prior (Saerens,
    Latinne, Decaestecker, Neural Computation 2002)."""

    def cost(offset: float) -> float:
        shifted = logits.copy()
        shifted[:, CLASSES.index(IDLE)] += offset
        return negative_log_likelihood(shifted, labels, fit_temperature(shifted, labels))

    return float(min(IDLE_OFFSETS, key=cost))


def see_drawn(network: Network, drawn: Drawn, one: DrawnStream, shape: InputDescription) -> SeenStream:
    """Run the network (as it is: in eval mode) over all windows of a drawn stream."""
    label, context = one.truth()
    starts = np.arange(0, one.frames - shape.window_size + 1, STRIDE)
    x = plain(drawn.of(one), shape)
    parts = []
    with torch.inference_mode():
        for begin in range(0, len(starts), BATCH):
            windows = [x[:, s : s + shape.frames] for s in starts[begin : begin + BATCH] // drawn.every]
            parts.append(network.embed(torch.stack(windows).contiguous(memory_format=torch.channels_last_3d)))
        embedding = torch.cat(parts)
        logits = network.head(embedding)
    middle = starts + shape.window_size // 2
    return SeenStream(embedding.numpy(), logits.numpy(), label[middle], context[middle])
