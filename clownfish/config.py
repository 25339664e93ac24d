"""Configuration: TOML, validated by these models, with errors that name file, key, what was read and what is allowed.

One schema serves edge and cloud; the sections that a file has decide what `clownfish up` starts. The environment
(`CLOWNFISH__fusion__theta=0.6`) overrides the file, and `--set fusion.theta=0.6` overrides both.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from clownfish.codecs import CODECS
from clownfish.errors import ConfigError
from clownfish.filters import FILTERS
from clownfish.registry import Registry
from clownfish.similarity import SIMILARITIES
from clownfish.sinks import SINKS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ENVIRONMENT_PREFIX = "CLOWNFISH__"

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Endpoint = Annotated[str, Field(pattern=r"^(tcp://[^\s:]+:\d{1,5}|tcp://\[[0-9a-fA-F:]+\]:\d{1,5}|ipc://.+)$")]

T = TypeVar("T")


class Section(BaseModel):
    """A table of the file. Unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Plugin(BaseModel):
    """A table that picks a plug-in by `kind`; its other keys are that plug-in's own options."""

    model_config = ConfigDict(extra="allow", frozen=True)
    kind: str

    def build(self, registry: Registry[Any], **given: Any) -> Any:
        """Construct it. Raises ConfigError where an option is unknown, missing or wrong."""
        factory = registry.get(self.kind)
        options = self.model_extra or {}
        try:
            return factory(**given, **options)
        except (TypeError, ValueError) as error:
            allowed = ", ".join(str(p) for p in inspect.signature(factory).parameters.values() if p.name not in given)
            raise ConfigError(f"{registry.kind} {self.kind!r}: {error}; its options: {allowed or 'none'}") from error


def _known(registry: Registry[Any]) -> Any:
    def check(plugin: Plugin) -> Plugin:
        if plugin.kind not in registry.names() and ":" not in plugin.kind:
            known = ", ".join(registry.names())
            raise ValueError(f"unknown {registry.kind} {plugin.kind!r}; known: {known}, or module:attribute")
        return plugin

    return AfterValidator(check)


class Graph(Section):
    name: Name = "clownfish"
    """Two graphs on one box need two names."""
    run_dir: str = ""
    """Folder of sockets, locks and counters, mode 0700. Default: a folder of this user's and this graph's name."""


class Log(Section):
    format: Literal["auto", "console", "json"] = "auto"
    """`auto`: for people on a terminal, JSON elsewhere."""
    level: Literal["debug", "info", "warning", "error"] = "info"


class Stream(Section):
    name: Name
    source: str
    """A path, or `images:FOLDER`, `camera:0`, `rtsp://…`, `gst:PIPELINE`, `puppets:test/3`."""
    fps: Annotated[float, Field(gt=0, le=1000)] | None = None
    """Overrides what the source says of itself."""
    pace: Literal["realtime", "fast"] = "realtime"
    """`fast`: as fast as the graph takes it, nothing skipped (files only)."""
    loop: bool = False


class Capture(Section):
    width: Annotated[int, Field(ge=16, le=4096)] = 172
    height: Annotated[int, Field(ge=16, le=4096)] = 128
    stall_s: Annotated[float, Field(gt=0)] = 5.0
    """A live source that delivers nothing for this long is reported as stalled."""
    retry_s: Annotated[float, Field(gt=0)] = 1.0
    """Wait before a live source that broke off is opened again; doubles up to 30 s."""


class WindowSection(Section):
    size: Annotated[int, Field(ge=1, le=256)] = 16
    stride: Annotated[int, Field(ge=1, le=256)] = 4

    @model_validator(mode="after")
    def _stride_fits(self) -> WindowSection:
        if self.stride > self.size:
            raise ValueError(f"stride {self.stride} is larger than size {self.size}: frames would never be seen")
        return self


class Local(Section):
    model: str
    """`zoo:ucf9/local`, or the path of a description (.json) beside its .safetensors."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    max_batch: Annotated[int, Field(ge=1, le=64)] = 4
    similarity: Annotated[Plugin, _known(SIMILARITIES)] = Plugin(kind="cosine")


class Filter(Section):
    policy: Annotated[Plugin, _known(FILTERS)] = Plugin(kind="context_aware")
    timeout_ms: Annotated[int, Field(gt=0)] = 1000
    """How long a window waits for its ρ."""
    capacity: Annotated[int, Field(ge=1)] = 64


class Uplink(Section):
    control: Endpoint = "tcp://127.0.0.1:7100"
    data: Endpoint = "tcp://127.0.0.1:7101"
    edge: Name = "edge"
    """This box's name, for the router's log."""
    codec: Annotated[Plugin, _known(CODECS)] = Plugin(kind="jpeg")
    backlog: Annotated[int, Field(ge=1, le=10_000)] = 16
    """Selected windows that may wait for credit; the newest wins."""
    deadline_ms: Annotated[int, Field(gt=0)] = 8000
    """After capture, when an answer can no longer matter. Default: about the fusion's horizon at 30 FPS."""


class FusionSection(Section):
    theta: Annotated[float, Field(ge=0, le=1)] = 0.5
    remote_weight: Annotated[float, Field(ge=0, le=1)] = 2 / 3
    horizon: Annotated[int, Field(ge=1, le=100_000)] = 64
    anchor_beta: Literal["max", "one"] = "max"
    drain_ms: Annotated[int, Field(ge=0)] = 10_000
    """At the end of a stream, how long late results are waited for."""


class SinkSection(Section):
    name: Name
    mode: Literal["live", "revisions", "final"] = "revisions"
    sink: Annotated[Plugin, _known(SINKS)]


class Router(Section):
    control: Endpoint = "tcp://127.0.0.1:7100"
    data: Endpoint = "tcp://127.0.0.1:7101"
    workers: Endpoint = "tcp://127.0.0.1:7102"
    insecure: bool = False
    """Listen on addresses beyond loopback without authentication. Anybody who reaches the port may use the workers."""
    windows_per_edge: Annotated[int, Field(ge=1)] = 4
    """Credit: windows an edge may have on the way or in work."""
    bytes_per_edge: Annotated[int, Field(ge=1)] = 8 * 1024 * 1024
    lease_ms: Annotated[int, Field(ge=100)] = 3000
    """Credit is void when the edge hears nothing for this long."""
    queue: Annotated[int, Field(ge=1)] = 1024
    """Windows that may wait for a worker."""
    job_lease_ms: Annotated[int, Field(ge=100)] = 10_000
    """A worker that has not answered a window for this long is taken for hung."""
    liveness_ms: Annotated[int, Field(ge=100)] = 3000
    """A worker that shows no progress and no heartbeat for this long is taken for dead."""
    max_frame_bytes: Annotated[int, Field(ge=1024, le=64 * 1024 * 1024)] = 4 * 1024 * 1024
    """One encoded frame; a peer that sends a larger one is disconnected."""
    cache_bytes: Annotated[int, Field(ge=0)] = 256 * 1024 * 1024
    """Frames kept for windows that share them, over all streams."""


class Worker(Section):
    router: Endpoint = "tcp://127.0.0.1:7102"
    model: str
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    count: Annotated[int, Field(ge=0, le=256)] = 1
    """Worker processes that `up` starts."""
    credit: Annotated[int, Field(ge=1, le=64)] = 2
    """Jobs a worker may hold: one in work, the others arriving meanwhile."""


class Config(Section):
    """The whole file."""

    graph: Graph = Graph()
    log: Log = Log()
    streams: tuple[Stream, ...] = ()
    capture: Capture = Capture()
    window: WindowSection = WindowSection()
    local: Local | None = None
    filter: Filter = Filter()
    uplink: Uplink | None = None
    fusion: FusionSection = FusionSection()
    sinks: tuple[SinkSection, ...] = ()
    router: Router | None = None
    worker: Worker | None = None

    @model_validator(mode="after")
    def _whole(self) -> Config:
        if self.streams and self.local is None:
            raise ValueError("streams need a [local] section with a model")
        if not self.streams and self.router is None and self.worker is None:
            raise ValueError("nothing to start: give [[streams]], [router] or [worker]")
        for what, names in (("stream", [s.name for s in self.streams]), ("sink", [s.name for s in self.sinks])):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"two {what}s are called {twice[0]!r}; each needs a name of its own")
        return self

    def run_dir(self) -> Path:
        """Where this graph's sockets, locks and counters live."""
        if self.graph.run_dir:
            return Path(self.graph.run_dir)
        base = os.environ.get("XDG_RUNTIME_DIR")
        root = Path(base) / "clownfish" if base else Path(tempfile.gettempdir()) / f"clownfish-{os.getuid()}"
        return root / self.graph.name

    def ipc(self, name: str) -> str:
        """Endpoint of the socket called `name`, bound by its receiver. Raises ConfigError if its path is too long."""
        path = str(self.run_dir().absolute() / f"{name}.ipc")
        if len(path.encode()) > 100:  # sun_path holds 108 bytes
            raise ConfigError(f"graph.run_dir: socket path {path!r} is longer than 100 bytes; choose a shorter run_dir")
        return f"ipc://{path}"


def parse_value(text: str) -> Any:
    """A TOML value, or the text itself where it is none: `0.6`, `true`, `["a"]`, `puppets:test/3`."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _put(tree: dict[str, Any], keys: list[str], value: Any, where: str) -> None:
    node: Any = tree
    for i, key in enumerate(keys):
        last = i == len(keys) - 1
        if isinstance(node, list):
            if not key.isdigit() or int(key) >= len(node):
                raise ConfigError(f"{where}: {'.'.join(keys)}: {key!r} is no place in a list of {len(node)}")
            if last:
                node[int(key)] = value
            else:
                node = node[int(key)]
        elif isinstance(node, dict):
            if last:
                node[key] = value
            else:
                node = node.setdefault(key, {})
        else:
            raise ConfigError(f"{where}: {'.'.join(keys)}: {'.'.join(keys[:i])} is a value, not a table")


def load_config(path: str | Path, sets: Iterable[str] = (), environment: Mapping[str, str] | None = None) -> Config:
    """Read, override and validate. Raises ConfigError with every fault, each on a line of its own."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    try:
        tree = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (tomllib.TOMLDecodeError, json.JSONDecodeError) as error:
        raise ConfigError(f"{path}: not valid {path.suffix[1:] or 'toml'}: {error}") from error
    for key, value in sorted((os.environ if environment is None else environment).items()):
        if key.startswith(ENVIRONMENT_PREFIX):
            _put(tree, key[len(ENVIRONMENT_PREFIX) :].lower().split("__"), parse_value(value), f"environment {key}")
    for item in sets:
        key, equals, value = item.partition("=")
        if not equals:
            raise ConfigError(f"--set {item!r}: expected KEY=VALUE, for example fusion.theta=0.6")
        _put(tree, key.strip().split("."), parse_value(value.strip()), f"--set {item}")
    return validate(tree, str(path))


def validate(tree: Mapping[str, Any], where: str) -> Config:
    """The configuration in `tree`; `where` is what errors call it."""
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise ConfigError("\n".join(_fault(where, fault) for fault in error.errors())) from None


def _fault(where: str, fault: Any) -> str:
    key = ".".join(str(part) for part in fault["loc"]) or "file"
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        section: Any = Config
        for part in fault["loc"][:-1]:
            section = _inner(section, part)
        known = sorted(section.model_fields) if section is not None else []
        message = "unknown key" + (f"; known: {', '.join(known)}" if known else "")
    read = fault["input"]
    shown = f" (read: {json.dumps(read, default=str)[:80]})" if not isinstance(read, (dict, BaseModel)) else ""
    return f"{where}: {key}: {message}{shown}"


def _inner(section: Any, part: Any) -> Any:
    """The model behind one key of `section`, or behind a place in its list."""
    if isinstance(part, int) or section is None:
        return section
    field = section.model_fields.get(part)
    stack = [field.annotation] if field is not None else []
    while stack:
        annotation = stack.pop()
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return annotation
        stack += getattr(annotation, "__args__", ())
    return None


def schema() -> dict[str, Any]:
    """JSON schema of the whole file."""
    return Config.model_json_schema()
