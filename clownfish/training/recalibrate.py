"""`clownfish calibrate`: a new temperature for a model that is there, trained here or not."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from clownfish.atomic import check_writable
from clownfish.classes import difference
from clownfish.datasets.drawn import DRAWN, draw_streams
from clownfish.errors import ConfigError, ModelError
from clownfish.models.adapter import Network
from clownfish.models.description import ModelDescription, read_description
from clownfish.models.load import build, channels_last, load_model, load_weights, pick_device
from clownfish.training.calibrate import (
    expected_calibration_error,
    fit_temperature,
    least_error_temperature,
    softmax,
    verdict,
)
from clownfish.training.classifier import prepare
from clownfish.training.config import CalibrateConfig, ClassifierConfig
from clownfish.training.data import opened
from clownfish.training.device import on_device
from clownfish.training.discard import CLASSES, relevant
from clownfish.training.drawn import DrawnData, see_drawn
from clownfish.training.export import write_json
from clownfish.training.measure import watch
from clownfish.training.progress import Say
from clownfish.training.streams import joined_streams, see
from clownfish.zoo import locate

Logits = npt.NDArray[np.floating]
Labels = npt.NDArray[np.int64]
Judge = Callable[[], tuple[Logits, Labels]]
"""() → (logits (windows, classes), labels (windows,) in the model's classes)."""


class DrawnCalibrateConfig(CalibrateConfig):
    """`clownfish calibrate` where the data set is a drawn one."""

    data: DrawnData


@dataclass(frozen=True, slots=True)
class Calibration:
    """Temperature and expected calibration error of a model, as it was and as it is."""

    windows: int
    temperature_before: float
    temperature: float
    error_before: float
    error: float


def calibrate(config: CalibrateConfig, write: bool = True, say: Say = print) -> Calibration:
    """Fit the temperature to windows that the model was not trained on, and write it into the description.

    Raises ModelError where the model cannot be read or answers other classes, ConfigError where its description cannot
    be written, DatasetError for bad data.
    """
    description = read_description(config.model)
    path = locate(config.model).with_suffix(".json")
    if write:
        check_writable("model", path)
    logits, labels = _judge_of(config, description, say)()
    before = description.temperature
    # as rounded as the description will have it, or what is printed is not what is written
    temperature = fit_temperature(logits, labels)
    if config.slack:
        temperature = least_error_temperature(logits, labels, config.slack)
    temperature = round(temperature, 4)
    found = Calibration(
        len(labels),
        before,
        temperature,
        expected_calibration_error(softmax(logits, before), labels),
        expected_calibration_error(softmax(logits, temperature), labels),
    )
    say(
        f"{description.name}, {found.windows} windows: temperature {before:g} → {temperature:g}, expected calibration "
        f"error {100 * found.error_before:.1f} % → {100 * found.error:.1f} %"
    )
    if verdict(found.error):
        say(f"{description.name}: {verdict(found.error)}")
    if write:
        update = {"temperature": temperature}
        if description.threshold is not None:  # the same windows as before are to be sent
            update["threshold"] = _moved(description.threshold, before / temperature)
        write_json(path, description.model_copy(update=update))
        say(f"{path}: written")
    return found


def _moved(threshold: float, factor: float) -> float:
    logit = math.log(threshold / (1 - threshold)) * factor
    return min(max(1 / (1 + math.exp(-logit)), 1e-6), 1 - 1e-6)


def _judge_of(config: CalibrateConfig, description: ModelDescription, say: Say) -> Judge:
    """What gives the model's answers once it is called; classes are compared before."""
    if isinstance(config.data, DrawnData):
        if config.on == "streams":
            raise ConfigError(f"on is 'streams', but {config.data.dataset} has validation streams alone")
        return _of_drawn(config, config.data, description)
    return _of_streams(config, description) if config.on == "streams" else _of_clips(config, description, say)


def _sides(config: CalibrateConfig, description: ModelDescription, classes: Sequence[str]) -> dict[str, str]:
    """The data set's class → the model's. Raises ModelError where the model answers others."""
    if config.discard is not None:
        idle = DRAWN[config.data.dataset].idle if config.data.dataset in DRAWN else None
        positive = relevant(classes, config.discard, idle)
        named = {name: CLASSES[name in positive] for name in classes}
        answered: Sequence[str] = CLASSES
    else:
        named, answered = {name: name for name in classes}, classes
    clause = difference(description.classes, answered)
    if clause is not None:
        raise ModelError(f"data set {config.data.dataset} {clause}, compared with {config.model}")
    return named


def _network(config: CalibrateConfig, description: ModelDescription) -> Network:
    network = build(description)
    load_weights(network, locate(config.model).with_suffix(".safetensors"), description)
    return channels_last(network.eval())


def _of_clips(config: CalibrateConfig, description: ModelDescription, say: Say) -> Judge:
    # of a training configuration `prepare` reads data and input alone
    wanted = ClassifierConfig.model_construct(data=config.data, input=description.input)
    cache, _, validation, classes = prepare(wanted, say)
    named = _sides(config, description, classes)
    network = _network(config, description)

    def judge() -> tuple[Logits, Labels]:
        streams = joined_streams(cache, validation, np.random.default_rng(config.seed))
        renamed = [
            [replace(each, clip=replace(each.clip, label=named[each.clip.label])) for each in stream]
            for stream in streams
        ]
        with on_device(network, pick_device(config.device)) as there:
            seen = [see(there, cache, stream, description.classes, description.input) for stream in renamed]
        return np.concatenate([s.logits for s in seen]), np.concatenate([s.label for s in seen])

    return judge


def _of_drawn(config: CalibrateConfig, data: DrawnData, description: ModelDescription) -> Judge:
    of = DRAWN[data.dataset]
    named = _sides(config, description, of.classes)
    number = np.array([description.classes.index(named[name]) for name in of.classes])
    network = _network(config, description)

    def judge() -> tuple[Logits, Labels]:
        names = [f"validation/{i}" for i in data.validation_groups]
        size = (data.cache_width, data.cache_height)
        drawn = draw_streams(
            data.dataset, data.cache, names, [], size, description.input.frame_step, processes=data.processes
        )
        with on_device(network, pick_device(config.device)) as there:
            seen = [see_drawn(there, drawn, drawn.streams[name], description.input) for name in names]
        return np.concatenate([s.logits for s in seen]), number[np.concatenate([s.label for s in seen])]

    return judge


def _of_streams(config: CalibrateConfig, description: ModelDescription) -> Judge:
    dataset = opened(config.data)
    named = _sides(config, description, dataset.classes)
    model = load_model(config.model, device=config.device)

    def judge() -> tuple[Logits, Labels]:
        watched = []
        for stream in dataset.streams():
            intervals = tuple(replace(each, label=named[each.label]) for each in stream.intervals)
            size = (config.data.cache_width, config.data.cache_height)
            watched.append(watch(model, replace(stream, intervals=intervals), size=size))
        p, labels = np.concatenate([w.p for w in watched]), np.concatenate([w.label for w in watched])
        # softmax does not see what all logits of a window have in common, so these stand for the model's own
        logits = description.temperature * np.log(np.maximum(p[labels >= 0].astype(np.float64), 1e-30))
        return logits, labels[labels >= 0]

    return judge
