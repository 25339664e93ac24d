"""The documentation's reference, as it is made of the code: nothing is left out, and tables stay tables."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

from clownfish.config import schema
from clownfish.filters import FILTERS
from clownfish.sinks import SINKS
from tests.test_docs import program


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a module of docs/extensions."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "docs" / "extensions"))
    return importlib.import_module


def rows(markdown: str) -> list[list[str]]:
    """Cells of each line of a table."""
    return [re.split(r"(?<!\\)\|", line)[1:-1] for line in markdown.splitlines() if line.startswith("|")]


def test_every_section_and_key_is_there(made: Any) -> None:
    page = made("settings_reference").settings()
    for name, value in schema()["properties"].items():
        assert f"## `[{name}]`" in page or f"## `[[{name}]]`" in page
        assert value
    assert "### `[uplink.adaptive]`" in page
    assert {len(cells) for cells in rows(page)} == {4}
    keys = {cells[0].strip(" `") for cells in rows(page)}
    for section in schema()["$defs"].values():
        plain = {key for key, value in section["properties"].items() if "$ref" not in str(value)}
        assert plain <= keys


def test_a_key_says_kind_unit_bounds_and_default(made: Any) -> None:
    page = made("settings_reference").settings()
    assert "| `deadline_ms` | whole number ms, > 0 | `8000` |" in page
    assert "| `theta` | number, ≥ 0, ≤ 1 | `0.5` |" in page
    assert "| `model` | text | must be given |" in page
    assert '`{ kind = "cosine" }`' in page
    assert "[docs/adaptive.md](../adaptive.md)" in page


def test_every_command_and_option_is_there(made: Any) -> None:
    reference = made("command_reference")
    page = reference.markdown()
    every = list(reference.commands())
    assert {"clownfish run", "clownfish keys new", "clownfish eval paper"} <= {name for name, _ in every}
    assert set(program().commands) == {name.split()[1] for name, _ in every}
    for name, command in every:
        assert f"## `{name}`\n" in page
        assert command.help
        options = [option for each in command.params for option in each.opts if option.startswith("-")]
        assert all(option in page for option in options)
        assert all(each.help for each in command.params), f"{name}: an option without words"
    assert {len(cells) for cells in rows(page)} == {3}


def test_every_plugin_is_there_with_its_options(made: Any) -> None:
    page = made("plugin_reference").markdown()
    assert all(f"| `{name}` |" in page for registry in (FILTERS, SINKS) for name in registry.names())
    assert "| `context_aware` | `n_w = 6`, `rise = 0.5` |" in page
    assert "DESIGN" not in page
    assert {len(cells) for cells in rows(page)} == {2, 3}
