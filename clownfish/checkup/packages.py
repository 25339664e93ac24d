"""Python, and the packages that this configuration needs."""

from __future__ import annotations

import re
import sys
from importlib import metadata
from importlib.util import find_spec

from clownfish.checkup.finding import Finding, fault, ok, warning
from clownfish.settings import Config
from clownfish.sinks import SINKS

MODULES: dict[str, tuple[str, ...]] = {
    "": ("numpy", "zmq", "msgpack", "pydantic", "structlog", "typer", "rich", "psutil", "cv2", "safetensors"),
    "torch": ("torch",),
    "openvino": ("torch", "openvino"),
    "onnx": ("torch", "onnxruntime", "onnx"),
    "video": ("av",),
    "ray": ("ray",),
    "mqtt": ("aiomqtt",),
    "kafka": ("aiokafka",),
    "parquet": ("pyarrow",),
    "web": ("starlette", "uvicorn", "websockets"),
    "otel": ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"),
}
"""Extra → what must be found then; by module and not by package, because a Jetson's torch and OpenCV, and the builds of
onnxruntime for GPUs, go by other names or come with the system."""

_OLDEST = (3, 10)
_FLOOR = re.compile(r"([A-Za-z0-9_.-]+)>=([0-9.]+)\s*(?:;(.*))?")


def extras(config: Config) -> dict[str, str]:
    """The extras that the configuration needs, each with the line of it that does."""
    needed: dict[str, str] = {}
    for section, model in (("local", config.local), ("worker", config.worker)):
        if model is not None:
            engine = {"openvino": "openvino", "onnxruntime": "onnx"}.get(model.engine, "torch")
            needed.setdefault(engine, f"[{section}] engine = {model.engine!r}")
    if config.uplink is not None and config.uplink.codec.kind in ("h264", "hevc"):
        needed["video"] = f"[uplink] codec {config.uplink.codec.kind!r}"
    for sink in config.sinks:
        if extra := SINKS.extra(sink.sink.kind):
            needed.setdefault(extra, f"[[sinks]] {sink.name!r}, kind {sink.sink.kind!r}")
    for extra, wanted, why in (
        ("web", config.page is not None, "[page]"),
        ("otel", config.trace is not None, "[trace]"),
        ("ray", config.pool is not None and config.pool.kind == "ray", "[pool] kind = 'ray'"),
    ):
        if wanted:
            needed[extra] = why
    return needed


def packages(config: Config | None) -> list[Finding]:
    """The release of Python, and each package that is missing or too old."""
    here = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < _OLDEST:
        return [fault("python", f"Python {here}; expected 3.10 or newer", "install a newer one, and Clownfish in it")]
    needed = {"": "Clownfish itself", **(extras(config) if config is not None else {})}
    found = [ok("python", f"Python {here}")]
    for extra, why in needed.items():
        what = f"package {extra}" if extra else "packages"
        remedy = f"pip install 'clownfish[{extra}]'" if extra else "pip install --upgrade clownfish"
        missing = [module for module in MODULES[extra] if not _is_there(module)]
        if missing:
            found.append(fault(what, f"{', '.join(missing)} is not installed; {why} needs it", remedy))
        elif old := _too_old(extra):
            found.append(fault(what, f"too old: {', '.join(old)}; {why} needs it", remedy))
        else:
            found.append(ok(what, f"{', '.join(MODULES[extra])}: there" if extra else "all are there"))
    if config is not None and config.worker is not None and "video" not in needed and not _is_there("av"):
        said = "av is not installed: windows that edges send as h264 or hevc, their default, are not answered here"
        found.append(warning("package video", said, "pip install 'clownfish[video]'"))
    return found


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # a parent is missing
        return False


def _too_old(extra: str) -> list[str]:
    """Packages below the oldest release that this one works with, by their own word."""
    try:
        requirements = metadata.requires("clownfish") or []
    except metadata.PackageNotFoundError:  # a clone that is not installed
        return []
    old = []
    for requirement in requirements:
        parts = _FLOOR.fullmatch(requirement)
        if parts is None or _extra_of(parts[3] or "") != extra:
            continue
        try:
            release = metadata.version(parts[1])
        except metadata.PackageNotFoundError:  # the module came under another name
            continue
        if _numbers(release) < _numbers(parts[2]):
            old.append(f"{parts[1]} {release}, expected {parts[2]} or newer")
    return old


def _extra_of(marker: str) -> str:
    match = re.search(r"extra == ['\"]([a-z]+)['\"]", marker)
    return match[1] if match else ""


def _numbers(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", release.partition("+")[0])[:3])
