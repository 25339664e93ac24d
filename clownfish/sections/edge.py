"""What an edge box is told: its streams, models, what it sends, what it says to whom (layer 1)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Annotated, Literal

from clownfish.codecs import CODECS
from clownfish.filters import FILTERS
from clownfish.fusions import FUSIONS
from clownfish.models.engines import ENGINES
from clownfish.section import Bounds, Endpoint, Name, OneOf, Plugin, Section, both_keys
from clownfish.similarity import SIMILARITIES
from clownfish.sinks import SINKS
from clownfish.sources import SOURCES, split_source

_KIND = re.compile(r"[A-Za-z][A-Za-z0-9_+-]+(?=:)")
"""What a source begins with that names its kind. One letter and a colon begin no kind, but a path of another system."""


@dataclass(frozen=True, kw_only=True)
class Stream(Section):
    """A camera or a video; as many of these as there are."""

    name: Name
    """What answers, metrics and files call it."""
    source: str
    """A path, or `images:FOLDER`, `camera:0`, `rtsp://…`, `gst:PIPELINE`, `puppets:test/3`."""
    fps: Annotated[float, Bounds(gt=0, le=1000)] | None = None
    """Overrides what a file says of itself; a USB camera is asked for it. What live sources are brought to is
    [capture] fps."""
    pace: Literal["realtime", "fast", "patient"] = "realtime"
    """`fast`: as fast as the graph takes it, nothing skipped (files only); `patient`: so, but never above real time."""
    loop: bool = False
    """Begin again at the end, of files and drawn streams."""
    seconds: Annotated[float, Bounds(gt=0)] | None = None
    """Stop after this much video."""

    def __post_init__(self) -> None:
        kind = _KIND.match(self.source)
        if kind is not None and kind[0] != "video" and split_source(self.source)[0] == "video":
            raise ValueError(
                f"unknown kind of source {kind[0]!r}; known: {', '.join(SOURCES.names())}, addresses (rtsp://HOST) "
                "and paths of videos; for a path that has a colon in it say video:PATH"
            )


@dataclass(frozen=True, kw_only=True)
class Capture(Section):
    """How frames are read."""

    width: Annotated[int, Bounds(ge=16, le=4096)] = 172
    """Frames are resized once, as they come, to this many pixels; models and uplink get them so."""
    height: Annotated[int, Bounds(ge=16, le=4096)] = 128
    """Likewise."""
    fps: Annotated[float, Bounds(ge=1, le=240)] = 30.0
    """Frames per second that the models learnt from: live sources are brought to it, by their frames' times."""
    open_s: Annotated[float, Bounds(gt=0, le=600)] = 10.0
    """What a live source may take to open, and to deliver its first frame."""
    stall_s: Annotated[float, Bounds(gt=0, le=600)] = 3.0
    """A live source that delivers nothing for this long is given up, and opened again."""
    retry_s: Annotated[float, Bounds(gt=0)] = 0.5
    """Wait before a live source that broke off is opened again; doubles, less up to half by chance."""
    retry_max_s: Annotated[float, Bounds(gt=0)] = 2.0
    """The longest wait; but a minute where a camera refuses user or password, as some lock out who tries again."""


@dataclass(frozen=True, kw_only=True)
class WindowSection(Section):
    """What the models look at."""

    size: Annotated[int, Bounds(ge=1, le=256)] = 16
    """Frames in a window: what the models were trained on."""
    stride: Annotated[int, Bounds(ge=1, le=256)] = 4
    """Frames from the beginning of one window to that of the next: there is an answer for each."""

    def __post_init__(self) -> None:
        if self.stride > self.size:
            raise ValueError(f"stride {self.stride} is larger than size {self.size}: frames would never be seen")


@dataclass(frozen=True, kw_only=True)
class Local(Section):
    """The small model on the edge box. Needed where there are streams."""

    model: str
    """`zoo:ucf9/local`, or the path of a description (.json) beside its .safetensors."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto`: a GPU where torch finds one."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Numbers that torch computes in; the reduced ones are for GPUs and processors that have them."""
    engine: Annotated[str, OneOf(ENGINES)] = "torch"
    """What computes: `torch`, `torch-int8`, `openvino` or `onnxruntime`. `clownfish model bench` compares them."""
    calibration: str = ""
    """For `torch-int8`: a video, or `puppets:train/0`, whose first minute sets the ranges of its integers."""
    max_batch: Annotated[int, Bounds(ge=1, le=64)] = 4
    """Windows of different streams that the model answers together, at most, where several wait."""
    similarity: Annotated[Plugin, OneOf(SIMILARITIES)] = Plugin(kind="cosine")
    """How ρ, the likeness of a window to the one before, is found; `siminet` is the paper's."""


@dataclass(frozen=True, kw_only=True)
class Filter(Section):
    """Which windows the cloud is asked about."""

    policy: Annotated[Plugin, OneOf(FILTERS)] = Plugin(kind="context_aware")
    """Which windows are sent to the cloud; `context_aware` is the paper's."""
    timeout_ms: Annotated[int, Bounds(gt=0)] = 1000
    """How long a window waits for its ρ."""
    capacity: Annotated[int, Bounds(ge=1)] = 64
    """Windows that may wait for their ρ, over all streams; the oldest gives way."""


def cheapest_codec() -> Plugin:
    """Of those that can run here, by docs/evaluation/codecs.md."""
    return Plugin("h264") if find_spec("av") is not None else Plugin("jpeg", {"quality": 60, "chroma": 444})


@dataclass(frozen=True, kw_only=True)
class Adaptive(Section):
    """Sending by what the link carries and a budget."""

    ladder: str = "zoo:puppets/ladder"
    """What there is to choose from: `zoo:SET/ladder`, or a file that `clownfish tune --ladder` wrote."""
    mbit_s: Annotated[float, Bounds(gt=0)] | None = None
    """Mean rate that may be sent."""
    gb_month: Annotated[float, Bounds(gt=0)] | None = None
    """10⁹ bytes that may be sent in a calendar month (UTC); counted over restarts, in the state folder."""
    price: Annotated[float, Bounds(ge=0, le=1)] = 0.01
    """Accuracy (1 is all) that one more Mbit/s must bring."""
    rise_s: Annotated[float, Bounds(ge=0)] = 1.0
    """How long more must have looked better before more is sent; less is sent at once."""


@dataclass(frozen=True, kw_only=True)
class Uplink(Section):
    """The way to the cloud. Without this section the edge is alone."""

    control: Endpoint = "tcp://127.0.0.1:7100"
    """The router's address for control messages."""
    data: Endpoint = "tcp://127.0.0.1:7101"
    """The router's address for frames, a socket of their own."""
    edge: Name = "edge"
    """This box's name, for the router's log."""
    model: Annotated[str, Bounds(pattern=r"^.{0,128}$")] = ""
    """Name of the remote model that shall answer. Empty: any with the local model's classes."""
    codec: Annotated[Plugin, OneOf(CODECS)] = field(default_factory=cheapest_codec)
    """How frames become bytes. Left out: `h264` where PyAV is installed (the extra `video`), which the workers need,
    too, then; without it `jpeg`, of five times the bytes. On filmed streams `h264` cost about half a point of the
    remote's accuracy, on drawn ones none (docs/evaluation/codecs.md); a greater quality costs less and sends more."""
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
    insecure: bool = False
    """Without a key, send frames beyond this host in the clear, to whoever answers at the router's address."""

    def __post_init__(self) -> None:
        both_keys(self.key, self.router_key)


@dataclass(frozen=True, kw_only=True)
class FusionSection(Section):
    """How answers of edge and cloud become one."""

    method: Annotated[Plugin, OneOf(FUSIONS)] = Plugin(kind="exponential")
    """How local and remote answers become one; the paper's, or another with what it learnt."""
    theta: Annotated[float, Bounds(ge=0, le=1)] = 0.5
    """θ: while β is at least this, the cloud's answer still counts."""
    remote_weight: Annotated[float, Bounds(ge=0, le=1)] = 2 / 3
    """g: the cloud's share in the answer for a window that both models have answered."""
    horizon: Annotated[int, Bounds(ge=1, le=100_000)] = 64
    """Windows that a late answer may still change; one for an older window is counted, and dropped."""
    anchor_beta: Literal["max", "one"] = "max"
    """β where the cloud has answered: the largest entry of p_f, or 1 (Eq. 4)."""
    drain_ms: Annotated[int, Bounds(ge=0)] = 10_000
    """At the end of a stream, how long late results are waited for."""


@dataclass(frozen=True, kw_only=True)
class EventsSection(Section):
    """How windows become events, for sinks with `what = "events"`."""

    background: str = "idle"
    """The class that is no event; empty: every class is one."""
    enter: Annotated[float, Bounds(gt=0, le=1)] = 0.4
    """An event begins with a window that is at least so sure of its class."""
    leave: Annotated[float, Bounds(gt=0, le=1)] = 0.3
    """It goes on while the class is at least so likely."""
    min_s: Annotated[float, Bounds(ge=0)] = 1.0
    """What is shorter is no event."""
    gap_s: Annotated[float, Bounds(ge=0)] = 1.0
    """A gap no longer than this does not end it."""

    def __post_init__(self) -> None:
        if self.leave > self.enter:
            raise ValueError(f"leave {self.leave} is above enter {self.enter}: an event would end as it begins")


@dataclass(frozen=True, kw_only=True)
class SinkSection(Section):
    """Where answers go; as many of these as are wanted."""

    name: Name
    """What logs, metrics and its files call it."""
    what: Literal["results", "events"] = "results"
    """`results`: the answer for each window; `events`: what was shown, from when to when (see [events])."""
    mode: Literal["live", "revisions", "final"] = "revisions"
    """`live`: what is said as it happens; `final`: what no later answer changes; `revisions`: all."""
    sink: Annotated[Plugin, OneOf(SINKS)]
    """Where to, and that kind's own options; docs/sinks.md."""


@dataclass(frozen=True, kw_only=True)
class RecordSection(Section):
    """Keeping a live run, to play it again."""

    folder: str
    """Where everything that fusion saw is kept, one file per stream and epoch, for `clownfish eval replay`."""
