"""Dumps: what both models say of every window of one stream, recorded once (§VI-A), so that any method can be replayed.

One .npz file per stream: `header` (JSON: models, classes, window parameters, codec, source) and columns `t` (windows,),
`p_local` and `p_remote` (windows, classes) float32, `feature` (windows, features) float32, `frame_bytes` (frames,)
int64, the size of each frame as the codec encodes it. ρ is not in it: `replay.rhos` computes it from the features, by
the very call of the live graph, for whichever similarity is asked for.

A dump is used only where it fits: its header is compared, and the difference named. Files are written whole or not at
all.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from clownfish.codecs.base import Codec
from clownfish.errors import DatasetError
from clownfish.messages import Frame, Pixels
from clownfish.models.base import WindowModel
from clownfish.opencv import resized
from clownfish.windowing import WindowManager

FORMAT = "clownfish-dump/1"

OnWindow = Callable[[int], None]
"""Called with t after each window."""


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
    format: str = FORMAT

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @property
    def digest(self) -> str:
        """Twelve hex digits, to tell the files of unlike dumps apart."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Dump:
    """One stream's columns, windows in order of t."""

    header: Header
    t: npt.NDArray[np.int64]
    p_local: npt.NDArray[np.float32]
    feature: npt.NDArray[np.float32]
    p_remote: npt.NDArray[np.float32]
    frame_bytes: npt.NDArray[np.int64]

    @property
    def windows(self) -> int:
        return len(self.t)

    @property
    def frames(self) -> int:
        return len(self.frame_bytes)


_COLUMNS = ("t", "p_local", "feature", "p_remote", "frame_bytes")


def record(
    header: Header,
    frames: Iterable[Pixels],
    local: WindowModel,
    remote: WindowModel,
    codec: Codec,
    on_window: OnWindow | None = None,
) -> Dump:
    """Run both models over every window, one by one as a lone live stream is, each frame first resized as capture does.

    Raises what `frames` raises, and DatasetError for a stream shorter than one window.
    """
    windows = WindowManager(header.size, header.stride)
    t, p_local, feature, p_remote, frame_bytes = [], [], [], [], []
    for n, pixels in enumerate(frames):
        small = resized(pixels, header.width, header.height)
        frame_bytes.append(len(codec.encode(small)))
        window = windows.push(Frame(header.stream, 0, n, 0, False, small))
        if window is None:
            continue
        answer = local.infer([window.frames])
        t.append(window.t)
        p_local.append(answer.p[0])
        feature.append(answer.feature[0])
        p_remote.append(remote.infer([window.frames]).p[0])
        if on_window is not None:
            on_window(window.t)
    if not t:
        raise DatasetError(
            f"stream {header.stream} has {len(frame_bytes)} frames; one window needs {header.size}: use a longer video"
        )
    return Dump(
        header,
        t=np.array(t, np.int64),
        p_local=np.stack(p_local).astype(np.float32),
        feature=np.stack(feature).astype(np.float32),
        p_remote=np.stack(p_remote).astype(np.float32),
        frame_bytes=np.array(frame_bytes, np.int64),
    )


def dump_path(folder: Path, header: Header) -> Path:
    """Where the dump of that header lies."""
    return folder / f"{header.stream}-{header.digest}.npz"


def write_dump(path: Path, dump: Dump) -> None:
    """Write it whole or not at all: a file beside `path` takes its name when it is complete. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            np.savez(
                file,
                header=np.array(dump.header.to_json()),
                **{column: getattr(dump, column) for column in _COLUMNS},
            )
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def load_dump(path: Path, expected: Header | None = None) -> Dump:
    """Read a dump. Raises DatasetError where the file is missing, damaged or no dump, and where its header is not the
    `expected` one: then with every difference named."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            header = _header(json.loads(str(arrays["header"])))
            columns = {column: arrays[column] for column in _COLUMNS}
    except FileNotFoundError as error:
        raise DatasetError(f"{path}: no such dump; make it with `clownfish eval streams`") from error
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise DatasetError(f"{path}: is no whole dump ({error}); delete it and it is made anew") from error
    if expected is not None and header != expected:
        raise DatasetError(
            f"{path}: does not fit: {'; '.join(_differences(asdict(header), asdict(expected)))}. "
            "Dump the stream again with these models and parameters"
        )
    dump = Dump(header, **columns)
    n, classes = dump.windows, len(header.classes)
    shapes = {column: columns[column].shape for column in _COLUMNS}
    if not shapes["p_local"] == shapes["p_remote"] == (n, classes) or shapes["feature"][:1] != (n,):
        raise DatasetError(f"{path}: columns of shapes {shapes} do not belong to {n} windows of {classes} classes")
    return dump


def _header(tree: Any) -> Header:
    """Raises KeyError, TypeError or ValueError where `tree` is not a header's."""
    if tree["format"] != FORMAT:
        raise ValueError(f"format is {tree['format']!r}, expected {FORMAT!r}")
    if set(tree) != {field.name for field in fields(Header)}:
        raise ValueError(f"header holds {', '.join(sorted(tree))}")
    models = {role: ModelIdentity(**tree[role]) for role in ("local", "remote")}
    return Header(**{**tree, **models, "classes": tuple(tree["classes"])})


def _differences(found: Mapping[str, Any], expected: Mapping[str, Any], where: str = "") -> list[str]:
    """One clause for each value that differs."""
    clauses: list[str] = []
    for key, wanted in expected.items():
        value = found[key]
        if isinstance(wanted, Mapping):
            clauses += _differences(value, wanted, f"{where}{key}.")
        elif value != wanted:
            clauses.append(f"{where}{key} is {_short(value)} in the dump and {_short(wanted)} here")
    return clauses


def _short(value: object) -> str:
    """A hash by its first digits, anything else as it is."""
    if isinstance(value, str) and len(value) == 64:
        with contextlib.suppress(ValueError):
            int(value, 16)
            return f"{value[:12]}…"
    return repr(list(value)) if isinstance(value, tuple) else repr(value)
