"""Training a classifier on streams that this repository draws (§VI-A on an embedded data set): the loop is
`classifier.fit`; what differs is where windows come from.

Training windows lie in stretches drawn beforehand (`datasets.drawn`), idle ones thinned out; temperature and idle's
prior, where there is an idle class, are chosen on whole validation streams.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, field_validator
from torch import nn
from torch.nn import functional as F

from clownfish.datasets.base import Clip
from clownfish.datasets.drawn import DRAWN, Drawn, DrawnStream, draw_streams
from clownfish.models.adapter import Network
from clownfish.models.description import InputDescription, ModelDescription
from clownfish.models.load import build, channels_last
from clownfish.training.cache import FrameCache
from clownfish.training.calibrate import (
    expected_calibration_error,
    fit_temperature,
    softmax,
    verdict,
)
from clownfish.training.classifier import Trained
from clownfish.training.config import ClassifierConfig, Data
from clownfish.training.export import export
from clownfish.training.initial import begin
from clownfish.training.loop import fit
from clownfish.training.sampling import plain
from clownfish.training.streams import BATCH, STRIDE, SeenStream

Say = Callable[[str], None]


class DrawnData(Data):
    """Which streams are drawn; `root` is not read."""

    dataset: str
    """A name of `datasets.drawn.DRAWN`."""
    root: Path = Path()
    validation_groups: tuple[int, ...] = (0, 1, 2, 3, 4, 5)
    """Numbers of the validation streams."""
    train_streams: int = Field(default=200, ge=1)
    """Classifiers learn from train streams 0 to this."""
    siminet_streams: tuple[int, ...] = tuple(range(1000, 1012))
    """SimiNet learns from these train streams: the classifier's answers on its own would be too good."""
    idle_share: float = Field(default=0.35, gt=0, lt=1)
    """Of the training windows; two thirds of a puppets stream are idle."""
    processes: int = Field(default=1, ge=1)
    """That draw, before training begins."""

    @field_validator("dataset")
    @classmethod
    def _is_drawn(cls, dataset: str) -> str:
        if dataset not in DRAWN:
            raise ValueError(f"expected {', '.join(DRAWN)}")
        return dataset

    def draw(self, every: int, say: Say) -> Drawn:
        """Validation and SimiNet's streams whole, of the others the stretches to learn from; where that has not been
        done."""
        whole = [f"train/{i}" for i in self.siminet_streams] + [f"validation/{i}" for i in self.validation_groups]
        parts = [f"train/{i}" for i in range(self.train_streams)]

        def progress(done: int, total: int) -> None:
            if done % 20 == 0 or done == total:
                say(f"drawn {done} of {total} streams")

        size = (self.cache_width, self.cache_height)
        return draw_streams(
            self.dataset, self.cache, whole, parts, size, every, self.idle_share, self.processes, progress
        )


class DrawnConfig(ClassifierConfig):
    """`clownfish train local` and `clownfish train remote` where the data set is a drawn one."""

    data: DrawnData


def train_drawn(config: DrawnConfig, say: Say = print) -> Trained:
    """Draw, train (going on from a checkpoint), calibrate, and write weights and description.

    Raises ConfigError or DatasetError before training starts, ModelError when the loss is no longer finite.
    """
    torch.manual_seed(config.seed)
    drawn = config.data.draw(config.input.frame_step, say)
    train, spans = clips_of(drawn, [f"train/{i}" for i in range(config.data.train_streams)])
    validation, more = clips_of(drawn, [f"validation/{i}" for i in config.data.validation_groups])
    classes = drawn.of.classes
    balanced = [clip for clip in validation if clip.label != drawn.of.idle]
    say(f"{len(train)} training clips, {len(balanced)} validation clips, none of them idle")
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
    cache = FrameCache(drawn.pixels, spans | more, drawn.every)
    begin(network, cache, train, classes, config, say)
    fit(network, cache, train, balanced, classes, config, say)
    return calibrate_and_export(config, network, description, drawn, say)


def clips_of(drawn: Drawn, names: list[str]) -> tuple[list[Clip], dict[str, tuple[int, int]]]:
    clips: list[Clip] = []
    spans: dict[str, tuple[int, int]] = {}
    for name in names:
        some, where = drawn.clips(drawn.streams[name])
        clips += some
        spans |= where
    return clips, spans


def validation_streams(config: DrawnConfig, drawn: Drawn) -> list[DrawnStream]:
    return [drawn.streams[f"validation/{i}"] for i in config.data.validation_groups]


def calibrate_and_export(
    config: DrawnConfig, network: Network, description: ModelDescription, drawn: Drawn, say: Say
) -> Trained:
    """Idle's prior and the temperature from the validation streams as they are, then weights and description."""
    network.eval()
    seen = [see_drawn(network, drawn, one, config.input) for one in validation_streams(config, drawn)]
    logits, labels = np.concatenate([s.logits for s in seen]), np.concatenate([s.label for s in seen])
    before = expected_calibration_error(softmax(logits), labels)
    if drawn.of.idle is not None:
        shift_idle(network, logits, labels, drawn.of.classes.index(drawn.of.idle), say)
    temperature = fit_temperature(logits, labels)
    trained = Trained(
        description=description.model_copy(update={"temperature": round(temperature, 4)}),
        accuracy=float((logits.argmax(1) == labels).mean()),
        calibration_error=expected_calibration_error(softmax(logits, temperature), labels),
        calibration_error_before=before,
    )
    export(config.output, network, trained.description)
    say(
        f"{config.name}: validation windows {trained.accuracy:.3f}, temperature {temperature:.3f}, calibration error "
        f"{before:.3f} → {trained.calibration_error:.3f}"
    )
    if verdict(trained.calibration_error):
        say(f"{config.name}: {verdict(trained.calibration_error)}")
    return trained


def shift_idle(
    network: Network, logits: npt.NDArray[np.floating], labels: npt.NDArray[np.int64], idle: int, say: Say
) -> None:
    """Give idle the prior that it has in `labels`: changes the network's last bias, and `logits` (n, classes) in
    place."""
    offset = fit_idle_offset(logits, labels, idle)
    logits[:, idle] += offset
    last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    with torch.no_grad():
        last.bias[idle] += offset
    actions = [n for n in range(logits.shape[1]) if n != idle]
    acting = labels != idle
    right = (logits.argmax(1) == labels)[acting].mean()
    among = (np.array(actions)[logits[:, actions].argmax(1)] == labels)[acting].mean()
    say(f"idle offset {offset:+.1f}; actions {right:.3f}, told apart from each other {among:.3f}")


def fit_idle_offset(logits: npt.NDArray[np.floating], labels: npt.NDArray[np.int64], idle: int) -> float:
    """What to add to idle's logit so that it knows how often people idle: least negative log-likelihood, together with
    a temperature. Training shows idle more rarely than streams do, which shifts the log-prior (Saerens, Latinne,
    Decaestecker, Neural Computation 2002)."""
    x, y = torch.from_numpy(logits).double(), torch.from_numpy(labels)
    only = torch.zeros(x.shape[1], dtype=torch.float64)
    only[idle] = 1
    offset, log_scale = (torch.zeros((), dtype=torch.float64, requires_grad=True) for _ in range(2))
    optimizer = torch.optim.LBFGS([offset, log_scale], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy((x + offset * only) * log_scale.exp(), y)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return float(offset.detach())


def see_drawn(network: Network, drawn: Drawn, one: DrawnStream, shape: InputDescription) -> SeenStream:
    """Run the network (as it is: in eval mode) over all windows of a drawn stream."""
    label, context = one.truth(drawn.of.classes)
    starts = np.arange(0, one.frames - shape.window_size + 1, STRIDE)
    x = plain(drawn.whole(one), shape)
    parts = []
    with torch.inference_mode():
        for begin in range(0, len(starts), BATCH):
            windows = [x[:, s : s + shape.frames] for s in starts[begin : begin + BATCH] // drawn.every]
            parts.append(network.embed(torch.stack(windows).contiguous(memory_format=torch.channels_last_3d)))
        embedding = torch.cat(parts)
        logits = network.head(embedding)
    middle = starts + shape.window_size // 2
    return SeenStream(embedding.numpy(), logits.numpy(), label[middle], context[middle])
