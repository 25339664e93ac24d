"""Links from Markdown files to files and headings of this repository lead there."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.markdown import FILES, ROOT, anchors, inlines

MADE = ("docs/reference", "docs/project")
"""Their headings are made when the documentation is built, which checks links to them."""


def targets(file: Path) -> list[str]:
    """Of all links and pictures that lead nowhere else than to this repository."""
    links = [str(token.attrs["href"]) for token in inlines(file, "link_open")]
    pictures = [str(token.attrs["src"]) for token in inlines(file, "image")]
    return [each for each in links + pictures if not urlsplit(each).scheme]


def fault(file: Path, target: str) -> str | None:
    """What is wrong with a link in `file`."""
    path, _, anchor = unquote(target).partition("#")
    found = (ROOT / file).parent / path if path else ROOT / file
    if not found.exists():
        return f"{target}: there is no such file"
    if not anchor or found.suffix != ".md":
        return None
    page = found.resolve().relative_to(ROOT)
    if page.is_relative_to(MADE[0]) or page.is_relative_to(MADE[1]) or anchor in anchors(page):
        return None
    return f"{target}: no such heading; there are {', '.join(sorted(anchors(page)))}"


@pytest.mark.parametrize("file", FILES, ids=str)
def test_links_lead_to_files_and_headings_that_are_there(file: Path) -> None:
    assert not [wrong for target in targets(file) if (wrong := fault(file, target))]


def test_what_is_not_there_would_be_found() -> None:
    readme = Path("README.md")
    assert fault(readme, "docs/no-such-page.md") is not None
    assert fault(readme, "docs/sinks.md#no-such-heading") is not None
    assert fault(readme, "docs/sinks.md#events") is None
    assert sum(len(targets(file)) for file in FILES) > 50
