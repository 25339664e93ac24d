"""Training a classifier on streams that this repository draws (§VI-A on an embedded data set): the loop is
`loop.fit`; what differs is where windows come from.

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
from torch.nn import functional as F

from clownfish import puppets
from clownfish.datasets.base import Clip
from clownfish.datasets.drawn import DRAWN, Drawn, DrawnStream, draw_streams
from clownfish.errors import ConfigError
from clownfish.models.adapter import Network
from clownfish.models.description import InputDescription, ModelDescription
from clownfish.models.frame_features import sees_frames
from clownfish.models.keypoint import KeypointNet
from clownfish.models.load import build, channels_last
from clownfish.puppets.names import View
from clownfish.training.cache import FrameCache
from clownfish.training.calibrate import (
    expected_calibration_error,
    fit_temperature,
    softmax,
)
from clownfish.training.checkpoint import Checkpoint
from clownfish.training.classifier import Trained, announce, describe
from clownfish.training.config import ClassifierConfig, Data
from clownfish.training.export import export
from clownfish.training.initial import begin
from clownfish.training.keypoints import KeypointFit, teach_keypoints
from clownfish.training.loop import fit
from clownfish.training.optimise import last_layer
from clownfish.training.overtime import OverTimeFit, fingerprint, frame_table, train_over_time
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
    views: tuple[View, ...] = ()
    """Cameras that `[keypoints]` learns from, all where empty: the others are kept for a cross-view test."""
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

    def draw(self, every: int, say: Say, parts: bool = True) -> Drawn:
        """Validation and SimiNet's streams whole, of the others the stretches to learn from; where that has not been
        done."""
        whole = [f"train/{i}" for i in self.siminet_streams] + [f"validation/{i}" for i in self.validation_groups]
        pieces = [f"train/{i}" for i in range(self.train_streams)] if parts else []

        def progress(done: int, total: int) -> None:
            if done % 20 == 0 or done == total:
                say(f"drawn {done} of {total} streams")

        size = (self.cache_width, self.cache_height)
        return draw_streams(
            self.dataset, self.cache, whole, pieces, size, every, self.idle_share, self.processes, progress
        )


class DrawnConfig(ClassifierConfig):
    """`clownfish train local` and `clownfish train remote` where the data set is a drawn one."""

    refits = False

    data: DrawnData
    keypoints: KeypointFit | None = None
    """Frames learn first where joints are (architecture "keypoint" on puppets), `over_time` after them; `fit` has no
    epochs then."""
    over_time: OverTimeFit = OverTimeFit()


def train_drawn(config: DrawnConfig, say: Say = print) -> Trained:
    """Draw, train (going on from a checkpoint), calibrate, and write weights and description.

    Raises ConfigError or DatasetError before training starts, ModelError when the loss is no longer finite.
    """
    torch.manual_seed(config.seed)
    if config.keypoints is not None:
        return _train_keypoints(config, config.keypoints, say)
    drawn = config.data.draw(config.input.frame_step, say)
    train, spans = clips_of(drawn, [f"train/{i}" for i in range(config.data.train_streams)])
    validation, more = clips_of(drawn, [f"validation/{i}" for i in config.data.validation_groups])
    classes = drawn.of.classes
    balanced = [clip for clip in validation if clip.label != drawn.of.idle]
    say(f"{len(train)} training clips, {len(balanced)} validation clips, none of them idle")
    description = describe(config, classes)
    network = channels_last(build(description))
    cache = FrameCache(drawn.pixels, spans | more, drawn.every)
    begin(network, cache, train, classes, config, say)
    fit(network, cache, train, balanced, classes, config, say)
    return calibrate_and_export(config, network, description, drawn, say)


def _train_keypoints(config: DrawnConfig, keypoints: KeypointFit, say: Say) -> Trained:
    """Frames first, then time: see `keypoints` and `overtime`."""
    if config.data.dataset != "puppets" or config.architecture != "keypoint":
        raise ConfigError(
            f"[keypoints] needs dataset 'puppets' and architecture 'keypoint', not {config.data.dataset!r} and "
            f"{config.architecture!r}"
        )
    if config.fit.epochs or config.distil is not None:
        raise ConfigError("[keypoints] trains without [fit] and [distil]: set fit.epochs = 0 and leave [distil] out")
    description = describe(config, DRAWN[config.data.dataset].classes)
    network = channels_last(build(description))
    assert isinstance(network, KeypointNet)
    views = config.data.views or puppets.VIEWS
    folder = config.runs / config.name
    identity = config.model_dump(mode="json", include={"architecture", "options", "input", "seed"})
    checkpoint = Checkpoint(folder, {"views": views, **identity}, keypoints.model_dump(mode="json"))
    teach_keypoints(network, config.input, views, keypoints, checkpoint, config.seed, say)
    said = f"{config.over_time.streams}-{config.over_time.longest_idle}-{fingerprint(network)}"
    table = frame_table(network, config.input, views, config.over_time, config.seed, folder / f"frames-{said}.npz", say)
    train_over_time(network, config.input, table, config.over_time, config.seed, say)
    drawn = config.data.draw(config.input.frame_step, say, parts=False)
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
    announce(config.name, trained, say)
    return trained


def shift_idle(
    network: Network, logits: npt.NDArray[np.floating], labels: npt.NDArray[np.int64], idle: int, say: Say
) -> None:
    """Give idle its prior (`shift_prior`), and say what that leaves of the actions."""
    offset = shift_prior(network, logits, labels, idle)
    actions = [n for n in range(logits.shape[1]) if n != idle]
    acting = labels != idle
    right = (logits.argmax(1) == labels)[acting].mean()
    among = (np.array(actions)[logits[:, actions].argmax(1)] == labels)[acting].mean()
    say(f"idle offset {offset:+.1f}; actions {right:.3f}, told apart from each other {among:.3f}")


def shift_prior(network: Network, logits: npt.NDArray[np.floating], labels: npt.NDArray[np.int64], rare: int) -> float:
    """Give class `rare` the prior that it has in `labels`: changes the network's last bias, and `logits` (n, classes)
    in place. What was added."""
    offset = fit_idle_offset(logits, labels, rare)
    logits[:, rare] += offset
    with torch.no_grad():
        last_layer(network).bias[rare] += offset
    return offset


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
    x, kept = plain(drawn.whole(one), shape), starts // drawn.every
    with torch.inference_mode():
        if sees_frames(network):  # each frame once, however many windows share it
            frames = torch.split(x.transpose(0, 1), BATCH * shape.frames)
            each = torch.cat([network.frame_features(part) for part in frames])
            numbers = torch.from_numpy(kept)[:, None] + torch.arange(shape.frames)
            parts = [network.temporal(each[some]) for some in torch.split(numbers, BATCH * shape.frames)]
        else:
            parts = []
            for n in range(0, len(kept), BATCH):
                windows = torch.stack([x[:, s : s + shape.frames] for s in kept[n : n + BATCH]])
                parts.append(network.embed(windows.contiguous(memory_format=torch.channels_last_3d)))
        embedding = torch.cat(parts)
        logits = network.head(embedding)
    middle = starts + shape.window_size // 2
    return SeenStream(embedding.numpy(), logits.numpy(), label[middle], context[middle])
