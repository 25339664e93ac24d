"""Views: what the remote model says of a stream's windows as the cloud gets them, scaled and coded.

A dump's remote answers are of frames as captured. A view is a dump once more, with `p_remote` and `frame_bytes` of one
way to send: so a replay over it counts what a coarser picture costs in accuracy, not only what it saves in bytes. All
ways are made in one pass over the stream, and kept beside the dump under names of their own.

Only codecs of single frames: what a picture of a run weighs depends on which were sent before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from clownfish.codecs import CODECS
from clownfish.codecs.runs import as_run_codec
from clownfish.errors import ConfigError, DatasetError
from clownfish.evaluation.dump import DamagedDump, Dump, Header, dump_path, load_dump, write_dump
from clownfish.evaluation.recording import OnWindow
from clownfish.ladder import Way
from clownfish.messages import Pixels
from clownfish.models.base import WindowModel
from clownfish.opencv import resized
from clownfish.settings import Plugin
from clownfish.sources import open_source

LOSSLESS = ("png", "raw")


def view_header(header: Header, way: Way) -> Header:
    """What a view is known by."""
    return replace(header, codec=f"{way.name}, seen so")


@dataclass
class _Maker:
    """One way over one stream."""

    way: Way
    header: Header

    def __post_init__(self) -> None:
        self._codec = as_run_codec(Plugin(self.way.codec, dict(self.way.options)).build(CODECS))
        if self._codec.group != 1:
            raise ConfigError(f"{self.way.name}: a view needs a codec of single frames; this one codes runs")
        self._size = self.way.size(self.header.width, self.header.height)
        self._encoder = self._codec.encoder(*self._size)
        self.lossless = self.way.codec in LOSSLESS and self.way.scale == 1
        self.frame_bytes: list[int] = []
        self.frames: list[Pixels] = []
        """The newest, as the cloud sees them."""
        self.p_remote: list[np.ndarray] = []

    def see(self, frame: Pixels) -> None:
        data = self._encoder.encode(resized(frame, *self._size), begin=True).data
        self.frame_bytes.append(len(data))
        if not self.lossless:
            self.frames.append(self._codec.decode_run([data], *self._size, wanted=(0,))[0])
            self.frames = self.frames[-self.header.size :]


def views(
    source: str,
    dump: Dump,
    ways: Sequence[Way],
    remote: Callable[[], WindowModel],
    folder: Path,
    on_window: OnWindow | None = None,
) -> Mapping[Way, Dump]:
    """A view of each way: from its file where there is one, else made and kept. `remote` is called where one is to be
    made. Raises ConfigError for a codec of runs, and DatasetError where the source is not the dump's any more."""
    found: dict[Way, Dump] = {}
    for way in ways:
        header = view_header(dump.header, way)
        path = dump_path(folder, header)
        try:
            if path.exists():
                found[way] = load_dump(path, header)
        except DamagedDump:
            continue
    makers = [_Maker(way, dump.header) for way in ways if way not in found]
    if not makers:
        return found
    if any(not maker.lossless for maker in makers):
        model = remote()
    header = dump.header
    wanted = set(dump.t.tolist())
    with closing(open_source(source)) as frames:
        for n, pixels in enumerate(frames):
            small = resized(pixels, header.width, header.height)
            t, rest = divmod(n + 1 - header.size, header.stride)
            for maker in makers:
                maker.see(small)
                if rest == 0 and t in wanted and not maker.lossless:
                    maker.p_remote.append(model.infer([maker.frames]).p[0])
            if rest == 0 and on_window is not None:
                on_window(t)
    for maker in makers:
        count, rows = len(maker.frame_bytes), len(maker.p_remote)
        if count != dump.frames or (rows != dump.windows and not maker.lossless):
            raise DatasetError(f"{source} has {count} frames, its dump {dump.frames}: it is another video now")
        view = replace(
            dump,
            header=view_header(header, maker.way),
            frame_bytes=np.array(maker.frame_bytes, np.int64),
            p_remote=dump.p_remote if maker.lossless else np.array(maker.p_remote, np.float32),
        )
        write_dump(dump_path(folder, view.header), view)
        found[maker.way] = view
    return found
