"""Is a recorded live run what replay makes of it, bit for bit? And did the gate send what the policy chooses?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from clownfish.evaluation.liverun import arrivals_of, dump_of, filter_of, fusion_of, lives, rho_of
from clownfish.evaluation.replay import replay
from clownfish.filters import FILTERS
from clownfish.filters.base import FilterPolicy, SeesLocal
from clownfish.filters.never import Never
from clownfish.gate import Decision, Gate, Send
from clownfish.messages import FusedResult, Pace, StreamKey, WindowKey
from clownfish.records import NO_LAG, RESTARTED, SOURCES, TABLES, Record, Row, answer_row

_FIELDS = tuple(TABLES["answer"])
_OTHERS = ("released capacity", "released evicted", "released replaced")
"""What other streams and epochs did to this one: no record of it alone can say so."""


@dataclass(frozen=True)
class Check:
    """What was compared, and the first difference."""

    what: str
    """In words, with numbers."""
    refused: str = ""
    """Why the claim cannot be made, whatever the comparison says."""
    difference: str = ""

    @property
    def holds(self) -> bool:
        return not self.refused and not self.difference


def verify_fusion(record: Record) -> Check:
    """Replay what fusion took, as it took it, and compare every result with what it gave, in order.

    Raises DatasetError where there is nothing to replay.
    """
    parts = lives(record)
    section = fusion_of(record)
    header = record.header
    classes = {name: number for number, name in enumerate(header.classes)}
    columns = [record.column("answer", name) for name in _FIELDS]
    difference, compared = "", 0
    for life in parts:
        given: list[FusedResult] = []
        replay(
            dump_of(record, life),
            rho_of(record, life),
            Never,  # what was sent is past: the arrivals are recorded
            arrivals_of(record, life),
            section,
            epoch=header.epoch,
            finish=life.ended,
            on_result=given.append,
        )
        live = [tuple(column[place] for column in columns) for place in life.answers.tolist()]
        compared += len(live)
        difference = difference or _first_difference(
            live, [answer_row(each, classes) for each in given], header.classes
        )
    results = record.rows("remote")
    what = f"{compared} answers of {record.rows('local')} windows and {results} remote results"
    if len(parts) > 1:
        what += f", of {len(parts)} fusion processes one after the other, each by itself"
    return Check(what, _refused(record, "fusion", "record"), difference)


def verify_gate(record: Record) -> Check | None:
    """Ask the gate what it was asked live, in that order, and compare what it says; None where there was no gate."""
    if not record.rows("filter"):
        return None
    section = filter_of(record)
    key = StreamKey(record.header.stream, record.header.epoch)

    def make_gate() -> Gate[None]:
        policy: Callable[[], FilterPolicy] = lambda: section.policy.build(FILTERS)  # noqa: E731 - typed here only
        return Gate(policy, section.timeout_ms / 1000, capacity=1 << 30)

    rows = list(zip(*(record.column("filter", name).tolist() for name in TABLES["filter"]), strict=True))
    others = {t for t, what, _, _ in rows if what in _OTHERS}
    p_local = dict(zip(record.column("local", "t").tolist(), record.column("local", "p"), strict=True))
    services = ["filter", "record", *(["fusion"] if isinstance(section.policy.build(FILTERS), SeesLocal) else [])]
    gate, said, live = make_gate(), [], []
    for t, what, at_s, value in rows:
        window = WindowKey(*key, t)
        decisions: list[Decision[None]] = []
        if what == "window":
            decisions = gate.window(window, None, at_s)
        elif what == "rho":
            decisions = gate.rho(window, None if np.isnan(value) else value, at_s, p_local.get(t))
        elif what == "timer":
            decisions = gate.timer(at_s)
        elif what == "end":
            decisions = gate.end(key, at_s)
        elif what == RESTARTED:
            gate = make_gate()
        elif what.startswith("pace "):
            gate.pace(Pace.from_words(what))
        else:
            live.append((t, what))
        said += [(each.key.t, f"{'sent' if isinstance(each, Send) else 'released'} {each.why}") for each in decisions]
    said, live = ([each for each in both if each[0] not in others] for both in (said, live))
    sent = sum(what.startswith("sent ") for _, what in live)
    difference = ""
    for n in range(max(len(said), len(live))):
        a, b = (f"window {each[n][0]} {each[n][1]}" if n < len(each) else "nothing more" for each in (live, said))
        if a != b:
            difference = f"decision {n}: live {a}, replay {b}"
            break
    what = f"{sent} windows sent of {len(live)}, by {section.policy.kind}"
    if others:
        what += f"; {len(others)} that other streams crowded out are not compared"
    return Check(what, _refused(record, *services), difference)


def _refused(record: Record, *services: str) -> str:
    lost = {service: count for service, count in record.lost.items() if service in services}
    if not lost:
        return ""
    counts = ", ".join(f"{count} of {service}" for service, count in sorted(lost.items()))
    return f"the record is not whole: notes are missing ({counts}), so what is left proves nothing"


def _first_difference(live: list[Row], again: list[Row], classes: tuple[str, ...]) -> str:
    for n, (a, b) in enumerate(zip(live, again, strict=False)):
        unlike = [name for name, x, y in zip(_FIELDS, a, b, strict=True) if _bits(x) != _bits(y)]
        if unlike:
            return f"answer {n}, in {', '.join(unlike)}: live {_words(a, classes)}; replay {_words(b, classes)}"
    if len(live) != len(again):
        longer, who = (live, "only live") if len(live) > len(again) else (again, "only replay")
        n = min(len(live), len(again))
        return f"answer {n}: {who} has it: {_words(longer[n], classes)}"
    return ""


def _bits(value: Any) -> bytes | int:
    """Equal for equal bits: NaN is like NaN, 0.0 unlike −0.0."""
    if isinstance(value, bool | np.bool_ | int | np.integer):
        return int(value)
    return np.asarray(value, np.float64).tobytes()


def _words(row: Row, classes: tuple[str, ...]) -> str:
    said = dict(zip(_FIELDS, row, strict=True))
    lag = "" if said["lag"] == NO_LAG else f", lag {said['lag']}"
    final = ", final" if said["final"] else ""
    return (
        f"window {said['t']} revision {said['revision']} {classes[said['class']]} p {float(np.max(said['p']))!r}, "
        f"α {float(said['alpha'])!r}, β {float(said['beta'])!r}, {SOURCES[said['source']]}{lag}{final}"
    )
