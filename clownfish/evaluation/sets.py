"""Evaluation sets: labelled streams, and the pair of models that goes with them, under one name.

`puppets` are streams 0 to 11 of the embedded set's test or validation split, answered by `zoo:puppets`; `ucf9` are the
six dev streams of nine classes of UCF-101, answered by `zoo:ucf9`. θ, n_w and SimiNet are those of the pair's file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clownfish.config import validate
from clownfish.datasets import open_dataset
from clownfish.datasets.probe import Probe
from clownfish.errors import ConfigError, DatasetError, ModelError
from clownfish.evaluation.early_discard import Discarding
from clownfish.evaluation.recorder import Device, Precision, RecordSettings
from clownfish.models.description import read_description
from clownfish.pair import DEFAULT, EarlyDiscard, read_discard, read_pair
from clownfish.settings import FusionSection, Plugin
from clownfish.sources import truth_of
from clownfish.sources.truth import Context, Truth

UCF9_VARIABLE = "CLOWNFISH_UCF9"
"""Environment: the folder of ucf9, where no option names it."""
UCF9_ROOT = Path("../shared/data/ucf9")

PUPPETS = 12
"""Streams of each part."""


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """What is measured on, and with which models."""

    pair: str
    """`zoo:SET`, or a .toml file."""
    sources: Mapping[str, Truth | None]
    """Source → its ground truth, None where there is none."""
    name: str = ""
    """"" for streams that were named one by one."""
    part: str = ""


def evaluation_set(name: str, part: str = "test", root: Path | None = None, read: bool = True) -> EvaluationSet:
    """The set of that name. `root`: the folder of one that lies on the disk; without it the environment says where.
    Unless it is to be read, its streams are not looked for, and it has none.

    Raises ConfigError for an unknown set or part, and DatasetError where its folder is not there.
    """
    if name not in SETS:
        raise ConfigError(f"no evaluation set {name!r}; known: {', '.join(SETS)}")
    parts, sources = SETS[name]
    if part not in parts:
        raise ConfigError(f"{name} has no part {part!r} of labelled streams; it has {', '.join(parts)}")
    return EvaluationSet(f"zoo:{name}", sources(part, root) if read else {}, name, part)


def _puppets(part: str, root: Path | None) -> Mapping[str, Truth | None]:
    if root is not None:
        raise ConfigError(f"puppets are drawn and lie in no folder: leave out the root {root}")
    return {source: truth_of(source) for source in (f"puppets:{part}/{n}" for n in range(PUPPETS))}


def _ucf9(part: str, root: Path | None) -> Mapping[str, Truth | None]:
    folder = root or Path(os.environ.get(UCF9_VARIABLE) or UCF9_ROOT)
    if not folder.is_dir():
        raise DatasetError(
            f"{folder}: no such folder; the streams of ucf9 (clips of UCF-101) are not part of this package: name "
            f"their folder with --root or {UCF9_VARIABLE}"
        )
    return streams_of("ucf9", folder, ())


Sources = Callable[[str, "Path | None"], Mapping[str, "Truth | None"]]

SETS: Mapping[str, tuple[tuple[str, ...], Sources]] = {
    "puppets": (("test", "validation"), _puppets),
    "ucf9": (("test",), _ucf9),
}
"""Name → (its parts, (part, root) → its sources)."""


def streams_of(dataset: str, root: Path | None, options: Iterable[str]) -> dict[str, Truth | None]:
    """Video file → its truth, of all streams of a data set. Raises ConfigError or DatasetError; also for a set that has
    no streams."""
    from clownfish.training.data import options_of

    if root is None:
        raise ConfigError(f"--dataset {dataset}: its folder is missing; say --root FOLDER")
    found: dict[str, Truth | None] = {}
    for stream in open_dataset(dataset, root, Probe(), options_of(options)).streams():
        found[str(stream.path)] = Truth(tuple(Context(i.start, i.end, i.label) for i in stream.intervals))
    if not found:
        raise DatasetError(f"{root}: holds no streams: no part of it is held back to measure on")
    return found


@dataclass(frozen=True, slots=True)
class PairSettings:
    """What a pair's file says to an evaluation."""

    record: RecordSettings
    fusion: FusionSection = field(default_factory=FusionSection)
    siminet: str = ""
    """Weights of its SimiNet; "" where it has none."""
    policy: Plugin = field(default_factory=lambda: Plugin("context_aware"))
    discard: Discarding | None = None


def pair_settings(
    pair: str = DEFAULT,
    *,
    local: str = "",
    remote: str = "",
    discard: str = "",
    codec: Plugin | None = None,
    device: Device = "auto",
    precision: Precision = "fp32",
) -> PairSettings:
    """The settings of a pair, its models replaced by those that are named.

    Its early-discard model is left out where another local or remote model is named, whose classes may be others; it
    counts again where `discard` names one. Raises ConfigError or ModelError.
    """
    tree = read_pair(pair)
    sections: dict[str, Any] = {name: tree[name] for name in ("capture", "filter", "fusion") if name in tree}
    read = validate({"router": {}, **sections}, pair)
    early = read_discard(pair)
    if local or remote:
        early = None
    if discard:
        early = EarlyDiscard(discard, *((early.positive, early.background) if early is not None else ()))
    return PairSettings(
        RecordSettings(
            local=local or tree["local"]["model"],
            remote=remote or tree["worker"]["model"],
            codec=codec or Plugin("jpeg"),
            width=read.capture.width,
            height=read.capture.height,
            device=device,
            precision=precision,
            discard="" if early is None else early.model,
        ),
        read.fusion,
        tree["local"].get("similarity", {}).get("weights", ""),
        read.filter.policy,
        None if early is None else Discarding(early, _threshold(early.model)),
    )


def _threshold(model: str) -> float:
    threshold = read_description(model).threshold
    if threshold is None:
        raise ModelError(f"{model} has no threshold: an early-discard model is trained with `clownfish train discard`")
    return threshold
