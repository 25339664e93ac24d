"""Dumps: what both models say of every window of one stream, recorded once (§VI-A), so that any method can be replayed.

One compressed .npz file per stream: `header` (JSON: models, classes, window parameters, codec, source) and the columns
of `Dump`, float32 answers to the bit. ρ is not in it: `replay.rhos` computes it from the features, by the very call of
the live graph, for whichever similarity is asked for.

A dump is used only where it fits: its header is compared, and the difference named. Files are written whole or not at
all; how one grows while the models run is `journal`'s. Equal headers and equal answers make equal files, but for the
two columns of times.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from clownfish.errors import DatasetError

FORMAT = "clownfish-dump/2"

UNLABELLED = -1


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which model it was: its answers depend on the weights and on the description (input, temperature)."""

    name: str
    weights_sha256: str
    description_sha256: str


@dataclass(frozen=True, slots=True)
class Header:
    """All that the columns depend on: equal headers, equal dumps (up to the rounding of another device)."""

    stream: str
    source_sha256: str
    local: ModelIdentity
    remote: ModelIdentity
    classes: tuple[str, ...]
    size: int
    stride: int
    width: int
    height: int
    codec: str
    """Kind and options."""
    precision: str
    discard: ModelIdentity | None = None
    """The early-discard model (§VI-G), where there is one."""
    fps: float = 30.0
    """Nominal frames per second of the source."""
    format: str = FORMAT

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @property
    def digest(self) -> str:
        """Twelve hex digits, to tell the files of unlike dumps apart."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Dump:
    """One stream's columns, windows in order of t. One that is left empty is filled with what stands for "unknown"."""

    header: Header
    t: npt.NDArray[np.int64]
    p_local: npt.NDArray[np.float32]
    """(windows, classes), as `p_remote`."""
    feature: npt.NDArray[np.float32]
    """(windows, features) of the local model."""
    p_remote: npt.NDArray[np.float32]
    frame_bytes: npt.NDArray[np.int64]
    """(frames,) size of each frame as the codec encodes it, where every frame is sent."""
    label: npt.NDArray[np.int16] = field(default_factory=lambda: np.empty(0, np.int16))
    """(frames,) true class of each frame; UNLABELLED outside contexts, or without ground truth."""
    p_discard: npt.NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    """(windows,) the early-discard model's p of `send`; NaN without such a model."""
    local_ms: npt.NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    """(windows,) how long each answer took; NaN where nobody looked. `remote_ms` likewise."""
    remote_ms: npt.NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))

    def __post_init__(self) -> None:
        for column, (of, kind, blank) in _OPTIONAL.items():
            length = len(getattr(self, of))
            if not len(getattr(self, column)) and length:
                object.__setattr__(self, column, np.full(length, blank, kind))

    @property
    def windows(self) -> int:
        return len(self.t)

    @property
    def frames(self) -> int:
        return len(self.frame_bytes)

    @property
    def discards(self) -> bool:
        """Whether an early-discard model was asked of every window, too."""
        return not np.isnan(self.p_discard).any()


_OPTIONAL: Mapping[str, tuple[str, type, float]] = {
    "label": ("frame_bytes", np.int16, UNLABELLED),
    "p_discard": ("t", np.float32, np.nan),
    "local_ms": ("t", np.float32, np.nan),
    "remote_ms": ("t", np.float32, np.nan),
}
"""Column that may be left empty → (one of the same length, type, value)."""

KINDS: Mapping[str, type] = {
    "t": np.int64,
    "p_local": np.float32,
    "feature": np.float32,
    "p_remote": np.float32,
    "frame_bytes": np.int64,
    **{column: kind for column, (_, kind, _) in _OPTIONAL.items()},
}
"""Column → type of its numbers."""

TIMES = ("local_ms", "remote_ms")
"""Columns that no two runs have alike."""


def dump_path(folder: Path, header: Header) -> Path:
    """Where the dump of that header lies."""
    return folder / f"{header.stream}-{header.digest}.npz"


def write_dump(path: Path, dump: Dump) -> None:
    """Write it whole or not at all: a file beside `path` takes its name when it is complete. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            columns = {column: getattr(dump, column) for column in KINDS}
            np.savez_compressed(file, header=np.array(dump.header.to_json()), **columns)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


class DamagedDump(DatasetError):
    """The file is no whole dump: nothing in it is trusted."""


def load_dump(path: Path, expected: Header | None = None) -> Dump:
    """Read a dump. Raises DatasetError where the file is missing, damaged or no dump, and where its header is not the
    `expected` one: then with every difference named."""
    tree, columns = read_columns(path, FORMAT, KINDS)
    try:
        header = _header(tree)
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error) from error
    if expected is not None and header != expected:
        raise DatasetError(
            f"{path}: does not fit: {'; '.join(differences(asdict(header), asdict(expected)))}. "
            "Dump the stream again with these models and parameters"
        )
    n, frames, classes = len(columns["t"]), len(columns["frame_bytes"]), len(header.classes)
    shapes = {column: values.shape for column, values in columns.items()}
    fits = shapes["p_local"] == shapes["p_remote"] == (n, classes) and shapes["feature"][:1] == (n,)
    if not fits or any(shapes[column] != shapes[of] for column, (of, _, _) in _OPTIONAL.items()):
        raise DatasetError(
            f"{path}: columns of shapes {shapes} do not belong to {n} windows of {classes} classes, {frames} frames"
        )
    for column in columns:
        if columns[column].dtype != KINDS[column]:
            raise DatasetError(
                f"{path}: column {column} holds {columns[column].dtype}, expected {np.dtype(KINDS[column])}; delete "
                "the file and it is made anew"
            )
    return Dump(header, **columns)


def read_columns(path: Path, wanted: str, names: Iterable[str]) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """(the header's tree, the columns `names`) of a file of format `wanted`, otherwise unchecked. Raises DatasetError
    where the file is missing or of another format, DamagedDump where it is not whole."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            tree = json.loads(str(arrays["header"]))
            found = tree["format"]
            if found == wanted:
                return tree, {name: arrays[name] for name in names}
    except FileNotFoundError as error:
        raise DatasetError(f"{path}: no such dump; make it with `clownfish eval dump`") from error
    # zlib.error: compressed bytes that are no longer what they were
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise _damaged(path, error) from error
    if isinstance(found, str) and found.startswith("clownfish-dump/"):
        raise DatasetError(
            f"{path}: is of format {found!r}, expected {wanted!r}; `clownfish eval dump` with the same models and "
            "streams brings a former format up to date"
        )
    raise _damaged(path, ValueError(f"format is {found!r}, expected {wanted!r}"))


def _damaged(path: Path, error: Exception) -> DamagedDump:
    return DamagedDump(f"{path}: is no whole dump ({error}); delete it and it is made anew")


def _header(tree: Any) -> Header:
    """Raises KeyError, TypeError or ValueError where `tree` is not a header's."""
    if set(tree) != {field.name for field in fields(Header)}:
        raise ValueError(f"header holds {', '.join(sorted(tree))}")
    models = {
        role: None if role == "discard" and tree[role] is None else ModelIdentity(**tree[role])
        for role in ("local", "remote", "discard")
    }
    return Header(**{**tree, **models, "classes": tuple(tree["classes"])})


def differences(found: Mapping[str, Any], expected: Mapping[str, Any], where: str = "") -> list[str]:
    """One clause for each value that differs between two headers' trees."""
    clauses: list[str] = []
    for key, wanted in expected.items():
        value = found.get(key)
        if isinstance(wanted, Mapping) and isinstance(value, Mapping):
            clauses += differences(value, wanted, f"{where}{key}.")
        elif value != wanted:
            clauses.append(f"{where}{key} is {_short(value)} in the dump and {_short(wanted)} here")
    return clauses


def _short(value: object) -> str:
    """A hash by its first digits, a model by its name, anything else as it is."""
    if isinstance(value, Mapping):
        return repr(value.get("name"))
    if isinstance(value, str) and len(value) == 64:
        with contextlib.suppress(ValueError):
            int(value, 16)
            return f"{value[:12]}…"
    return repr(list(value)) if isinstance(value, tuple) else repr(value)
