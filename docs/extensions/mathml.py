"""Equations as MathML, made while building: browsers draw it themselves, with no script and no network."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)


def inline(translator: Any, node: nodes.math) -> None:
    translator.body.append(drawn(node, "inline"))
    raise nodes.SkipNode


def block(translator: Any, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="equation">{drawn(node, "block")}</div>\n')
    raise nodes.SkipNode


def drawn(node: nodes.Element, display: str) -> str:
    """Its MathML. A command that is not known would stand there as it is written: a warning, so the build fails."""
    mathml: str = convert(node.astext(), display=display)
    if "\\" in mathml:
        logger.warning("equation %r has a command that latex2mathml does not know", node.astext(), location=node)
    return mathml


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
