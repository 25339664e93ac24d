"""JSON schemas as Markdown tables: a heading and a table for each section, in the order of the file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

UNITS = {
    "gb_month": "GB", "mbit_s": "Mbit/s", "_mbit": "Mbit/s", "_per_s": "a second", "_ms": "ms", "_s": "s", "_mb": "MB",
    "_bytes": "bytes",
}  # fmt: skip
"""By how a key ends; the first that fits."""

_TYPES = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "`true`, `false`",
    "object": "table",
}
_PAGE = re.compile(r"\bdocs/([\w/-]+\.md)\b")
_BOUNDS = {"exclusiveMinimum": "> ", "minimum": "≥ ", "maximum": "≤ ", "exclusiveMaximum": "< "}


def sections(schema: Schema, level: int = 2, above: str = "") -> Iterator[str]:
    """Lines of the sections in `schema`, and of those within them; plain keys first, as in a file."""
    definitions = schema.get("$defs", {})
    properties = {key: (_behind(value, definitions), value) for key, value in schema.get("properties", {}).items()}
    plain = {key: value for key, (section, value) in properties.items() if section is None}
    if plain:
        required = schema.get("required", ())
        yield from ("| key | what it takes | default | |", "|---|---|---|---|")
        for key, value in plain.items():
            default = "must be given" if key in required else _default(value)
            yield f"| `{key}` | {_takes(key, value)} | {default} | {cell(value.get('description', ''))} |"
    for key, (section, value) in properties.items():
        if section is not None:
            name = f"{above}.{key}" if above else key
            yield f"\n{'#' * level} `{f'[[{name}]]' if _is_list(value) else f'[{name}]'}`\n"
            words = max((each.get("description", "") for each in (value, section)), key=len)
            yield f"{cell(words)}\n"
            yield from sections({**section, "$defs": definitions}, level + 1, name)


def cell(words: str) -> str:
    """Words within a table: on one line, no bar ends the cell, and a page that is named is a link to it."""
    return _PAGE.sub(r"[\g<0>](../\1)", " ".join(words.split()).replace("|", "\\|"))


def literal(value: Any) -> str:
    """A value as TOML has it."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {literal(each)}" for key, each in value.items()) + " }" if value else "{}"
    if isinstance(value, list):
        return "[" + ", ".join(literal(each) for each in value) + "]"
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def _behind(value: Schema, definitions: Schema) -> Schema | None:
    """The section that a property is, or is a list of; None where it is a plain value."""
    for each in (value, *value.get("anyOf", ()), value.get("items", {})):
        if "$ref" in each:
            section: Schema = definitions[each["$ref"].rsplit("/", 1)[1]]
            return section
    return None


def _is_list(value: Schema) -> bool:
    return value.get("type") == "array"


def _default(value: Schema) -> str:
    if "default" not in value:
        return "see right"
    return "none" if value["default"] is None else f"`{literal(value['default'])}`"


def _takes(key: str, value: Schema) -> str:
    """The values that a key takes, in words: kind, unit, bounds, names."""
    alternatives = [each for each in value.get("anyOf", (value,)) if each.get("type") != "null"]
    return " or ".join(_one(key, each) for each in alternatives)


def _one(key: str, value: Schema) -> str:
    if "enum" in value or "const" in value:
        return ", ".join(f"`{literal(each)}`" for each in value.get("enum", (value.get("const"),)))
    kind = value.get("properties", {}).get("kind")
    if kind is not None:
        return "a table with `kind` = " + ", ".join(f"`{name}`" for name in kind.get("examples", ("…",)))
    if value.get("type") == "array":
        if "prefixItems" in value:
            return f"list of {len(value['prefixItems'])} numbers"
        return f"list of {_takes('', value['items'])}" if value.get("items") else "list"
    if "examples" in value:
        return ", ".join(f"`{name}`" for name in value["examples"])
    if value.get("pattern", "").startswith("^(tcp"):
        return "`tcp://HOST:PORT` or `ipc://PATH`" if "ipc" in value["pattern"] else "`tcp://127.0.0.1:PORT`"
    unit = next((unit for end, unit in UNITS.items() if key.endswith(end)), "")
    kind = _TYPES.get(value.get("type", ""), "table")
    if value.get("format") == "path":
        kind = "path"
    bounds = ", ".join(f"{sign}{_number(value[name])}" for name, sign in _BOUNDS.items() if name in value)
    return ", ".join(filter(None, (" ".join(filter(None, (kind, unit))), bounds)))


def _number(value: float) -> str:
    return re.sub(r"\.0$", "", f"{value:,}")
