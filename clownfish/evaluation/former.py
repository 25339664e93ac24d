"""Dumps of format 1: the models' answers in them are taken over, and only what format 2 has beside them is computed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from clownfish.errors import DatasetError
from clownfish.evaluation.dump import KINDS, Dump, Header, read_columns
from clownfish.evaluation.recording import OnWindow, labels, p_send, windows_of
from clownfish.messages import Pixels
from clownfish.models.base import WindowModel
from clownfish.sources.truth import Truth

FORMAT = "clownfish-dump/1"
_NEW_KEYS = ("discard", "fps")
_COLUMNS = ("t", "p_local", "feature", "p_remote", "frame_bytes")


@dataclass(frozen=True, slots=True)
class FormerDump:
    """A file of format 1 made from the same models and parameters."""

    columns: dict[str, npt.NDArray[Any]]

    @staticmethod
    def beside(path: Path, header: Header) -> FormerDump | None:
        """The former dump in the folder of `path` that `header` would have had; None where there is no whole one."""
        tree = {key: value for key, value in asdict(header).items() if key not in _NEW_KEYS} | {"format": FORMAT}
        digest = hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()[:12]
        try:
            found, columns = read_columns(path.with_name(f"{header.stream}-{digest}.npz"), FORMAT, _COLUMNS)
        except DatasetError:
            return None
        whole = columns["p_local"].shape == columns["p_remote"].shape == (len(columns["t"]), len(header.classes))
        fits = whole and all(columns[name].dtype == KINDS[name] for name in columns)
        return FormerDump(columns) if fits and found == json.loads(json.dumps(tree)) else None


def upgraded(
    former: FormerDump,
    header: Header,
    frames: Iterable[Pixels],
    discard: WindowModel | None,
    truth: Truth | None,
    on_window: OnWindow | None = None,
) -> Dump:
    """The dump in today's format; the times of both models stay unknown. Raises what `frames` raises."""
    label = labels(truth, header, len(former.columns["frame_bytes"]))
    if discard is None:
        return Dump(header, **former.columns, label=label)
    p_discard = np.full(len(former.columns["t"]), np.nan, np.float32)
    place = {t: n for n, t in enumerate(former.columns["t"].tolist())}
    for _, _, window in windows_of(header, frames):
        if window is not None and window.t in place:
            p_discard[place[window.t]] = p_send(discard, window)
            if on_window is not None:
                on_window(window.t)
    return Dump(header, **former.columns, label=label, p_discard=p_discard)
