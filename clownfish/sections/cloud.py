"""What a cloud is told: its router, and its workers or a pool of them (layer 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from clownfish.models.engines import ENGINES
from clownfish.section import Bounds, Endpoint, OneOf, Section, both_keys


@dataclass(frozen=True, kw_only=True)
class CanarySection(Section):
    """A new model on trial beside the old one."""

    model: str
    """Name of the new model, as its workers say it: it gets a share of the windows of edges with the same classes."""
    share: Annotated[float, Bounds(gt=0, le=1)] = 0.1
    """Of those edges' windows."""
    mode: Literal["answer", "shadow"] = "answer"
    """`answer`: for that share the new model answers, `shadow`: both do, and the edge hears the old one."""


@dataclass(frozen=True, kw_only=True)
class Router(Section):
    """The cloud's front: edges connect to it, and workers."""

    control: Endpoint = "tcp://127.0.0.1:7100"
    """Where edges connect with control messages."""
    data: Endpoint = "tcp://127.0.0.1:7101"
    """Where edges connect with frames."""
    workers: Endpoint = "tcp://127.0.0.1:7102"
    """Where workers connect."""
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
    """Credit: encoded frames an edge may have on the way or in work."""
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
    canary: CanarySection | None = None
    """A new model on trial beside the old one."""

    def __post_init__(self) -> None:
        if self.keys and self.control.startswith("tcp://") != self.data.startswith("tcp://"):
            raise ValueError("with keys, control and data are both tcp:// or both ipc://: a session has one identity")


@dataclass(frozen=True, kw_only=True)
class Worker(Section):
    """The large model, and the processes that run it."""

    router: Endpoint = "tcp://127.0.0.1:7102"
    """The router's address for workers."""
    model: str
    """`zoo:ucf9/remote`, or the path of a description (.json) beside its .safetensors."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto`: a GPU where torch finds one."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Numbers that torch computes in; the reduced ones are for GPUs and processors that have them."""
    engine: Annotated[str, OneOf(ENGINES)] = "torch"
    """What computes: `torch`, `torch-int8`, `openvino` or `onnxruntime`. `clownfish model bench` compares them."""
    calibration: str = ""
    """For `torch-int8`: a video, or `puppets:train/0`, whose first minute sets the ranges of its integers."""
    count: Annotated[int, Bounds(ge=0, le=256)] = 1
    """Worker processes that `up` starts."""
    batch: Annotated[int, Bounds(ge=0, le=64)] = 0
    """Windows, of whatever streams, that the model answers together, at most. 0: 8 on a GPU; 1 on a CPU, which gains
    next to nothing by more."""
    batch_wait_ms: Annotated[float, Bounds(ge=0, le=1000)] = 0.0
    """How long the first window of a batch may wait for others while the model is free. 0: not at all; windows that
    come while the model works still share the next batch."""
    credit: Annotated[int, Bounds(ge=0, le=64)] = 0
    """Jobs a worker may hold: one batch in work, the others arriving meanwhile. 0: two batches."""
    key: str = ""
    """File of this worker's secret key, authorized with --role worker."""
    router_key: str = ""
    """The router's public key: its 40 characters, or the file router.pub."""
    insecure: bool = False
    """Without a key, take frames from a router beyond this host in the clear."""

    def __post_init__(self) -> None:
        both_keys(self.key, self.router_key)


@dataclass(frozen=True, kw_only=True)
class Pool(Section):
    """Workers in place of `count`: as many as the router's queue needs, each as [worker] says."""

    kind: Literal["local", "ray"] = "local"
    """Where workers run: as processes of this host, or as actors of a Ray cluster (extra `ray`), where it has room."""
    address: str = "auto"
    """Ray: `auto` finds the cluster that runs on this host (or RAY_ADDRESS), `local` starts one, or HOST:PORT."""
    min_workers: Annotated[int, Bounds(ge=0, le=4096)] = 1
    """Never fewer."""
    max_workers: Annotated[int, Bounds(ge=1, le=4096)] = 4
    """Never more."""
    cpus: Annotated[float, Bounds(ge=0)] = 1.0
    """Ray: processors kept for each worker."""
    gpus: Annotated[float, Bounds(ge=0)] = 0.0
    """Ray: what share of a GPU each worker gets; 0.25 puts four on one."""
    up_delay_ms: Annotated[float, Bounds(gt=0)] = 200.0
    """More workers when windows wait longer than this for one, or miss their deadlines, ..."""
    up_after_s: Annotated[float, Bounds(ge=0)] = 2.0
    """... for this long."""
    down_load: Annotated[float, Bounds(gt=0, le=0.95)] = 0.5
    """One worker less when those that stay would be loaded to this at most ..."""
    down_after_s: Annotated[float, Bounds(gt=0)] = 60.0
    """... for this long."""
    cooldown_s: Annotated[float, Bounds(ge=0)] = 10.0
    """No change sooner than this after another."""

    def __post_init__(self) -> None:
        if self.min_workers > self.max_workers:
            raise ValueError(f"min_workers is {self.min_workers}, above max_workers, {self.max_workers}")
        if self.address.startswith("ray://"):
            raise ValueError("address is a Ray Client's; expected `auto`, `local` or HOST:PORT of the cluster itself")
