"""Everything that a run left behind (layer 4)."""

from __future__ import annotations

from dataclasses import dataclass, field

from clownfish.evaluation.dump import Dump
from clownfish.evaluation.metrics import Ints
from clownfish.messages import Status
from clownfish.settings import Config


@dataclass
class Usage:
    """What one process used."""

    begin: tuple[float, float]
    """(monotonic seconds, processor seconds) when the stream began."""
    cpu_share: float = 0.0
    """Of one core, since the stream began."""
    peak_mb: float = 0.0


@dataclass
class Outcome:
    """Everything that a run left behind."""

    config: Config
    statuses: dict[str, Status] = field(default_factory=dict)
    ready_s: dict[str, float | None] = field(default_factory=dict)
    restarts: dict[str, int] = field(default_factory=dict)
    usage: dict[str, Usage] = field(default_factory=dict)
    frames: int = 0
    live: dict[int, str] = field(default_factory=dict)
    """Label of each window's revision 0, by t."""
    final: dict[int, str] = field(default_factory=dict)
    rho: dict[int, float] = field(default_factory=dict)
    beta: dict[int, float] = field(default_factory=dict)
    """As it was live."""
    arrivals: dict[int, int] = field(default_factory=dict)
    """Window that the cloud answered → newest window when that was applied."""
    confusions: dict[str, Ints] = field(default_factory=dict)
    """Scored frames by method, see `evaluation.metrics.confusion`."""
    dump: Dump | None = None
    """Both models' answers for every window."""
    interrupted: bool = False
