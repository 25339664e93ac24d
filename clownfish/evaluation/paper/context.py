"""What the figures of one run share: streams, ρ, replayed settings and rows, each computed when first asked for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from clownfish.errors import DatasetError
from clownfish.evaluation.compare import Settings
from clownfish.evaluation.paper import EXHIBITS
from clownfish.evaluation.paper.base import Unavailable
from clownfish.evaluation.paper.data import DataSet
from clownfish.evaluation.paper.methods import similarity
from clownfish.evaluation.paper.second import Say, record_beside, told, weaker
from clownfish.evaluation.paper.sweep import Bench, Outcome, Rhos, Setting, Stream, sweep
from clownfish.evaluation.recorder import Device, Recorder, RecordSettings
from clownfish.evaluation.replay import Floats, rhos
from clownfish.pair import read_pair
from clownfish.settings import Capture, FusionSection, Plugin
from clownfish.similarity.base import Similarity
from clownfish.sources import truth_of
from clownfish.zoo import locate


@dataclass(frozen=True, slots=True)
class Models:
    """What answers, with what goes with it."""

    local: str
    remote: str
    siminet: Plugin
    discard: str
    """The early-discard model; "" where the pair has none."""
    fusion: FusionSection
    capture: Capture = field(default_factory=Capture)


def models_of(pair: str) -> Models:
    """Of a pair, by name. Raises ConfigError."""
    tree = read_pair(pair)
    weights = tree["local"].get("similarity", {}).get("weights")
    return Models(
        tree["local"]["model"],
        tree["worker"]["model"],
        Plugin("siminet", {"weights": weights} if weights else {}),
        f"{pair}/discard"
        if not pair.endswith(".toml") and locate(f"{pair}/discard").with_suffix(".json").is_file()
        else "",
        FusionSection(**tree.get("fusion", {})),
        Capture(**tree.get("capture", {})),
    )


@dataclass
class Context:
    """One data set, one pair. Figures ask it for what they need; nothing is computed twice."""

    data: DataSet
    models: Models
    dumps: Path
    """Folder of recorded answers."""
    work: Path
    """Folder for what is derived on the way, a weaker local model."""
    processes: int = 1
    device: Device = "auto"
    local2: str = ""
    """Another local model (Figure 9), in place of the derived one."""
    say: Say = lambda text: None
    _rho: dict[str, Sequence[Floats]] = field(default_factory=dict)
    _outcomes: dict[Setting, list[Outcome]] = field(default_factory=dict)
    _rows: dict[str, list[Any]] = field(default_factory=dict)

    @cached_property
    def streams(self) -> list[Stream]:
        """Recorded, or read from their dumps. Raises DatasetError for a stream without ground truth."""
        if not self.data.sources:
            raise DatasetError(f"{self.data.name}: no streams to measure on")
        found = []
        for source in self.data.sources:
            truth = truth_of(source)
            if truth is None:
                raise DatasetError(f"{source} has no ground truth: put a .csv beside it")
            dump = self.recorder.dump(source, told(self.say, f"{source}: both models"))
            found.append(Stream(source, dump, truth))
        return found

    @cached_property
    def recorder(self) -> Recorder:
        """Of this pair. Raises ModelError where the two do not fit."""
        made = self.models
        settings = RecordSettings(
            made.local,
            made.remote,
            width=made.capture.width,
            height=made.capture.height,
            device=self.device,
            discard=made.discard,
        )
        return Recorder(settings, self.dumps)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.streams[0].dump.header.classes

    def similarity(self, method: str, stream: Stream) -> Similarity:
        """The similarity of that method for that stream; the oracle looks up its truth."""
        plugin = similarity(method, self.models.siminet)
        return Settings(similarity=plugin).build_similarity(stream.dump, stream.truth)

    def rho(self, method: str) -> Sequence[Floats]:
        """ρ of each stream, see `replay.rhos`."""
        if method not in self._rho:
            self.say(f"{self.data.name}: similarity of neighbours, {method} …")
            self._rho[method] = [rhos(stream.dump, self.similarity(method, stream)) for stream in self.streams]
        return self._rho[method]

    def outcomes(self, settings: Iterable[Setting]) -> dict[Setting, list[Outcome]]:
        """Each setting replayed over all streams."""
        wanted = list(dict.fromkeys(settings))
        new = [setting for setting in wanted if setting not in self._outcomes]
        if new:
            rho: Rhos = {setting.method: self.rho(setting.method) for setting in new}
            self.say(f"{self.data.name}: {len(new)} settings over {len(self.streams)} streams …")
            self._outcomes |= sweep(Bench(self.streams, rho, self.models.fusion), new, self.processes)
        return {setting: self._outcomes[setting] for setting in wanted}

    def rows(self, name: str) -> list[Any]:
        """The rows of a figure. Raises ConfigError for an unknown one, Unavailable where there is nothing to show."""
        if name not in self._rows:
            exhibit = EXHIBITS.get(name)
            self.say(f"{self.data.name}: {exhibit.title} …")
            self._rows[name] = exhibit.rows_as(exhibit.compute(self))
        return self._rows[name]

    @cached_property
    def cross_view(self) -> Context:
        """The same performances from a view that training has not seen. Raises Unavailable."""
        if not self.data.cross_view:
            raise Unavailable(f"{self.data.name} has one view of each scene: there is no cross-view test to be had")
        data = replace(self.data, name=f"{self.data.name}, left", sources=self.data.cross_view, cross_view=())
        return self._like(data, self.models)

    @cached_property
    def second_local(self) -> Context:
        """The same streams and remote model with another local model. Raises Unavailable, ModelError."""
        local = self.local2
        if not local:
            if self.data.weaker is None:
                raise Unavailable(f"{self.data.name} has no second local model: name one with --local2")
            local = weaker(self.models.local, self.data.weaker, self.work)
        other = self._like(self.data, replace(self.models, local=local))
        other.streams = [
            Stream(each.source, record_beside(other.recorder, each.source, each.dump, self.say), each.truth)
            for each in self.streams
        ]
        return other

    def _like(self, data: DataSet, models: Models) -> Context:
        return Context(data, models, self.dumps, self.work, self.processes, self.device, say=self.say)


def all_cores() -> int:
    """How many processes may compute at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
