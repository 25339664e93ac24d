"""The report as one HTML file: pictures inside, no scripts, light and dark, fit for a phone."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from clownfish.evaluation.paper.base import Table

STYLE = """
:root { color-scheme: light dark; --text: #1c1e21; --soft: #5b6169; --page: #ffffff; --card: #f4f5f7; --line: #d9dce1;
  --yes: #00674b; --no: #a23b00; --link: #005a8c; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e8eb; --soft: #a4abb5; --page: #15171a; --card: #1f2226;
  --line: #363b42; --yes: #4cc9a0; --no: #ff9a5c; --link: #7cc4f5; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.2rem 1rem 4rem; max-width: 62rem; background: var(--page); color: var(--text);
  font: 1rem/1.55 system-ui, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .6rem 0 .3rem; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 .6rem; padding-top: .8rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
p { margin: .5rem 0; max-width: 46rem; }
a { color: var(--link); }
.soft, figcaption { color: var(--soft); font-size: .92rem; }
nav ul { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; font-size: .95rem; }
figure { margin: 1rem 0; }
figure img { display: block; width: 100%; height: auto; background: #ffffff; border-radius: 6px; padding: .3rem; }
.scroll { overflow-x: auto; margin: .8rem 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .28rem .7rem; text-align: right; border-bottom: 1px solid var(--line); vertical-align: top; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
th { color: var(--soft); font-weight: 600; }
.claims { padding: 0; list-style: none; }
.claim { background: var(--card); border-radius: 8px; padding: .5rem .9rem; margin: .6rem 0; }
.claim p { margin: .25rem 0; max-width: none; }
.why { font-size: .95rem; }
.badge { display: inline-block; min-width: 2.6rem; text-align: center; padding: 0 .5rem; border-radius: 1rem;
  border: 1.5px solid; font-weight: 700; font-size: .85rem; }
.yes { color: var(--yes); } .no { color: var(--no); } .open { color: var(--soft); }
.absent { border-left: 4px solid var(--line); padding-left: .8rem; color: var(--soft); }
code { font-size: .9em; overflow-wrap: anywhere; }
"""


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure as it is shown."""

    title: str
    caption: str
    png: Path
    csv: Path
    table: Table | None = None


@dataclass(frozen=True, slots=True)
class Missing:
    """A figure that is not to be had here."""

    title: str
    reason: str


@dataclass(frozen=True, slots=True)
class Part:
    """A section, its figures made."""

    title: str
    html: str = ""
    shown: Sequence[Picture | Missing] = ()
    tables: Sequence[Table] = ()


def page(title: str, lead: Sequence[str], parts: Sequence[Part]) -> str:
    """The whole file. `lead` is plain text, a line each; `Part.html` is HTML already."""
    links = "".join(f'<li><a href="#s{n}">{escape(part.title)}</a></li>' for n, part in enumerate(parts))
    body = "".join(_part(n, part) for n, part in enumerate(parts))
    lines = "".join(f'<p class="soft">{line}</p>' for line in map(escape, lead))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<header><h1>{escape(title)}</h1>{lines}</header>\n<nav><ul>{links}</ul></nav>\n<main>\n{body}</main>\n"
        "</body>\n</html>\n"
    )


def _part(n: int, part: Part) -> str:
    shown = "".join(_picture(each) if isinstance(each, Picture) else _missing(each) for each in part.shown)
    tables = "".join(_table(table) for table in part.tables)
    return f'<section id="s{n}"><h2>{escape(part.title)}</h2>{part.html}{shown}{tables}</section>\n'


def _picture(picture: Picture) -> str:
    data = base64.b64encode(picture.png.read_bytes()).decode()
    table = "" if picture.table is None else _table(picture.table)
    title, csv = escape(picture.title), escape(picture.csv.name)
    return (
        f'<h3>{title}</h3><figure><img alt="{title}" src="data:image/png;base64,{data}">'
        f'<figcaption>{escape(picture.caption)} Numbers: <a href="{csv}">{csv}</a>.</figcaption></figure>{table}'
    )


def _missing(missing: Missing) -> str:
    return f'<h3>{escape(missing.title)}</h3><p class="absent">Not shown here: {escape(missing.reason)}</p>'


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in table.columns)
    rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in table.rows)
    caption = f'<p class="soft">{escape(table.caption)}</p>' if table.caption else ""
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>{caption}'
