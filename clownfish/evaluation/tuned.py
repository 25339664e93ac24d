"""What `clownfish tune` found: a table for people, a CSV of all that was tried, and a pair's file to run with."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from clownfish.evaluation.paper.sweep import Score
from clownfish.evaluation.tuning import PAPER, Candidate, Tried, Tuned
from clownfish.settings import Plugin


def table(tuned: Tuned) -> Table:
    """The paper's, the best of each policy and of each fusion method within the budget, and the one chosen."""
    shown = Table(show_edge=False, pad_edge=False)
    for n, column in enumerate(("", "sent by", "ρ", "fused by", "bytes", "right", "gain (95 %)")):
        shown.add_column(column, justify="right" if n > 3 else "left")
    for name, tried in _telling(tuned):
        gain = tuned.gain(tried)
        shown.add_row(
            name,
            _options(tried.candidate.policy, tried.candidate.options),
            tried.candidate.similarity,
            _fusion(tried.candidate),
            f"{100 * tuned.share(tried):.1f}",
            f"{100 * tuned.accuracy(tried).value:.1f}",
            "" if tried is tuned.paper else f"{100 * gain.value:+.1f} ({100 * gain.low:+.1f} … {100 * gain.high:+.1f})",
        )
    return shown


def _telling(tuned: Tuned) -> list[tuple[str, Tried]]:
    kept = [each for each in tuned.tried if tuned.share(each) <= tuned.aim.budget]
    kept.sort(key=lambda each: -tuned.accuracy(each).value)
    found = [("the paper's", tuned.paper)]
    by: list[tuple[str, Callable[[Tried], str]]] = [
        ("best by", lambda each: each.candidate.policy),
        ("best with", lambda each: each.candidate.similarity),
        ("best fused by", _method),
    ]
    for what, of in by:
        first: dict[str, Tried] = {}
        for each in kept:
            first.setdefault(of(each), each)
        found += [(f"{what} {name}", each) for name, each in first.items()]
    return [*found, ("chosen", tuned.best)]


def _method(tried: Tried) -> str:
    method = dict(tried.candidate.fusion).get("method")
    return method.kind if isinstance(method, Plugin) else "the pair's"


def _options(kind: str, options: Iterable[tuple[str, Any]]) -> str:
    return " ".join([kind, *(f"{name} {_short(value)}" for name, value in options)])


def _fusion(candidate: Candidate) -> str:
    return ", ".join(f"{name} {_short(value)}" for name, value in candidate.fusion) or "as the pair says"


def _short(value: Any) -> str:
    if isinstance(value, Plugin):
        return _options(value.kind, value.options.items())
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def summary(tuned: Tuned) -> str:
    """The outcome in two sentences."""
    best, paper, gain = tuned.accuracy(tuned.best), tuned.accuracy(tuned.paper), tuned.gain(tuned.best)
    return (
        f"{_said(best)} of frames right with {100 * tuned.share(tuned.best):.1f} % of cloud-only's bytes; the paper's "
        f"settings ({_options(PAPER, tuned.paper.candidate.options)}) {_said(paper)} with "
        f"{100 * tuned.share(tuned.paper):.1f} %: {100 * gain.value:+.1f} points ({100 * gain.low:+.1f} to "
        f"{100 * gain.high:+.1f}). To expect on other streams, by leaving each out of the choice: "
        f"{_said(tuned.unseen)} with {100 * tuned.unseen_share:.1f} %."
    )


def _said(score: Score) -> str:
    return f"{100 * score.value:.1f} % ({100 * score.low:.1f} to {100 * score.high:.1f})"


def write_csv(path: Path, tuned: Tuned) -> None:
    """One line for each setting that was tried: accuracy over share of bytes. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("similarity", "policy", "options", "fusion", "bytes_share", "accuracy", "low", "high", "chosen"))
        for each in tuned.tried:
            score = tuned.accuracy(each)
            figures = (f"{x:.6g}" for x in (tuned.share(each), score.value, score.low, score.high))
            options = " ".join(f"{name}={_short(value)}" for name, value in each.candidate.options)
            fusion = " ".join(f"{name}={_short(value)}" for name, value in each.candidate.fusion)
            rows.writerow(
                (each.candidate.similarity, each.candidate.policy, options, fusion, *figures, int(each is tuned.best))
            )


def write_pair(
    path: Path, pair: Mapping[str, Any], tuned: Tuned, similarities: Mapping[str, Plugin], notes: Sequence[str]
) -> None:
    """The pair's settings (as `pair.read_pair` gives them) with those that were found, as a file for --pair.

    `similarities`: what the names of the bench's ρ stand for.

    `notes` are its head. Raises OSError.
    """
    candidate = tuned.best.candidate
    tree = {name: dict(section) for name, section in pair.items()}
    tree["local"]["similarity"] = similarities[candidate.similarity].table()
    tree.setdefault("filter", {})["policy"] = {"kind": candidate.policy, **dict(candidate.options)}
    fusion = tree.setdefault("fusion", {})
    for name, value in candidate.fusion:
        fusion[name] = value.table() if isinstance(value, Plugin) else value
    lines = [f"# {line}" for note in notes for line in note.splitlines()]
    for name, section in tree.items():
        if section:
            lines += ["", f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in section.items())]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value) if isinstance(value, str) else repr(value)
