"""Settings: what a configuration says, as plain values with defaults and bounds (layer 1).

`config` reads and validates files against these types with pydantic. Services read only what the supervisor has
validated already (`load_validated`), with the standard library: that spares each of nine processes 14 MB.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from clownfish.codecs import CODECS
from clownfish.errors import ConfigError
from clownfish.filters import FILTERS
from clownfish.fusions import FUSIONS
from clownfish.models.engines import ENGINES
from clownfish.section import Bounds, Endpoint, Name, OneOf, Section
from clownfish.section import Plugin as Plugin  # from here it is known by
from clownfish.similarity import SIMILARITIES
from clownfish.sinks import SINKS

S = TypeVar("S")


@dataclass(frozen=True, kw_only=True)
class Graph(Section):
    name: Name = "clownfish"
    """Two graphs on one box need two names."""
    run_dir: str = ""
    """Folder of sockets, locks and counters, mode 0700. Default: a folder of this user's and this graph's name."""


@dataclass(frozen=True, kw_only=True)
class Log(Section):
    format: Literal["auto", "console", "json"] = "auto"
    """`auto`: for people on a terminal, JSON elsewhere."""
    level: Literal["debug", "info", "warning", "error"] = "info"


@dataclass(frozen=True, kw_only=True)
class Stream(Section):
    name: Name
    source: str
    """A path, or `images:FOLDER`, `camera:0`, `rtsp://…`, `gst:PIPELINE`, `puppets:test/3`."""
    fps: Annotated[float, Bounds(gt=0, le=1000)] | None = None
    """Overrides what the source says of itself."""
    pace: Literal["realtime", "fast", "patient"] = "realtime"
    """`fast`: as fast as the graph takes it, nothing skipped (files only); `patient`: so, but never above real time."""
    loop: bool = False
    seconds: Annotated[float, Bounds(gt=0)] | None = None
    """Stop after this much video."""


@dataclass(frozen=True, kw_only=True)
class Capture(Section):
    width: Annotated[int, Bounds(ge=16, le=4096)] = 172
    height: Annotated[int, Bounds(ge=16, le=4096)] = 128
    stall_s: Annotated[float, Bounds(gt=0)] = 5.0
    """A live source that delivers nothing for this long is reported as stalled."""
    retry_s: Annotated[float, Bounds(gt=0)] = 1.0
    """Wait before a live source that broke off is opened again; doubles up to 30 s."""


@dataclass(frozen=True, kw_only=True)
class WindowSection(Section):
    size: Annotated[int, Bounds(ge=1, le=256)] = 16
    stride: Annotated[int, Bounds(ge=1, le=256)] = 4

    def __post_init__(self) -> None:
        if self.stride > self.size:
            raise ValueError(f"stride {self.stride} is larger than size {self.size}: frames would never be seen")


@dataclass(frozen=True, kw_only=True)
class Local(Section):
    model: str
    """`zoo:ucf9/local`, or the path of a description (.json) beside its .safetensors."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    engine: Annotated[str, OneOf(ENGINES)] = "torch"
    """What computes: `torch`, `torch-int8`, `openvino` or `onnxruntime`. `clownfish model bench` compares them."""
    calibration: str = ""
    """For `torch-int8`: a video, or `puppets:train/0`, whose first minute sets the ranges of its integers."""
    max_batch: Annotated[int, Bounds(ge=1, le=64)] = 4
    similarity: Annotated[Plugin, OneOf(SIMILARITIES)] = Plugin(kind="cosine")


@dataclass(frozen=True, kw_only=True)
class Filter(Section):
    policy: Annotated[Plugin, OneOf(FILTERS)] = Plugin(kind="context_aware")
    timeout_ms: Annotated[int, Bounds(gt=0)] = 1000
    """How long a window waits for its ρ."""
    capacity: Annotated[int, Bounds(ge=1)] = 64


def _both_keys(key: str, router_key: str) -> None:
    if bool(key) != bool(router_key):
        raise ValueError("key and router_key go together: this device's own key, and the router's public key")


@dataclass(frozen=True, kw_only=True)
class Adaptive(Section):
    ladder: str = "zoo:puppets/ladder"
    """What there is to choose from: `zoo:SET/ladder`, or a file that `clownfish tune --ladder` wrote."""
    mbit_s: Annotated[float, Bounds(gt=0)] | None = None
    """Mean rate that may be sent."""
    gb_month: Annotated[float, Bounds(gt=0)] | None = None
    """10⁹ bytes that may be sent in a calendar month (UTC); counted over restarts, in the run folder."""
    price: Annotated[float, Bounds(ge=0, le=1)] = 0.01
    """Accuracy (1 is all) that one more Mbit/s must bring."""
    rise_s: Annotated[float, Bounds(ge=0)] = 1.0
    """How long more must have looked better before more is sent; less is sent at once."""


@dataclass(frozen=True, kw_only=True)
class Uplink(Section):
    control: Endpoint = "tcp://127.0.0.1:7100"
    data: Endpoint = "tcp://127.0.0.1:7101"
    edge: Name = "edge"
    """This box's name, for the router's log."""
    codec: Annotated[Plugin, OneOf(CODECS)] = Plugin(kind="jpeg")
    """How frames become bytes. `h264` makes a ninth of jpeg's, but needs the extra `video` on edge boxes and workers,
    and that it costs less than half a point of remote accuracy is not shown: so it is not the default."""
    backlog: Annotated[int, Bounds(ge=1, le=10_000)] = 16
    """Selected windows that may wait for credit; the newest wins."""
    waits: bool = False
    """A stream that is not live waits until there is room in the backlog, in place of losing a window to the newest:
    then the edge waits for the cloud, as a system without an edge model does (the cloud-only baseline)."""
    adaptive: Adaptive | None = None
    """Codec, resolution and, with `[filter] policy = { kind = "adaptive" }`, how much is sent follow what the link
    carries, what answers are worth, and what may be spent; see docs/adaptive.md. Without it all is as set here."""
    in_flight: Literal["credit", "measured"] = "credit"
    """`measured`: a window goes when it meets no standing queue, by the rate and round trip that answers show; credit
    bounds it as well. So with `adaptive`, always."""
    deadline_ms: Annotated[int, Bounds(gt=0)] = 8000
    """After capture, when an answer can no longer matter. Default: about the fusion's horizon at 30 FPS."""
    key: str = ""
    """File of this device's secret key, NAME.key: then the uplink speaks CURVE, and to no other router than its own."""
    router_key: str = ""
    """The router's public key: its 40 characters, or the file router.pub."""

    def __post_init__(self) -> None:
        _both_keys(self.key, self.router_key)


@dataclass(frozen=True, kw_only=True)
class FusionSection(Section):
    method: Annotated[Plugin, OneOf(FUSIONS)] = Plugin(kind="exponential")
    """How local and remote answers become one; the paper's, or another with what it learnt."""
    theta: Annotated[float, Bounds(ge=0, le=1)] = 0.5
    remote_weight: Annotated[float, Bounds(ge=0, le=1)] = 2 / 3
    horizon: Annotated[int, Bounds(ge=1, le=100_000)] = 64
    anchor_beta: Literal["max", "one"] = "max"
    drain_ms: Annotated[int, Bounds(ge=0)] = 10_000
    """At the end of a stream, how long late results are waited for."""


@dataclass(frozen=True, kw_only=True)
class SinkSection(Section):
    name: Name
    mode: Literal["live", "revisions", "final"] = "revisions"
    sink: Annotated[Plugin, OneOf(SINKS)]


@dataclass(frozen=True, kw_only=True)
class RecordSection(Section):
    folder: str
    """Where everything that fusion saw is kept, one file per stream and epoch, for `clownfish eval replay`."""


@dataclass(frozen=True, kw_only=True)
class Router(Section):
    control: Endpoint = "tcp://127.0.0.1:7100"
    data: Endpoint = "tcp://127.0.0.1:7101"
    workers: Endpoint = "tcp://127.0.0.1:7102"
    insecure: bool = False
    """Listen on addresses beyond loopback without authentication. Anybody who reaches the port may use the workers."""
    keys: str = ""
    """Folder of keys (`clownfish keys`): then every tcp socket speaks CURVE, and only who is authorized comes in."""
    messages_per_s: Annotated[float, Bounds(gt=0)] = 5000.0
    """With keys: what one device may send on control and data, each. More is dropped, and counted."""
    bytes_per_s: Annotated[float, Bounds(gt=0)] = 32e6
    """With keys: encoded frames of one device."""
    streams_per_device: Annotated[int, Bounds(ge=1)] = 64
    """With keys: streams of one device at a time."""
    sessions_per_device: Annotated[int, Bounds(ge=1)] = 4
    """With keys: uplinks under one key at a time; one more ends the oldest."""
    windows_per_edge: Annotated[int, Bounds(ge=1)] = 4
    """Credit: windows an edge may have on the way or in work."""
    bytes_per_edge: Annotated[int, Bounds(ge=1)] = 8 * 1024 * 1024
    lease_ms: Annotated[int, Bounds(ge=100)] = 3000
    """Credit is void when the edge hears nothing for this long."""
    queue: Annotated[int, Bounds(ge=1)] = 1024
    """Windows that may wait for a worker."""
    job_lease_ms: Annotated[int, Bounds(ge=100)] = 10_000
    """A worker that has not answered a window for this long is taken for hung."""
    liveness_ms: Annotated[int, Bounds(ge=100)] = 3000
    """A worker that shows no progress and no heartbeat for this long is taken for dead."""
    max_frame_bytes: Annotated[int, Bounds(ge=1024, le=64 * 1024 * 1024)] = 4 * 1024 * 1024
    """One encoded frame; a peer that sends a larger one is disconnected."""
    cache_bytes: Annotated[int, Bounds(ge=0)] = 256 * 1024 * 1024
    """Frames kept for windows that share them, over all streams."""

    def __post_init__(self) -> None:
        if self.keys and self.control.startswith("tcp://") != self.data.startswith("tcp://"):
            raise ValueError("with keys, control and data are both tcp:// or both ipc://: a session has one identity")


@dataclass(frozen=True, kw_only=True)
class Worker(Section):
    router: Endpoint = "tcp://127.0.0.1:7102"
    model: str
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    engine: Annotated[str, OneOf(ENGINES)] = "torch"
    """What computes: `torch`, `torch-int8`, `openvino` or `onnxruntime`. `clownfish model bench` compares them."""
    calibration: str = ""
    """For `torch-int8`: a video, or `puppets:train/0`, whose first minute sets the ranges of its integers."""
    count: Annotated[int, Bounds(ge=0, le=256)] = 1
    """Worker processes that `up` starts."""
    credit: Annotated[int, Bounds(ge=1, le=64)] = 2
    """Jobs a worker may hold: one in work, the others arriving meanwhile."""
    key: str = ""
    """File of this worker's secret key, authorized with --role worker."""
    router_key: str = ""
    """The router's public key: its 40 characters, or the file router.pub."""

    def __post_init__(self) -> None:
        _both_keys(self.key, self.router_key)


@dataclass(frozen=True, kw_only=True)
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
    record: RecordSection | None = None
    router: Router | None = None
    worker: Worker | None = None

    def __post_init__(self) -> None:
        if self.streams and self.local is None:
            raise ValueError("streams need a [local] section with a model")
        if not self.streams and self.router is None and self.worker is None:
            raise ValueError("nothing to start: give [[streams]], [router] or [worker]")
        for what, names in (("stream", [s.name for s in self.streams]), ("sink", [s.name for s in self.sinks])):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"two {what}s are called {twice[0]!r}; each needs a name of its own")

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
