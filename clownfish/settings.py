"""Settings: what a configuration says, as plain values with defaults and bounds (layer 1).

`config` reads and validates files against these types with pydantic. Services read only what the supervisor has
validated already (`load_validated`), with the standard library: that spares each of nine processes 14 MB.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from clownfish.errors import ConfigError
from clownfish.section import Name, Plugin, Section
from clownfish.sections.cloud import CanarySection, Pool, Router, Worker
from clownfish.sections.edge import (
    Adaptive,
    Capture,
    EventsSection,
    Filter,
    FusionSection,
    Local,
    RecordSection,
    SinkSection,
    Stream,
    Uplink,
    WindowSection,
)
from clownfish.sections.watching import Link, Metrics, Page, Trace

__all__ = [
    "Adaptive",
    "CanarySection",
    "Capture",
    "Config",
    "EventsSection",
    "Filter",
    "FusionSection",
    "Graph",
    "Link",
    "Local",
    "Log",
    "Metrics",
    "Page",
    "Plugin",
    "Pool",
    "RecordSection",
    "Router",
    "SinkSection",
    "Stream",
    "Trace",
    "Uplink",
    "WindowSection",
    "Worker",
    "ipc_in",
    "load_validated",
    "run_root",
    "section_of",
    "to_tree",
]

S = TypeVar("S")


@dataclass(frozen=True, kw_only=True)
class Graph(Section):
    """The processes of one file, together."""

    name: Name = "clownfish"
    """Two graphs on one box need two names."""
    run_dir: str = ""
    """Folder of sockets, locks and counters, mode 0700. Default: a folder of this user's and this graph's name."""


@dataclass(frozen=True, kw_only=True)
class Log(Section):
    """What processes log, on standard error."""

    format: Literal["auto", "console", "json"] = "auto"
    """`auto`: for people on a terminal, JSON elsewhere."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is logged."""


@dataclass(frozen=True, kw_only=True)
class Config(Section):
    """The whole file."""

    graph: Graph = Graph()
    log: Log = Log()
    streams: tuple[Stream, ...] = ()
    capture: Capture = field(default_factory=Capture)
    window: WindowSection = field(default_factory=WindowSection)
    local: Local | None = None
    filter: Filter = field(default_factory=Filter)
    uplink: Uplink | None = None
    fusion: FusionSection = field(default_factory=FusionSection)
    events: EventsSection = field(default_factory=EventsSection)
    sinks: tuple[SinkSection, ...] = ()
    record: RecordSection | None = None
    router: Router | None = None
    worker: Worker | None = None
    pool: Pool | None = None
    page: Page | None = None
    link: Link | None = None
    metrics: Metrics | None = None
    trace: Trace | None = None

    def __post_init__(self) -> None:
        if self.streams and self.local is None:
            raise ValueError("streams need a [local] section with a model")
        if not self.streams and self.router is None and self.worker is None:
            raise ValueError("nothing to start: give [[streams]], [router] or [worker]")
        if self.pool is not None and (self.router is None or self.worker is None):
            raise ValueError("[pool] needs [router], whose queue it watches, and [worker], which says what it runs")
        for what, names in (("stream", [s.name for s in self.streams]), ("sink", [s.name for s in self.sinks])):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"two {what}s are called {twice[0]!r}; each needs a name of its own")

    def run_dir(self) -> Path:
        """Where this graph's sockets, locks and counters live."""
        if self.graph.run_dir:
            return Path(self.graph.run_dir)
        return run_root() / self.graph.name

    def state_dir(self) -> Path:
        """Where lies what should outlive a restart of the box: spools, events."""
        state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
        return state / "clownfish" / self.graph.name

    def ipc(self, name: str) -> str:
        """Endpoint of the socket called `name`, bound by its receiver. Raises ConfigError if its path is too long."""
        return ipc_in(self.run_dir(), name)


def run_root() -> Path:
    """Where the run folders of this user's graphs are, unless a configuration names another."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    return Path(base) / "clownfish" if base else Path(tempfile.gettempdir()) / f"clownfish-{os.getuid()}"


def ipc_in(run_dir: Path, name: str) -> str:
    """Endpoint of a socket of the graph in `run_dir`. Raises ConfigError if its path is too long."""
    path = str(run_dir.absolute() / f"{name}.ipc")
    if len(path.encode()) > 100:  # sun_path holds 108 bytes
        raise ConfigError(f"graph.run_dir: socket path {path!r} is longer than 100 bytes; choose a shorter run_dir")
    return f"ipc://{path}"


def to_tree(value: Any) -> Any:
    """Settings as tables, lists and values: what JSON holds, and `load_validated` reads."""
    if isinstance(value, Plugin):
        return value.table()
    if is_dataclass(value):
        return {each.name: to_tree(getattr(value, each.name)) for each in fields(value)}
    return [to_tree(each) for each in value] if isinstance(value, tuple) else value


def load_validated(path: Path) -> Config:
    """The settings that the supervisor has validated and written. Raises ConfigError where the file is no such one."""
    try:
        config: Config = _from_tree(Config, json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(f"{path}: is no configuration that `clownfish up` wrote: {error!r}") from error
    return config


def section_of(kind: type[S], tree: Mapping[str, Any], where: str) -> S:
    """One section, as `to_tree` gave it, validated before. Raises ConfigError where it is none of this release."""
    try:
        section: S = _from_tree(kind, tree)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(f"{where}: these settings are not of this release: {error}") from error
    return section


def _from_tree(kind: Any, value: Any) -> Any:
    """A value of the annotated type `kind`."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _from_tree(arguments[0], value)
    if origin is tuple:
        return tuple(_from_tree(arguments[0], each) for each in value)
    if value is not None and type(None) in arguments:
        return _from_tree(Union[tuple(each for each in arguments if each is not type(None))], value)  # noqa: UP007
    if kind is Plugin:
        return Plugin.from_table(value)
    if is_dataclass(kind) and isinstance(kind, type):
        hints = get_type_hints(kind, include_extras=True)
        return kind(**{name: _from_tree(hints[name], each) for name, each in value.items()})
    return value
