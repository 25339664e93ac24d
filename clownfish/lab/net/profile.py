"""Network profiles: TOML files that say what a network is like. To add one: a file in configs/network.

    about = "one line for people"
    [up]                        # edge to cloud: delay_ms, jitter_ms, loss, reorder, rate_mbit, queue_bytes (see Shape)
    [down]                      # cloud to edge
    repeat = true               # after the last phase the first again
    by = "time"                 # or "video": the next phase with each video that is played
    [[phases]]                  # none: it stays as it is
    for_s = 60
    up = { rate_mbit = 5 }      # what differs from [up]
    trace = "lte.csv"           # or, in place of phases, a CSV file beside: t_s, rtt_ms, rate_mbit

A trace is what `clownfish eval` replays, too: a row a change, lines that begin with # are comments. Its rtt_ms is
shared evenly by the two directions, its rate_mbit is the one up, and 0 there an outage both ways.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from clownfish.config import read_toml, validate_as
from clownfish.errors import ConfigError
from clownfish.evaluation.trace import read_trace
from clownfish.lab.net.shape import Phase, Shape, Timeline

_CLONE = Path(__file__).parents[3] / "configs" / "network"
_PACKAGE = Path(__file__).parent / "profiles"


@dataclass(frozen=True)
class Profile:
    """A network, by name."""

    name: str
    about: str
    timeline: Timeline


@dataclass(frozen=True, kw_only=True)
class _File:
    """The file as it stands, the phases' differences already filled up."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    about: str = ""
    up: Shape = field(default_factory=Shape)
    down: Shape = field(default_factory=Shape)
    repeat: bool = False
    by: Literal["time", "video"] = "time"
    phases: tuple[Phase, ...] = ()
    trace: str = ""

    def __post_init__(self) -> None:
        if self.trace and self.phases:
            raise ValueError("has phases and a trace; expected one of them")
        if self.repeat and self.by == "time" and any(math.isinf(phase.for_s) for phase in self.phases):
            raise ValueError("repeats, but a phase has no for_s and never ends")
        if any(math.isinf(phase.for_s) for phase in self.phases[:-1]) and self.by == "time":
            raise ValueError("a phase before the last has no for_s and never ends")


def folder() -> Path:
    """Where the profiles are: in a clone configs/network, else in the package."""
    return _CLONE if _CLONE.is_dir() else _PACKAGE


def known_profiles() -> list[str]:
    """Names of the profiles there are."""
    return sorted(path.stem for path in folder().glob("*.toml"))


def read_profile(name: str) -> Profile:
    """The profile called so, or in the .toml file of that path.

    Raises ConfigError naming the known ones, or every fault of the file.
    """
    path = Path(name) if name.endswith(".toml") else folder() / f"{name}.toml"
    if not name.endswith(".toml") and name not in known_profiles():
        raise ConfigError(f"unknown network profile {name!r}; known: {', '.join(known_profiles())}, or a .toml file")
    tree = read_toml(path)
    file = validate_as(_File, _filled_up(tree), str(path))
    if file.trace:
        phases = _phases_of_trace(path.parent / file.trace, file.up, file.down)
    else:
        phases = file.phases or (Phase(up=file.up, down=file.down),)
    return Profile(path.stem, file.about, Timeline(phases, file.repeat, file.by))


def _filled_up(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Each phase with the whole of its directions. What has another form than that is left for the validation."""
    filled = dict(tree)
    if isinstance(tree.get("phases"), list):
        filled["phases"] = [_filled_up_phase(tree, phase) for phase in tree["phases"]]
    return filled


def _filled_up_phase(tree: Mapping[str, Any], phase: Any) -> Any:
    if not isinstance(phase, dict):
        return phase
    directions = {}
    for name in ("up", "down"):
        base, differs = tree.get(name, {}), phase.get(name, {})
        both = isinstance(base, dict) and isinstance(differs, dict)
        directions[name] = {**base, **differs} if both else differs
    return {**phase, **directions}


def _phases_of_trace(path: Path, up: Shape, down: Shape) -> tuple[Phase, ...]:
    """A phase for each row. The first counts before its time, too; the last one lasts as long as the one before it.

    Raises ConfigError.
    """
    rows = read_trace(path)
    ends = [t_s for t_s, _, _ in rows[1:]]
    last_s = rows[-1][0] + (rows[-1][0] - rows[-2][0] if len(rows) > 1 else 1.0)
    phases = []
    begin_s = 0.0
    for (t_s, rtt_ms, rate_mbit), end_s in zip(rows, [*ends, last_s], strict=True):
        change: dict[str, Any] = {"delay_ms": rtt_ms / 2, **({"loss": 1.0} if rate_mbit == 0 else {})}
        rate: dict[str, Any] = {"rate_mbit": rate_mbit} if rate_mbit else {}
        try:
            phases.append(Phase(up=replace(up, **change, **rate), down=replace(down, **change), for_s=end_s - begin_s))
        except ValueError as error:
            raise ConfigError(f"{path}: the row with t_s = {t_s:g}: {error}") from error
        begin_s = end_s
    return tuple(phases)
