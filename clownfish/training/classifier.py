"""Training one classifier: probe, fit, calibrate, export (§VI-A). The local and the remote model differ in
configuration only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from clownfish.datasets.base import Clip
from clownfish.models.adapter import Network
from clownfish.models.description import ModelDescription
from clownfish.models.load import build, channels_last, pick_device
from clownfish.training.cache import FrameCache
from clownfish.training.calibrate import expected_calibration_error, fit_temperature, softmax, verdict
from clownfish.training.config import ClassifierConfig
from clownfish.training.data import prepared
from clownfish.training.device import on_device
from clownfish.training.export import export
from clownfish.training.initial import begin
from clownfish.training.loop import fit
from clownfish.training.probe import Known
from clownfish.training.progress import Say
from clownfish.training.streams import joined_streams, see


@dataclass(frozen=True, slots=True)
class Trained:
    """What came out, on the joined validation streams."""

    description: ModelDescription
    accuracy: float
    """Share of windows whose answer is the class of their middle frame."""
    calibration_error: float
    calibration_error_before: float


def describe(config: ClassifierConfig, classes: tuple[str, ...]) -> ModelDescription:
    """Of a network that has yet to be trained and calibrated."""
    return ModelDescription(
        name=config.name,
        architecture=config.architecture,
        options=config.options,
        classes=classes,
        input=config.input,
        feature=config.feature,
        temperature=1.0,
    )


def announce(name: str, trained: Trained, say: Say) -> None:
    """What came out, and whether its confidence can be believed."""
    say(
        f"{name}: validation windows {trained.accuracy:.3f}, temperature {trained.description.temperature:.3f}, "
        f"calibration error {trained.calibration_error_before:.3f} → {trained.calibration_error:.3f}"
    )
    if verdict(trained.calibration_error):
        say(f"{name}: {verdict(trained.calibration_error)}")


def prepare(config: ClassifierConfig, say: Say) -> tuple[FrameCache, list[Clip], list[Clip], tuple[str, ...]]:
    """(cache, training clips, validation clips, classes); decodes where that has not been done."""
    found = prepared(config.data, config.input.frame_step, config.input.window_size, say)
    return found.cache, found.train, found.validation, found.classes


def train_classifier(config: ClassifierConfig, say: Say = print) -> Trained:
    """Train, resume where a checkpoint of the same configuration lies, and write weights, description and card.

    Raises DatasetError or ConfigError before training starts, ModelError when the loss is no longer finite.
    """
    torch.manual_seed(config.seed)
    cache, train, validation, classes = prepare(config, say)
    description = describe(config, classes)
    network = channels_last(build(description))
    known: Known = {}
    begin(network, cache, train, classes, config, say, known)
    fit(network, cache, train, validation, classes, config, say)
    network.eval()
    rng = np.random.default_rng(config.seed)
    streams = joined_streams(cache, validation, rng)
    with on_device(network, pick_device(config.device)) as there:
        seen = [see(there, cache, stream, classes, config.input) for stream in streams]
    logits, labels = np.concatenate([s.logits for s in seen]), np.concatenate([s.label for s in seen])
    temperature = fit_temperature(logits, labels)
    trained = Trained(
        description=description.model_copy(update={"temperature": round(temperature, 4)}),
        accuracy=float((logits.argmax(1) == labels).mean()),
        calibration_error=expected_calibration_error(softmax(logits, temperature), labels),
        calibration_error_before=expected_calibration_error(softmax(logits), labels),
    )
    if config.fit.refit:
        network = _refit(description, cache, train + validation, validation, config, say, known)
    export(config.output, network, trained.description)
    announce(config.name, trained, say)
    return trained


def _refit(
    description: ModelDescription,
    cache: FrameCache,
    clips: list[Clip],
    validation: list[Clip],
    config: ClassifierConfig,
    say: Say,
    known: Known,
) -> Network:
    """The same recipe from its initial weights on all clips, in a run folder of its own. What its log says of
    validation clips is of clips that it learned from."""
    say(f"{config.name}: once more, on the validation groups, too")
    again = config.model_copy(update={"name": f"{config.name}-refit"})
    torch.manual_seed(config.seed)
    network = channels_last(build(description))
    begin(network, cache, clips, description.classes, again, say, known)
    fit(network, cache, clips, validation, description.classes, again, say)
    return network.eval()
