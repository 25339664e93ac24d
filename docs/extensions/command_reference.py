"""The command line, from the program itself: each command with its arguments and options."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer
from tables import cell

from clownfish.cli.app import app

PROGRAM = "clownfish"


def root() -> Any:
    """The whole command line. What it is made of depends on typer's version, which may bring a click of its own."""
    return typer.main.get_command(app)


def commands(command: Any = None, name: str = PROGRAM) -> Iterator[tuple[str, Any]]:
    """(full name, command) of each that can be run, in the order of `--help`."""
    command = root() if command is None else command
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
        return
    for each, below in inner.items():
        if not below.hidden:
            yield from commands(below, f"{name} {each}")


def markdown() -> str:
    """A heading for each command, its words, and a table of what it takes."""
    return "\n".join(line for name, command in sorted(commands(), key=_group) for line in _one(name, command))


def _group(named: tuple[str, Any]) -> tuple[bool, str]:
    """Commands of the program itself first, then groups."""
    name = named[0]
    return name.count(" ") > 1, name.rsplit(" ", 1)[0]


def _one(name: str, command: Any) -> Iterator[str]:
    context = command.make_context(name, [], resilient_parsing=True)
    yield f"\n## `{name}`\n\n{(command.help or '').strip()}\n"
    yield f"```text\n{name} {' '.join(command.collect_usage_pieces(context))}\n```\n"
    rows = [_row(*each.get_help_record(context)) for each in command.params if not each.hidden]
    if rows:
        yield from ("| | default; bounds | |", "|---|---|---|", *rows)


def _row(takes: str, words: str) -> str:
    """Of a parameter: `takes` as --help shows it, `words` with what else it says of it in brackets at their end."""
    words, _, more = words.partition("  [") if not words.startswith("[") else ("", "", words[1:])
    default = more.removesuffix("]").replace("default: ", "")
    return f"| `{cell(takes).replace(' / ', '`, `')}` | {cell(default)} | {cell(words)} |"
