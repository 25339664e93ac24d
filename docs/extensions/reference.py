"""Reference pages: in the place of `<!-- reference: NAME -->` stands what the code says of itself, as it is built."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import command_reference
import plugin_reference
import settings_reference
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

PAGES = {
    "settings": settings_reference.settings,
    "classifiers": settings_reference.classifiers,
    "siminets": settings_reference.siminets,
    "descriptions": settings_reference.descriptions,
    "commands": command_reference.markdown,
    "plugins": plugin_reference.markdown,
}
_PLACE = re.compile(r"^<!-- reference: (\w+) -->$", re.MULTILINE)


def fill(app: Sphinx, page: str, source: list[str]) -> None:
    source[0] = _PLACE.sub(lambda place: PAGES[place[1]](), source[0])


def outdated(app: Sphinx, environment: BuildEnvironment, *pages: set[str]) -> list[str]:
    """Pages that follow the code are made anew each time."""
    return [
        page for page in environment.found_docs if _PLACE.search(Path(environment.doc2path(page)).read_text("utf-8"))
    ]


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("source-read", fill)
    app.connect("env-get-outdated", outdated)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
