"""Test tool: the repository's Markdown files, and the blocks and links in them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parent.parent

FILES = sorted(
    path.relative_to(ROOT)
    for pattern in ("*.md", "docs/**/*.md", "deploy/**/*.md", "clownfish/**/*.md", "configs/**/*.md")
    for path in ROOT.glob(pattern)
)
"""Relative to ROOT; also what ids of tests are made of."""


class Block(NamedTuple):
    """A block of code. `language` is "" where it is only indented, or names none."""

    file: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@cache
def tokens(file: Path) -> list[Token]:
    """Of one of FILES, in order; those within a line are the children of an `inline` one."""
    return MarkdownIt("commonmark").enable("table").parse((ROOT / file).read_text(encoding="utf-8"))


def blocks(file: Path) -> Iterator[Block]:
    """Its blocks of code, fenced or indented; directives of the documentation's builder are none."""
    for token in tokens(file):
        if token.type in ("fence", "code_block") and not token.info.startswith("{"):
            yield Block(file, (token.map or [0])[0] + 1, token.info.partition(" ")[0], token.content)


def inlines(file: Path, kind: str) -> Iterator[Token]:
    """What stands within its lines: `code_inline`, `link_open`, `image`."""
    for token in tokens(file):
        yield from (child for child in token.children or () if child.type == kind)


def anchors(file: Path) -> set[str]:
    """Of its headings, as GitHub and the documentation's builder make them."""
    every = tokens(file)
    seen: Counter[str] = Counter()
    found = set()
    for opening, title in pairwise(every):
        if opening.type != "heading_open":
            continue
        text = "".join(child.content for child in title.children or () if child.type in ("text", "code_inline"))
        slug = re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found
