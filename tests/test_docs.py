"""What the documentation shows can be done: commands exist and take these options, settings are right, examples run."""

from __future__ import annotations

import doctest
import inspect
import re
import shlex
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import typer
from pydantic import TypeAdapter, ValidationError

from clownfish.cli.app import app
from clownfish.cli.experiment import Experiment
from clownfish.codecs import CODECS
from clownfish.filters import FILTERS
from clownfish.fusions import FUSIONS
from clownfish.lab.net import profile
from clownfish.models.description import ModelDescription
from clownfish.settings import Config
from clownfish.similarity import SIMILARITIES
from clownfish.sinks import SINKS
from clownfish.training.config import DiscardConfig, SimiNetConfig
from tests.markdown import FILES, Block, blocks, inlines

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

BLOCKS = [block for file in FILES if file.name != "CHANGELOG.md" for block in blocks(file)]

# -- commands

SHELL = {"sh", "bash", "console", ""}
ELLIPSIS = {"…", "..."}


def lines(block: Block) -> Iterator[str]:
    """The lines of a block that a shell is given; of a console those after its prompt."""
    text = block.text.replace("\\\n", " ")
    for line in text.splitlines():
        if block.language == "console":
            if line.startswith("$ "):
                yield line[2:]
        else:
            yield line


def commands(line: str) -> Iterator[list[str]]:
    """The arguments of each `clownfish` in a line of shell."""
    parts = shlex.shlex(line, posix=True, punctuation_chars="();<>|&")
    parts.whitespace_split = True
    parts.commenters = "#"
    try:
        words = list(parts)
    except ValueError:
        return  # prose, or another language
    said: list[str] = []
    for word in [*words, ";"]:
        if word[0] not in "();<>|&":
            said.append(word)
            continue
        while said and (said[0] == "sudo" or re.fullmatch(r"\w+=.*", said[0])):
            said.pop(0)
        if said and Path(said[0]).name == "clownfish":
            yield said[1:]
        said = []


@cache
def program() -> Any:
    return typer.main.get_command(app)


def command_of(arguments: list[str]) -> tuple[Any, str, list[str]]:
    """(command, its full name, what is left). Raises LookupError."""
    command, name, left = program(), "clownfish", list(arguments)
    while (inner := getattr(command, "commands", None)) and left:
        if left[0] not in inner:
            raise LookupError(f"{name} has no command {left[0]!r}; it has {', '.join(inner)}")
        name, command = f"{name} {left[0]}", inner[left.pop(0)]
    return command, name, left


def check(arguments: list[str]) -> None:
    """As the program itself would take them, but for running it. Raises what is wrong."""
    command, name, left = command_of([each for each in arguments if each not in ELLIPSIS])
    if len(left) < len(arguments) and not ELLIPSIS & set(arguments) and not hasattr(command, "commands"):
        command.make_context(name, left)


SAID = [(block, line) for block in BLOCKS if block.language in SHELL for line in lines(block)]
LINES = [(block, arguments) for block, line in SAID for arguments in commands(line)]


@pytest.mark.parametrize(
    ("block", "arguments"), LINES, ids=lambda each: " ".join(each)[:60] if isinstance(each, list) else str(each)
)
def test_the_program_takes_this_line(block: Block, arguments: list[str]) -> None:
    check(arguments)


@pytest.mark.parametrize("file", [file for file in FILES if file.name != "CHANGELOG.md"], ids=str)
def test_a_command_that_is_named_within_a_line_exists_and_so_do_its_options(file: Path) -> None:
    for token in inlines(file, "code_inline"):
        words = token.content.split()
        if words[:1] != ["clownfish"]:
            continue
        named = [word for word in words[1:3] if re.fullmatch(r"[a-z][a-z-]*", word)]
        command, name, _ = command_of(named)
        known = {option for each in getattr(command, "params", ()) for option in (*each.opts, *each.secondary_opts)}
        wrong = [word for word in words if word.startswith("--") and word not in {*known, "--help"}]
        assert not wrong, f"{file}: `{token.content}`: {name} has no {', '.join(wrong)}"


# -- settings

REGISTRIES = {"policy": FILTERS, "similarity": SIMILARITIES, "method": FUSIONS, "codec": CODECS, "sink": SINKS}
"""Key → what a table there names."""
OTHERS: dict[str, Any] = {
    "an experiment of the lab": Experiment,
    "a network profile": profile._File,
    "a classifier's training": DiscardConfig,
    "a SimiNet's training": SimiNetConfig,
}
"""Files of other kinds."""


def unlike(kind: Any, value: Any) -> list[str]:
    """What is wrong with a value; that a part of a file is not the whole of it is not."""
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        return [f"{each['loc']}: {each['msg']}" for each in error.errors() if not each["type"].startswith("missing")]
    return []


def of_a_graph(tree: dict[str, Any]) -> list[str]:
    """Each section by itself; `discard` is a pair's."""
    kinds = get_type_hints(Config, include_extras=True)
    unknown = [f"no section is called {key!r}" for key in tree if key not in kinds and key != "discard"]
    return unknown + [
        f"{key} {fault}" for key, value in tree.items() if key in kinds for fault in unlike(kinds[key], value)
    ]


def unknown_options(tree: Any) -> Iterator[str]:
    """Of tables that name a plug-in."""
    if isinstance(tree, list):
        for each in tree:
            yield from unknown_options(each)
    if not isinstance(tree, dict):
        return
    for key, value in tree.items():
        yield from unknown_options(value)
        if key in REGISTRIES and isinstance(value, dict) and ":" not in value["kind"]:
            taken = inspect.signature(REGISTRIES[key].get(value["kind"])).parameters
            if not any(each.kind is each.VAR_KEYWORD for each in taken.values()):
                yield from (f"{value['kind']} has no option {name}" for name in value if name not in (*taken, "kind"))


def faults(text: str) -> list[str]:
    """Of settings in TOML, as the kind of file that they are the most like."""
    tree = tomllib.loads(text)
    kinds = [of_a_graph(tree), *(unlike(kind, tree) for kind in OTHERS.values())]
    fewest = min(kinds, key=len)
    return fewest or list(unknown_options(tree))


SECTION = re.compile(r"\s*\[+(" + "|".join(get_type_hints(Config)) + r")\b")
TOML = [each for each in BLOCKS if each.language == "toml" or (not each.language and SECTION.match(each.text))]


@pytest.mark.parametrize("block", TOML, ids=str)
def test_settings_that_are_shown_are_right(block: Block) -> None:
    assert not faults(block.text)


@pytest.mark.parametrize(
    "text",
    ["[uplink]\ncodex = 3", "[uplinks]", "[local]\nmax_batch = 0", '[filter]\npolicy = { kind = "drift", n = 3 }',
     '[[sinks]]\nsink = { kind = "no such" }', "[fusion]\ntheta = 2"],
)  # fmt: skip
def test_settings_that_are_wrong_would_be_found(text: str) -> None:
    assert faults(text)


@pytest.mark.parametrize(
    "line",
    ["clownfish runn a.mp4", "clownfish run a.mp4 --no-such", "clownfish keys forge a", "clownfish run --n-w x a"],
)
def test_lines_that_the_program_would_refuse_would_be_found(line: str) -> None:
    (arguments,) = commands(f"FOO=1 sudo .venv/bin/{line} > out  # as here")
    with pytest.raises(Exception, match=r"(?i)no command|no such option|valid integer"):
        check(arguments)


DESCRIPTIONS = [each for each in BLOCKS if each.language == "json" and '"architecture"' in each.text]


@pytest.mark.parametrize("block", DESCRIPTIONS, ids=str)
def test_a_models_description_that_is_shown_is_right(block: Block) -> None:
    ModelDescription.model_validate_json(block.text)


# -- examples


@pytest.mark.parametrize(
    "block", [each for each in BLOCKS if ">>> " in each.text and each.language == "python"], ids=str
)
def test_an_example_says_what_it_says_there(block: Block) -> None:
    example = doctest.DocTestParser().get_doctest(block.text, {}, str(block), str(block.file), block.line)
    assert doctest.DocTestRunner(verbose=False).run(example).failed == 0
