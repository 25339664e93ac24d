"""What a codec cost one stream at one n_w, and files in which that is kept: a run that was killed goes on from them.

A file holds the remote model's answers window by window, whole or not at all. Its name is a digest of all that they
depend on: stream, model, codec with options and code, n_w, and which windows were asked about.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from clownfish.atomic import write_whole
from clownfish.chunks import pack_columns, unpack_columns
from clownfish.codecs import CODECS
from clownfish.evaluation.dump import Header
from clownfish.settings import Plugin

FORMAT = "clownfish-codec-tally/1"


@dataclass(slots=True)
class Tally:
    """What one stream cost with one codec at one n_w. The last four are of the sample, one each for a window of it;
    `p` where the model was asked."""

    windows: int = 0
    seconds: float = 0.0
    wire_bytes: int = 0
    encode_s: float = 0.0
    t: list[int] = field(default_factory=list)
    decode_s: list[float] = field(default_factory=list)
    psnr_db: list[float] = field(default_factory=list)
    p: list[npt.NDArray[np.float32]] = field(default_factory=list)

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        numbers = np.array([self.windows, self.seconds, self.wire_bytes, self.encode_s])
        rows = {"t": self.t, "decode_s": self.decode_s, "psnr_db": self.psnr_db, "p": self.p}
        return {"numbers": numbers, **{name: np.array(values) for name, values in rows.items()}}

    @classmethod
    def of(cls, columns: Mapping[str, npt.NDArray[Any]]) -> Tally:
        """Raises KeyError or ValueError where columns are missing or are none of a tally's."""
        windows, seconds, wire_bytes, encode_s = columns["numbers"]
        return cls(
            int(windows),
            float(seconds),
            int(wire_bytes),
            float(encode_s),
            columns["t"].tolist(),
            columns["decode_s"].tolist(),
            columns["psnr_db"].tolist(),
            list(columns["p"]),
        )


class Tallies:
    """Those of one command, kept in a folder; None: kept nowhere."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def get(self, key: str) -> Tally | None:
        """None where there is none, or nothing whole."""
        try:
            return Tally.of(unpack_columns(self._path(key).read_bytes())) if self._folder is not None else None
        except (OSError, KeyError, ValueError):
            return None

    def put(self, key: str, tally: Tally) -> None:
        """Raises OSError."""
        if self._folder is not None:
            data = pack_columns(tally.columns())
            write_whole(self._path(key), lambda file: file.write(data))

    def _path(self, key: str) -> Path:
        assert self._folder is not None  # whoever asks has looked
        return self._folder / f"{key}.npz"


def key_of(header: Header, codec: Plugin, n_w: int, frames: int | None, every: int, asked: bool) -> str:
    """What tells one tally from all others: the stream's name, the codec's, and twelve digits of everything."""
    everything = {
        "format": FORMAT,
        "header": json.loads(header.to_json()),
        "codec": codec.table(),
        "code": _code(codec.kind),
        "n_w": n_w,
        "frames": frames,
        "every": every,
        "asked": asked,
    }
    digest = hashlib.sha256(json.dumps(everything, sort_keys=True, default=str).encode()).hexdigest()
    return f"{header.stream}-{codec.kind}-{n_w}-{digest[:12]}"


@cache
def _code(kind: str) -> str:
    """A digest of the codec's code: its own module, and those of the classes that it is built on."""
    digest = hashlib.sha256()
    factory: Any = CODECS.get(kind)
    for module in sorted({each.__module__ for each in inspect.getmro(factory)} - {"builtins", "typing"}):
        digest.update(inspect.getsource(sys.modules[module]).encode())
    return digest.hexdigest()
