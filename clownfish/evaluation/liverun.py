"""A recorded live run as what replay works on: lives, a dump, and arrivals.

A *life* is what one fusion process did of an epoch, from when it opened it until it ended it or was killed: a process
that comes after it knows nothing of its chain. Most records have one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from clownfish.errors import DatasetError
from clownfish.evaluation.dump import Dump, Header, ModelIdentity
from clownfish.evaluation.network import BEFORE_ALL, RecordedArrivals
from clownfish.messages import Vector
from clownfish.records import ANSWER, BEGIN, END, LOCAL, REMOTE, Record
from clownfish.settings import Filter, FusionSection, section_of

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

UNKNOWN = "(recorded live)"
"""In a header, in place of a hash that nobody took."""
_SAME_ANSWER = 0.02
"""How far two runs of one model over one window may differ in p: other engines, other rounding."""


@dataclass(frozen=True)
class Life:
    """One fusion process's share of an epoch."""

    local: Ints
    """Places in the table `local`, in order of fusion."""
    arrivals: tuple[tuple[int, int], ...]
    """(newest window fused then, or BEFORE_ALL; window answered) in order of application."""
    p_remote: dict[int, Vector]
    """The first answer for each window."""
    answers: Ints
    """Places in the table `answer`, in the order in which they were given."""
    ended: bool
    """Whether it closed all its windows."""


def lives(record: Record) -> list[Life]:
    """Raises DatasetError where the record has no window, or its beginning is missing."""
    kinds = record.column("step", "kind").tolist()
    if not record.rows("local"):
        raise DatasetError(f"{record.path}: holds no window: the run ended before the first was answered")
    if kinds[0] != BEGIN:
        raise DatasetError(f"{record.path}: begins in the middle of the stream; what came before was not recorded")
    found: list[list[tuple[int, int]]] = []
    places = {LOCAL: 0, REMOTE: 0, ANSWER: 0, END: 0}
    for kind in kinds:
        if kind == BEGIN:
            found.append([])
            continue
        found[-1].append((kind, places[kind]))
        places[kind] += 1
    return [_life(record, steps) for steps in found if steps]


def _life(record: Record, steps: Sequence[tuple[int, int]]) -> Life:
    t_local, t_remote = record.column("local", "t").tolist(), record.column("remote", "t").tolist()
    p_remote = record.column("remote", "p")
    newest, arrivals = BEFORE_ALL, []
    answered: dict[int, Vector] = {}
    for kind, place in steps:
        if kind == LOCAL:
            newest = t_local[place]
        elif kind == REMOTE:
            arrivals.append((newest, t_remote[place]))
            answered.setdefault(t_remote[place], p_remote[place])

    def places(of: int) -> Ints:
        return np.array([place for kind, place in steps if kind == of], np.int64)

    return Life(places(LOCAL), tuple(arrivals), answered, places(ANSWER), any(kind == END for kind, _ in steps))


def joined(parts: Sequence[Life]) -> Life:
    """All lives as one, as if fusion had never died."""
    return Life(
        np.concatenate([life.local for life in parts]),
        tuple(arrival for life in parts for arrival in life.arrivals),
        {t: p for life in reversed(parts) for t, p in life.p_remote.items()},
        np.concatenate([life.answers for life in parts]),
        parts[-1].ended,
    )


def dump_of(record: Record, life: Life) -> Dump:
    """The windows inferred, with NaN for the remote answer of those that the cloud did not answer, and for features
    that are missing. Each frame has the mean size of those that were sent, for nobody encoded the others."""
    header = record.header
    t = record.column("local", "t")[life.local]
    shape = (len(t), len(header.classes))
    p_remote = np.full(shape, np.nan, record.column("remote", "p").dtype)
    for n, window in enumerate(t.tolist()):
        if window in life.p_remote:
            p_remote[n] = life.p_remote[window]
    features = record.column("feature", "feature")
    place = {window: n for n, window in enumerate(record.column("feature", "t").tolist())}
    feature = np.full((len(t), features.shape[1]), np.nan, features.dtype)
    for n, window in enumerate(t.tolist()):
        if window in place:
            feature[n] = features[place[window]]
    return Dump(
        _dump_header(record),
        t=t,
        p_local=record.column("local", "p")[life.local],
        feature=feature,
        p_remote=p_remote,
        frame_bytes=_frame_bytes(record, int(t.max())),
    )


def rho_of(record: Record, life: Life) -> Floats:
    """ρ as it was live, (windows,); NaN where it was undefined."""
    rho: Floats = record.column("local", "rho")[life.local]
    return rho


def arrivals_of(record: Record, life: Life, **options: Any) -> RecordedArrivals:
    """When each remote result was applied; `options` as RecordedArrivals takes them."""
    inferred = set(record.column("local", "t")[life.local].tolist())
    extra = {t: p for t, p in life.p_remote.items() if t not in inferred}
    return RecordedArrivals(life.arrivals, extra=extra, **options)


def completed(dump: Dump, record: Record, other: Dump) -> Dump:
    """`dump`, of the record, with the remote answers and frame sizes that `other`, made offline of the same video, has.

    What the live cloud did answer stays. Raises DatasetError where `other` is of other classes, windows or another
    video, which shows in the local answers.
    """
    for name in ("classes", "size", "stride"):
        live, offline = getattr(dump.header, name), getattr(other.header, name)
        if live != offline:
            raise DatasetError(
                f"{record.path}: its {name} is {live}, that of the dump of {other.header.stream} {offline}; give a "
                "dump that was made with the same models and window parameters"
            )
    places = {t: n for n, t in enumerate(other.t.tolist())}
    missing = [t for t in dump.t.tolist() if t not in places]
    if missing:
        raise DatasetError(f"{record.path}: window {missing[0]} is not in the dump of {other.header.stream}")
    at = np.array([places[t] for t in dump.t.tolist()], np.int64)
    apart = np.abs(dump.p_local - other.p_local[at]).max(axis=1)
    unlike = float((apart > _SAME_ANSWER).mean())
    if unlike > 0.1:
        raise DatasetError(
            f"{record.path}: in {100 * unlike:.0f} % of windows the dump of {other.header.stream} has another local "
            "answer: it is of another video or another model"
        )
    known = ~np.isnan(dump.p_remote[:, :1])
    return replace(
        dump, p_remote=np.where(known, dump.p_remote, other.p_remote[at]), frame_bytes=other.frame_bytes.copy()
    )


def live_sends(record: Record) -> list[int]:
    """t of the windows that the gate sent, in that order."""
    what, t = record.column("filter", "what").tolist(), record.column("filter", "t").tolist()
    return [window for window, said in zip(t, what, strict=True) if said.startswith("sent ")]


def fusion_of(record: Record) -> FusionSection:
    """Raises ConfigError where the record's settings are not those of this release."""
    return section_of(FusionSection, record.header.settings["fusion"], f"{record.path}: [fusion]")


def filter_of(record: Record) -> Filter:
    """Likewise."""
    return section_of(Filter, record.header.settings["filter"], f"{record.path}: [filter]")


def _dump_header(record: Record) -> Header:
    header, settings = record.header, record.header.settings
    local, uplink = settings.get("local") or {}, settings.get("uplink") or {}
    codec = dict(uplink.get("codec", {"kind": "none"}))
    return Header(
        stream=header.stream,
        source_sha256=UNKNOWN,
        local=ModelIdentity(str(local.get("model")), UNKNOWN, UNKNOWN),
        remote=ModelIdentity(UNKNOWN, UNKNOWN, UNKNOWN),
        classes=header.classes,
        size=header.size,
        stride=header.stride,
        width=settings["capture"]["width"],
        height=settings["capture"]["height"],
        codec=" ".join([codec.pop("kind"), *(f"{k}={v}" for k, v in sorted(codec.items()))]),
        precision=str(local.get("precision")),
    )


def _frame_bytes(record: Record, last_t: int) -> Ints:
    header = record.header
    frames = max(last_t * header.stride + header.size, *record.column("end", "frames").tolist(), 0)
    sent = record.column("uplink", "what") == "sent"
    total = float(record.column("uplink", "value")[sent].sum())
    different = {t * header.stride + n for t in record.column("uplink", "t")[sent].tolist() for n in range(header.size)}
    return np.full(frames, round(total / len(different)) if different else 0, np.int64)
