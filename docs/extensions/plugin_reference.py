"""Plug-ins by kind: names, options with their defaults, and how each module says in a sentence what it is."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from typing import Any

from tables import cell, literal

from clownfish.codecs import CODECS
from clownfish.filters import FILTERS
from clownfish.fusions import FUSIONS
from clownfish.models.engines import ENGINES
from clownfish.registry import Registry
from clownfish.similarity import SIMILARITIES
from clownfish.sinks import SINKS
from clownfish.sources import SOURCES

KINDS: dict[str, tuple[Registry[Any], str]] = {
    "Filter policies": (FILTERS, "`[filter] policy`"),
    "Similarities": (SIMILARITIES, "`[local] similarity`"),
    "Fusion methods": (FUSIONS, "`[fusion] method`"),
    "Codecs": (CODECS, "`[uplink] codec`; [what each costs](../evaluation/codecs.md)"),
    "Sinks": (SINKS, "`[[sinks]] sink`; [what each option means](../sinks.md)"),
    "Sources": (SOURCES, "`[[streams]] source`, as `NAME:…`"),
    "Engines": (ENGINES, "`[local] engine` and `[worker] engine`"),
}

GIVEN = {
    "theta", "remote_weight", "horizon", "stream", "epoch", "classes", "anchor_beta", "context", "fps", "now", "truth",
    "out",
}  # fmt: skip
"""What the graph gives a plug-in, or tests do; not options of its own."""


def markdown() -> str:
    """A heading and a table for each kind."""
    return "\n".join(line for kind, (registry, where) in KINDS.items() for line in _kind(kind, registry, where))


def _kind(kind: str, registry: Registry[Any], where: str) -> Iterator[str]:
    yield f"\n## {kind}\n\n{where}\n"
    configured = registry is not SOURCES and registry is not ENGINES
    yield "| kind | options | |\n|---|---|---|" if configured else "| name | |\n|---|---|"
    for name in registry.names():
        plugin = registry.get(name)
        extra = registry.extra(name)
        words = _words(plugin if registry is SOURCES else importlib.import_module(plugin.__module__))
        words += f" Needs the extra `{extra}`." if extra else ""
        options = f" {_options(plugin)} |" if configured else ""
        yield f"| `{name}` |{options} {cell(words)} |"


def _options(plugin: Any) -> str:
    said = []
    for each in inspect.signature(plugin).parameters.values():
        if each.name in GIVEN:
            continue
        if each.kind is each.VAR_KEYWORD:
            said.append("and those of its spool" if each.name == "spool" else "and those of the one that `of` names")
        elif each.default is each.empty:
            said.append(f"`{each.name}`")
        else:
            said.append(f"`{each.name} = {literal(each.default)}`" if each.default is not None else f"`{each.name}`")
    return ", ".join(said)


def _words(of: Any) -> str:
    """The first sentences of what `of`, the plug-in or its module, says of itself."""
    text = " ".join((inspect.getdoc(of) or "").split("\n\n")[0].split())
    return re.sub(r"[;,] DESIGN [^)]*| \(DESIGN [^)]*\)| Layer \d\.| Extra `\w+`\.", "", text)
