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
from clownfish.evaluation.paper.second import record_beside, weaker
from clownfish.evaluation.paper.sweep import Bench, Outcome, Rhos, Setting, Stream, sweep
from clownfish.evaluation.recorder import Recorder, Say
from clownfish.evaluation.replay import Floats, rhos
from clownfish.evaluation.sets import PairSettings
from clownfish.lab.recorded import Recorded, read_recorded
from clownfish.models.description import check_siminet, read_description, read_siminet_description
from clownfish.similarity.base import Similarity


@dataclass
class Context:
    """One data set, one pair. Figures ask it for what they need; nothing is computed twice."""

    data: DataSet
    models: PairSettings
    dumps: Path
    """Folder of recorded answers."""
    work: Path
    """Folder for what is derived on the way, a weaker local model."""
    processes: int = 1
    say: Say = lambda text: None
    local2: str = ""
    """Another local model (Figure 9), in place of the derived one."""
    siminet2: str = ""
    """The SimiNet that was trained on it."""
    engines: tuple[str, ...] = ()
    """Of Figure 1; empty: all."""
    lab: Path | None = None
    """What `clownfish lab run --json` wrote: a file, or a folder of them. None: nothing was recorded."""
    _rho: dict[str, Sequence[Floats]] = field(default_factory=dict, repr=False)
    _outcomes: dict[Setting, list[Outcome]] = field(default_factory=dict, repr=False)
    _rows: dict[str, list[Any]] = field(default_factory=dict, repr=False)

    @cached_property
    def streams(self) -> list[Stream]:
        """Recorded, or read from their dumps. Raises DatasetError for a stream without ground truth."""
        if not self.data.sources:
            raise DatasetError(f"{self.data.name}: no streams to measure on")
        return [Stream(*each) for each in self.recorder.labelled(self.data.sources, self.say)]

    @cached_property
    def recorder(self) -> Recorder:
        """Of this pair. Raises ModelError where the two do not fit."""
        return Recorder(self.models.record, self.dumps)

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
    def experiments(self) -> list[Recorded]:
        """What the network lab recorded; nothing where there is no such file. Raises DatasetError."""
        return read_recorded(self.lab) if self.lab is not None and self.lab.exists() else []

    @cached_property
    def cross_view(self) -> Context:
        """The same performances from a view that training has not seen. Raises Unavailable."""
        if not self.data.cross_view:
            raise Unavailable(f"{self.data.name} has one view of each scene: there is no cross-view test to be had")
        return self._like(self.data.from_the_side(), self.models)

    @cached_property
    def second_local(self) -> Context:
        """The same streams and remote model with another local model. Raises Unavailable, ModelError."""
        local, siminet = self.local2, self.siminet2
        if local:
            check_siminet(read_siminet_description(siminet), read_description(local))
        elif self.data.weaker:
            # not trained for it, as the model is not: what a deployment gets that sees less than it was made for
            local, siminet = weaker(self.models.record.local, self.data.weaker, self.work), self.models.siminet
        else:
            raise Unavailable(f"{self.data.name} has no second local model: name one with --local2 and --siminet2")
        record = replace(self.models.record, local=local)
        other = self._like(self.data, replace(self.models, record=record, siminet=siminet))
        other.streams = [
            Stream(each.source, record_beside(other.recorder, each.source, each.dump, self.say), each.truth)
            for each in self.streams
        ]
        return other

    def _like(self, data: DataSet, models: PairSettings) -> Context:
        return Context(data, models, self.dumps, self.work, self.processes, self.say)


def all_cores() -> int:
    """How many processes may compute at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
