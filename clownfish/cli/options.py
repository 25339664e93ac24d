"""From the options of `clownfish run` to the configuration of its graph (layer 4)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clownfish.config import put, put_sets, validate
from clownfish.lab.free_port import free_ports
from clownfish.pair import DEFAULT, read_pair
from clownfish.settings import Config
from clownfish.sources import split_source


@dataclass(frozen=True)
class RunOptions:
    """The options of `clownfish run`."""

    source: str
    pair: str = ""
    n_w: int | None = None
    codec: str | None = None
    cloud: bool = True
    fast: bool = False
    baselines: bool = True
    seconds: float | None = None
    output: Path | None = None
    picture: Path | None = None
    record: Path | None = None
    page: str = ""
    """HOST:PORT of the live page; then the link to the cloud is a simulated one, which the page steers."""
    sets: tuple[str, ...] = ()


def build_config(options: RunOptions, folder: Path) -> Config:
    """The graph of one run: the pair's settings, this source, a cloud in the box, and one JSONL sink."""
    kind, what = split_source(options.source)
    tree = read_pair(pair_name(options.source, options.pair))
    worker = tree.pop("worker", {})
    stream: dict[str, Any] = {"name": _stream_name(kind, what), "source": options.source}
    stream["pace"] = "fast" if options.fast else "realtime"
    if options.seconds is not None:
        stream["seconds"] = options.seconds
    sink = {"kind": "jsonl", "path": answers_file(options, folder)}
    run_dir = str(folder / "run")
    tree |= {
        "graph": {"name": "run", "run_dir": run_dir},
        "streams": [stream],
        "sinks": [{"name": "answers", "mode": "revisions", "sink": sink}],
    }
    if options.page:
        tree["page"] = {"listen": options.page}
    if options.cloud:
        control, data, workers = (f"ipc://{run_dir}/router-{name}.ipc" for name in ("control", "data", "workers"))
        to = {"control": control, "data": data}
        if options.page:
            near_control, near_data, control, data = (f"tcp://127.0.0.1:{port}" for port in free_ports(4))
            to = {"control": near_control, "data": near_data}
            tree["link"] = {**to, "to_control": control, "to_data": data}
        tree["uplink"] = {**tree.get("uplink", {}), **to}
        tree["router"] = {"control": control, "data": data, "workers": workers}
        tree["worker"] = {**worker, "router": workers}
    else:
        tree.pop("uplink", None)
    if options.record is not None:
        tree["record"] = {"folder": str(options.record.absolute())}
    if options.n_w is not None:
        put(tree, ["filter", "policy"], {"kind": "context_aware", "n_w": options.n_w}, "--n-w")
    if options.codec is not None:
        put(tree, ["uplink", "codec"], {"kind": options.codec}, "--codec")
    put_sets(tree, options.sets)
    return validate(tree, "run")


def pair_name(source: str, pair: str = "") -> str:
    """The pair that was asked for, else the one that goes with the source."""
    kind, _ = split_source(source)
    return pair or (f"zoo:{kind}" if kind in ("puppets", "shapes") else DEFAULT)


def _stream_name(kind: str, what: str) -> str:
    name = Path(what).stem if kind in ("video", "images") else f"{kind}-{what}"
    name = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in name).strip("._-")
    return name[:64] or "stream"


def answers_file(options: RunOptions, folder: Path) -> str:
    return str(options.output.absolute() if options.output is not None else folder / "answers.jsonl")
