"""From a context to files: one figure (CSV, PNG), or all of them and the page that shows them."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from clownfish.evaluation.paper import EXHIBITS
from clownfish.evaluation.paper.base import Unavailable
from clownfish.evaluation.paper.context import Context
from clownfish.evaluation.paper.judge import verdicts
from clownfish.evaluation.paper.page import Missing, Part, Picture, page
from clownfish.evaluation.paper.rows import write_rows
from clownfish.evaluation.paper.sections import SECTIONS, Section
from clownfish.evaluation.paper.style import new_figure, save

REPORT = "report.html"


def make(context: Context, name: str, out: Path) -> Picture:
    """Compute one figure and write NAME.csv and NAME.png into `out`.

    Raises ConfigError for an unknown name or without matplotlib, Unavailable where this data set has no such figure.
    """
    exhibit = EXHIBITS.get(name)
    rows = context.rows(name)
    csv, png = out / f"{name}.csv", out / f"{name}.png"
    write_rows(csv, exhibit.row, rows)
    save(exhibit.draw(rows), png)
    return Picture(exhibit.title, exhibit.caption, png, csv, None if exhibit.table is None else exhibit.table(rows))


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """A line of claims.csv."""

    claim: str
    holds: str
    found: str
    reason: str


def paper(
    context: Context, out: Path, command: str, sections: Sequence[Callable[[Context], Section]] = SECTIONS
) -> Path:
    """Make every figure of every section, and the page. Returns its file."""
    new_figure(1)  # without matplotlib nothing is begun
    began = time.monotonic()
    context.streams  # noqa: B018 - the models' minutes, where there are no dumps yet, are not the evaluation's
    recorded = time.monotonic()
    parts = []
    for section in sections:
        try:
            made = section(context)
        except Unavailable as error:
            parts.append(Part(str(getattr(section, "__name__", "section")), f"<p>{error}</p>"))
            continue
        parts.append(Part(made.title, made.html, [_shown(context, name, out) for name in made.figures], made.tables))
    rows = [ClaimRow(each.claim, each.answer, each.found, each.reason) for each in verdicts(context)]
    write_rows(out / "claims.csv", ClaimRow, rows)
    now = datetime.datetime.now().astimezone()
    lead = [
        context.data.title,
        f"Made on {now:%d %B %Y, %H:%M %Z} by {command}",
        f"Recorded answers read or made in {recorded - began:.0f} s, all else computed in "
        f"{time.monotonic() - recorded:.0f} s.",
    ]
    file = out / REPORT
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(page(f"Clownfish: the paper's evaluation on {context.data.name}", lead, parts), encoding="utf-8")
    return file


def _shown(context: Context, name: str, out: Path) -> Picture | Missing:
    try:
        return make(context, name, out)
    except Unavailable as error:
        return Missing(EXHIBITS.get(name).title, str(error))
