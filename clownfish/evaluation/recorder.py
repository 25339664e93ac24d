"""From names on a command line to dumps: sources opened, models loaded where they are needed, files reused (§VI-A).

Models are loaded only for a stream that has no dump yet, so that replaying old dumps needs no torch. A dump that was
killed goes on from its journal, one of a former format is brought up to date, and a damaged file is made anew.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sized
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from clownfish.classes import difference
from clownfish.codecs import CODECS
from clownfish.errors import ConfigError, DatasetError, ModelError, SourceError
from clownfish.evaluation.dump import DamagedDump, Dump, Header, ModelIdentity, dump_path, load_dump, write_dump
from clownfish.evaluation.former import FormerDump, upgraded
from clownfish.evaluation.journal import Journal
from clownfish.evaluation.metrics import windows_in
from clownfish.evaluation.recording import OnWindow, labels, record
from clownfish.models.base import WindowModel
from clownfish.models.description import DISCARD_CLASSES, ModelDescription, read_description, weights_path
from clownfish.settings import Plugin
from clownfish.sources import is_live, open_source, split_source, truth_of
from clownfish.sources.truth import Truth

DUMPS = Path("runs/dumps")

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["fp32", "bf16", "fp16"]
DEVICES: tuple[Device, ...] = get_args(Device)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


@dataclass(frozen=True, slots=True)
class RecordSettings:
    """What a dump is made with."""

    local: str = "zoo:ucf9/local"
    remote: str = "zoo:ucf9/remote"
    codec: Plugin = field(default_factory=lambda: Plugin("jpeg"))
    size: int = 16
    stride: int = 4
    width: int = 172
    """Of a frame after capture, as in the configuration's [capture]."""
    height: int = 128
    device: Device = "auto"
    precision: Precision = "fp32"
    discard: str = ""
    """The early-discard model (§VI-G); "" for none."""


_Identities = tuple[tuple[str, ...], ModelIdentity, ModelIdentity, ModelIdentity | None]


Say = Callable[[str], None]


def told(say: Say, what: str) -> OnWindow:
    """Says now and then which window it is."""
    return lambda t: say(f"{what}, window {t}") if t % 100 == 0 else None


class Recorder:
    """Dumps of one pair of models, kept in `folder`."""

    def __init__(self, settings: RecordSettings, folder: Path = DUMPS) -> None:
        self.settings = settings
        self.folder = folder
        self._pair: tuple[WindowModel, WindowModel] | None = None
        self._discard: WindowModel | None = None
        self._identities: _Identities | None = None

    def dump(self, source: str, on_window: OnWindow | None = None, truth: Truth | None = None) -> Dump:
        """The dump of what `source` names, from its file where there is one, else made and kept.

        `truth` is the stream's, where it does not lie beside the source. Raises SourceError, ModelError or ConfigError
        where source, models or options cannot be used, and DatasetError where the ground truth names a class that the
        models do not know, or another process is making this dump.
        """
        header, truth = self.check(source, truth)
        path = dump_path(self.folder, header)
        dump = self._kept(path, header)
        if dump is None:
            return self._made(source, path, header, on_window, truth)
        label = labels(truth, header, dump.frames)
        if not np.array_equal(label, dump.label):  # the table was mended since
            dump = replace(dump, label=label)
            write_dump(path, dump)
        return dump

    def labelled(
        self, sources: Mapping[str, Truth | None], say: Say = lambda text: None
    ) -> list[tuple[str, Dump, Truth]]:
        """Each source with its dump and ground truth. All are looked at before a model runs.

        Raises DatasetError for one without ground truth, and what `dump` raises.
        """
        truths: dict[str, Truth] = {}
        for source, truth in sources.items():
            self.check(source, truth)
            if truth is None:
                raise DatasetError(f"{source} has no ground truth: put a .csv beside it")
            truths[source] = truth
        return [
            (source, self.dump(source, told(say, f"{source}: both models"), truth), truth)
            for source, truth in truths.items()
        ]

    def _kept(self, path: Path, header: Header) -> Dump | None:
        """The dump in that file; None where there is none, or nothing whole."""
        try:
            return load_dump(path, header) if path.exists() else None
        except DamagedDump:
            return None

    def _made(self, source: str, path: Path, header: Header, on_window: OnWindow | None, truth: Truth | None) -> Dump:
        former = FormerDump.beside(path, header)
        journal = Journal(path.with_suffix(".part"), header)
        done = False
        try:
            dump = self._kept(path, header)  # by a process that held the journal a moment ago
            if dump is None:
                with closing(open_source(source)) as frames:
                    if former is not None:
                        dump = upgraded(former, header, frames, self.discard_model(), truth, on_window)
                    else:
                        dump = record(
                            header,
                            frames,
                            *self.models(),
                            self.settings.codec.build(CODECS),
                            on_window,
                            discard=self.discard_model(),
                            truth=truth,
                            journal=journal,
                        )
                write_dump(path, dump)
            done = True
        except (SourceError, DatasetError):
            done = True  # of such a source nothing whole will come: there is nothing to go on from
            raise
        finally:
            journal.close(delete=done or not journal.chunks)
        return dump

    def check(self, source: str, truth: Truth | None = None) -> tuple[Header, Truth | None]:
        """What the dump of `source` must be made from, and its ground truth. Loads no model; raises as `dump` does
        where it could not be made, which so shows before anything else has taken minutes."""
        header = self.header(source)
        truth = truth_of(source) if truth is None else truth
        labels(truth, header, 0)
        return header, truth

    def header(self, source: str) -> Header:
        """What the dump of `source` must be made from. Reads files, loads no model."""
        made = self.settings
        made.codec.build(CODECS)  # a wrong option shows now
        classes, local, remote, discard = self._identify()
        if is_live(source):
            raise ConfigError(f"{source} is live: it never ends and is never the same twice; record it to a file first")
        digest = _source_sha256(source)  # says that a file is missing in plainer words than a decoder
        with closing(open_source(source)) as opened:
            fps = opened.fps
        return Header(
            stream=stream_name(source),
            source_sha256=digest,
            local=local,
            remote=remote,
            classes=classes,
            size=made.size,
            stride=made.stride,
            width=made.width,
            height=made.height,
            codec=" ".join([made.codec.kind, *(f"{k}={v}" for k, v in sorted(made.codec.options.items()))]),
            precision=made.precision,
            discard=discard,
            fps=fps,
        )

    def expected_windows(self, source: str) -> int:
        """How many windows `source` says that it holds; 0 where it does not say, or not reliably."""
        with closing(open_source(source)) as opened:
            frames = getattr(opened, "frames_promised", None) or (len(opened) if isinstance(opened, Sized) else 0)
        return windows_in(frames, self.settings.size, self.settings.stride)

    def _identify(self) -> _Identities:
        """(classes, local, remote, discard). Raises ModelError where the two do not fit each other or the windows."""
        if self._identities is None:
            discard = self._read_discard()
            local, remote = (read_description(name) for name in (self.settings.local, self.settings.remote))
            clause = difference(local.classes, remote.classes)
            if clause is not None:
                raise ModelError(
                    f"{self.settings.remote} {clause}, compared with {self.settings.local}; answers of unlike classes "
                    "cannot be fused: choose a pair trained on the same ones"
                )
            named = ((self.settings.local, local), (self.settings.remote, remote), (self.settings.discard, discard))
            for name, description in named:
                if description is not None and description.input.window_size != self.settings.size:
                    raise ModelError(
                        f"{name} takes windows of {description.input.window_size} frames, asked for are windows of "
                        f"{self.settings.size}: change the size, or the model"
                    )
            self._identities = (
                local.classes,
                _identity(self.settings.local, local),
                _identity(self.settings.remote, remote),
                None if discard is None else _identity(self.settings.discard, discard),
            )
        return self._identities

    def _read_discard(self) -> ModelDescription | None:
        if not self.settings.discard:
            return None
        description = read_description(self.settings.discard)
        if description.classes != DISCARD_CLASSES or description.threshold is None:
            raise ModelError(
                f"{self.settings.discard} answers {', '.join(description.classes)}; an early-discard model answers "
                f"{', '.join(DISCARD_CLASSES)} and has a threshold: train one with `clownfish train discard`"
            )
        return description

    def models(self) -> tuple[WindowModel, WindowModel]:
        """(local, remote), loaded when first asked for."""
        if self._pair is None:
            from clownfish.models.load import load_model  # torch

            made = self.settings
            self._pair = (
                load_model(made.local, made.device, made.precision),
                load_model(made.remote, made.device, made.precision),
            )
        return self._pair

    def discard_model(self) -> WindowModel | None:
        """The early-discard model, loaded when first asked for; None where none is named."""
        if self._discard is None and self.settings.discard:
            from clownfish.models.load import load_model  # torch

            self._discard = load_model(self.settings.discard, self.settings.device, self.settings.precision)
        return self._discard


def stream_name(source: str) -> str:
    """A video's file name without suffix; of other sources the whole string, fit for a file name."""
    kind, what = split_source(source)
    return Path(what).stem if kind == "video" else re.sub(r"[^A-Za-z0-9_.-]+", "-", source).strip("-")


def _identity(name: str, description: ModelDescription) -> ModelIdentity:
    weights = weights_path(name, description)
    try:
        return ModelIdentity(description.name, _sha256(weights), _sha256(weights.with_suffix(".json")))
    except OSError as error:
        raise ModelError(f"{weights}: cannot be read ({error.strerror}); train the model, or name another") from error


def _source_sha256(source: str) -> str:
    """Of a file's bytes; of a folder's files, names included; of a drawn source's name, which says all about it."""
    kind, what = split_source(source)
    if kind not in ("video", "images"):
        return hashlib.sha256(source.encode()).hexdigest()
    path = Path(what)
    try:
        if not path.is_dir():
            return _sha256(path)
        digest = hashlib.sha256()
        for file in sorted(each for each in path.iterdir() if each.is_file()):
            digest.update(f"{file.name}\0{_sha256(file)}\n".encode())
        return digest.hexdigest()
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        read: Callable[[], bytes] = lambda: file.read(1 << 20)  # noqa: E731 - iter needs a callable
        for block in iter(read, b""):
            digest.update(block)
    return digest.hexdigest()
