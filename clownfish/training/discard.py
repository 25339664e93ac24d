"""Training an early-discard model (§VI-G): a light classifier on the edge that says whether a window is worth sending.

It is a classifier of two classes, `discard` and `send`, and trained as any other; what differs is that the data set's
classes are put together, that the rarer side counts as much as the other in the loss, and that a threshold is chosen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from clownfish.datasets.base import Clip
from clownfish.datasets.drawn import DRAWN
from clownfish.datasets.joined import Segment
from clownfish.errors import ConfigError, DatasetError
from clownfish.models.adapter import Network
from clownfish.models.description import DISCARD, DISCARD_CLASSES, SEND, ModelDescription
from clownfish.models.load import build, channels_last, pick_device
from clownfish.training.cache import FrameCache
from clownfish.training.calibrate import expected_calibration_error, fit_temperature, softmax
from clownfish.training.classifier import Trained, announce, describe, prepare
from clownfish.training.config import Discard, DiscardConfig
from clownfish.training.device import on_device
from clownfish.training.drawn import DrawnData, clips_of, see_drawn, shift_prior
from clownfish.training.export import export
from clownfish.training.initial import begin
from clownfish.training.loop import fit
from clownfish.training.progress import Say
from clownfish.training.streams import joined_streams, see
from clownfish.training.threshold import AtThreshold, at_threshold, choose_threshold

CLASSES = DISCARD_CLASSES

Logits = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Judge = Callable[[Network], tuple[Logits, Labels]]
"""Network in eval mode → (logits (windows, 2), labels (windows,)) of the validation streams."""


class DrawnDiscardConfig(DiscardConfig):
    """`clownfish train discard` where the data set is a drawn one."""

    data: DrawnData


@dataclass(frozen=True, slots=True)
class TrainedDiscard:
    """What came out, on the validation streams."""

    trained: Trained
    positive: tuple[str, ...]
    half: AtThreshold
    """At p = 0.5."""
    chosen: AtThreshold
    """At the threshold that reaches the recall asked for, which the description names."""


def relevant(classes: Sequence[str], options: Discard, idle: str | None = None) -> tuple[str, ...]:
    """The classes worth sending. Raises ConfigError for a class that is not there, or where none or all are left."""
    background = options.background or idle or ""
    for key, names in (("positive", options.positive), ("background", (background,) if background else ())):
        for name in names:
            if name not in classes:
                raise ConfigError(f"discard.{key}: no class {name!r}; there are {', '.join(classes)}")
    if not options.positive and not background:
        raise ConfigError("discard: name the `positive` classes, or the one that is `background`")
    found = tuple(c for c in classes if (c in options.positive if options.positive else c != background))
    if len(found) in (0, len(classes)):
        raise ConfigError(f"discard: {len(found)} of {len(classes)} classes are worth sending; some must be, some not")
    return found


def train_discard(config: DiscardConfig, say: Say = print) -> TrainedDiscard:
    """Train, going on from a checkpoint, calibrate, choose the threshold, and write weights and description.

    Raises ConfigError or DatasetError before training starts, ModelError when the loss is no longer finite.
    """
    torch.manual_seed(config.seed)
    if isinstance(config, DrawnDiscardConfig):
        cache, train, validation, positive, judge = _drawn(config, say)
    else:
        cache, train, validation, positive, judge = _joined(config, say)
    count = Counter(clip.label for clip in train)
    say(f"{count['send']} training clips worth sending ({', '.join(positive)}), {count['discard']} not")
    # what `torch.nn.functional.cross_entropy` calls class weights: both sides together weigh the same
    weights = torch.tensor([len(train) / (2 * count[name]) for name in CLASSES])
    description = describe(config, CLASSES)
    network = channels_last(build(description))
    begin(network, cache, train, CLASSES, config, say)
    fit(network, cache, train, validation, CLASSES, config, say, weights)
    network.eval()
    with on_device(network, pick_device(config.device)) as there:
        logits, labels = judge(there)
    return _calibrate_and_export(config, network, description, positive, logits, labels, say)


def _calibrate_and_export(
    config: DiscardConfig,
    network: Network,
    description: ModelDescription,
    positive: tuple[str, ...],
    logits: Logits,
    labels: Labels,
    say: Say,
) -> TrainedDiscard:
    if len(np.unique(labels)) < 2:
        raise DatasetError("the validation streams show one side alone; they must show what is sent and what is not")
    before = expected_calibration_error(softmax(logits), labels)
    shift_prior(network, logits, labels, DISCARD)  # the balanced loss has hidden how rare a side is
    temperature = fit_temperature(logits, labels)
    p = softmax(logits, temperature)
    half = at_threshold(p[:, SEND], labels == SEND, 0.5)
    chosen = at_threshold(
        p[:, SEND], labels == SEND, choose_threshold(p[:, SEND], labels == SEND, config.discard.recall)
    )
    trained = Trained(
        description.model_copy(update={"temperature": round(temperature, 4), "threshold": chosen.threshold}),
        accuracy=float((p.argmax(1) == labels).mean()),
        calibration_error=expected_calibration_error(p, labels),
        calibration_error_before=before,
    )
    export(config.output, network, trained.description)
    announce(config.name, trained, say)
    for one in (half, chosen):
        say(f"{config.name}: {one}")
    return TrainedDiscard(trained, positive, half, chosen)


def _relabelled(clips: Sequence[Clip], positive: Sequence[str]) -> list[Clip]:
    return [replace(clip, label=CLASSES[clip.label in positive]) for clip in clips]


def _joined(config: DiscardConfig, say: Say) -> tuple[FrameCache, list[Clip], list[Clip], tuple[str, ...], Judge]:
    """Clips, judged on streams joined by their own classes, so that contexts follow each other as they do elsewhere."""
    cache, train, validation, classes = prepare(config, say)
    positive = relevant(classes, config.discard)
    streams = [
        [
            Segment(clip, s.start, s.end)
            for s, clip in zip(stream, _relabelled([s.clip for s in stream], positive), strict=True)
        ]
        for stream in joined_streams(cache, validation, np.random.default_rng(config.seed))
    ]

    def judge(network: Network) -> tuple[Logits, Labels]:
        seen = [see(network, cache, stream, CLASSES, config.input) for stream in streams]
        return np.concatenate([s.logits for s in seen]), np.concatenate([s.label for s in seen])

    return cache, _relabelled(train, positive), _relabelled(validation, positive), positive, judge


def _drawn(config: DrawnDiscardConfig, say: Say) -> tuple[FrameCache, list[Clip], list[Clip], tuple[str, ...], Judge]:
    """Stretches of drawn streams, judged on whole ones."""
    of = DRAWN[config.data.dataset]
    positive = relevant(of.classes, config.discard, of.idle)
    drawn = config.data.draw(config.input.frame_step, say)
    names = [f"validation/{i}" for i in config.data.validation_groups]
    train, spans = clips_of(drawn, [f"train/{i}" for i in range(config.data.train_streams)])
    validation, more = clips_of(drawn, names)
    side = np.array([name in positive for name in of.classes]).astype(np.int64)

    def judge(network: Network) -> tuple[Logits, Labels]:
        seen = [see_drawn(network, drawn, drawn.streams[name], config.input) for name in names]
        return np.concatenate([s.logits for s in seen]), side[np.concatenate([s.label for s in seen])]

    cache = FrameCache(drawn.pixels, spans | more, drawn.every)
    return cache, _relabelled(train, positive), _relabelled(validation, positive), positive, judge
