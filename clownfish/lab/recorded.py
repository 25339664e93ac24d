"""What `clownfish lab run --json` kept of an experiment, read again: one result a method and network.

The file is JSON: a list of what `clownfish.cli.experiment.Result.numbers` gives.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from clownfish.config import validate_as
from clownfish.errors import ConfigError, DatasetError


@dataclass(frozen=True, kw_only=True)
class RecordedPart:
    """One source, see `Part` there. Accuracies are shares of frames, by "live" and "final"."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    source: str
    rate_mbit: float | None
    fps: tuple[float, ...]
    up_bytes: int
    down_bytes: int
    seconds: float
    accuracy: Mapping[str, float]
    frames: int


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One method in one network, see `Result` there."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    method: str
    profile: str
    backend: str
    pair: str
    n_w: int | None
    codec: str
    fps: tuple[float, ...]
    lags: Mapping[str, int]
    """As counted live: the last is of that lag and more, as in "16+"."""
    cpu: Mapping[str, float]
    lost: Mapping[str, int]
    up_bytes: int
    down_bytes: int
    seconds: float
    interrupted: bool
    latency_ms: Mapping[str, float | None]
    age_ms: Mapping[str, float | None] = field(default_factory=dict)
    """Of windows when the router has them, since they were sent; records of before the uplink measured it have none."""
    age_bound_ms: Mapping[str, float | None] = field(default_factory=dict)
    """What that may be: round trip, own transmission, one credit."""
    beyond_bound: int = 0
    """Windows that were older."""
    accuracy: Mapping[str, float]
    frames: int
    parts: tuple[RecordedPart, ...]

    def __post_init__(self) -> None:
        for label in self.lags:
            if not label.removesuffix("+").isdecimal():
                raise ValueError(f"lags has {label!r}; expected numbers of windows, the last with a + behind")

    @property
    def answers(self) -> dict[int, int]:
        """Lag → answers applied with it, in order; what is later than was counted apart is with the last."""
        found = {int(label.removesuffix("+")): 0 for label in self.lags}
        for label, count in self.lags.items():
            found[int(label.removesuffix("+"))] += count
        return dict(sorted(found.items()))

    @property
    def key(self) -> tuple[str, str, int | None, str]:
        """What tells it from other results."""
        return self.profile, self.method, self.n_w, self.codec

    @property
    def sources(self) -> tuple[str, ...]:
        """In the order in which they were played."""
        return tuple(part.source for part in self.parts)

    def cpu_in_cloud(self, there: bool) -> float:
        """Shares of one core of all processes on that side of the network, the emulation's own left out."""
        return sum(share for name, share in self.cpu.items() if name != "link" and in_cloud(name) is there)


def in_cloud(process: str) -> bool:
    """Whether the process called so runs beyond the network."""
    return process.partition("-")[0] in ("router", "worker")


def read_recorded(path: Path) -> list[Recorded]:
    """All of a file, or of a folder's .json files in order of their names, but those that were interrupted.

    Raises DatasetError where a file cannot be read, or two results are of the same method, network, n_w and codec.
    """
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    found: dict[Any, tuple[Path, Recorded]] = {}
    for file in files:
        for result in _read(file):
            if result.interrupted:
                continue
            before, _ = found.setdefault(result.key, (file, result))
            if found[result.key][1] is not result:
                raise DatasetError(
                    f"{file}: {result.method} in {result.profile} (n_w {result.n_w}, {result.codec or 'no codec'}) "
                    f"is in {before}, too; expected one of each: take one file away, or name the other with --lab"
                )
    return [result for _, result in found.values()]


def _read(file: Path) -> list[Recorded]:
    advice = "expected what `clownfish lab run … --json` writes: record it anew"
    try:
        tree = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{file}: cannot be read ({error}); {advice}") from error
    if not isinstance(tree, list) or not all(isinstance(each, dict) for each in tree):
        raise DatasetError(f"{file}: is no list of results; {advice}")
    try:
        return [validate_as(Recorded, each, f"{file}: result {n}") for n, each in enumerate(tree)]
    except ConfigError as error:
        raise DatasetError(f"{error}; {advice}") from error
