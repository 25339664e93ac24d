"""Running the models over one stream, window by window, chunk by chunk (§VI-A)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from clownfish.chunks import Columns
from clownfish.codecs.base import Codec, RunCodec
from clownfish.codecs.runs import StreamEncoder
from clownfish.errors import DatasetError
from clownfish.evaluation.dump import KINDS, UNLABELLED, Dump, Header
from clownfish.evaluation.journal import Journal
from clownfish.evaluation.metrics import truth_by_frame
from clownfish.messages import Frame, Pixels, Window
from clownfish.models.base import WindowModel
from clownfish.models.description import SEND
from clownfish.opencv import resized
from clownfish.sources.truth import Truth
from clownfish.windowing import WindowManager

CHUNK = 32
"""Windows between two writes to the journal: what a killed dump loses at most, a few seconds of work."""

OnWindow = Callable[[int], None]
"""Called with t after each window."""


def record(
    header: Header,
    frames: Iterable[Pixels],
    local: WindowModel,
    remote: WindowModel,
    codec: Codec | RunCodec,
    on_window: OnWindow | None = None,
    *,
    discard: WindowModel | None = None,
    truth: Truth | None = None,
    journal: Journal | None = None,
    chunk: int = CHUNK,
) -> Dump:
    """Run the models over every window, one by one as a lone live stream is, each frame first resized as capture does.

    With a journal, what it holds is taken over and the rest added to it, `chunk` windows at a time. Models that keep
    what they made of frames (`models.frame_features`) then see the windows just before once more, without an answer
    being taken, so that each frame is computed in the same company as in a run that nothing interrupted, also one that
    repeats a frame of the window before it.

    Raises what `frames` raises, and DatasetError for a stream shorter than one window, or than its journal.
    """
    chunks = [] if journal is None else list(journal.chunks)
    windows_done, frames_done = sum(len(each["t"]) for each in chunks), sum(len(each["frame_bytes"]) for each in chunks)
    seen_again = 2 * -(-header.size // header.stride)
    part = _Part()
    encoder = StreamEncoder(codec)
    count = 0
    for n, small, window in windows_of(header, frames, max(0, windows_done - seen_again)):
        count = n + 1
        if n >= frames_done:
            part.frame_bytes.append(len(encoder.encode([small])[0].data))
        if window is None:
            continue
        answers = part if window.t >= windows_done else _Part()
        answers.ask(window, local, remote, discard)
        if window.t < windows_done:
            continue
        if on_window is not None:
            on_window(window.t)
        if len(part.t) == chunk:
            if journal is not None:
                journal.append(part.columns())
            chunks.append(part.columns())
            part = _Part()
    if count < frames_done:
        raise DatasetError(
            f"stream {header.stream} has {count} frames, of its dump in the making {frames_done} were seen: it is "
            "another video now; dump it again"
        )
    if part.frame_bytes:
        chunks.append(part.columns())
    if not any(len(each["t"]) for each in chunks):
        raise DatasetError(
            f"stream {header.stream} has {count} frames; one window needs {header.size}: use a longer video"
        )
    # the last frames may belong to no window: then they come with columns of no rows, and so of no width
    columns = {name: np.concatenate([each[name] for each in chunks if len(each[name])]) for name in chunks[0]}
    return Dump(header, **columns, label=labels(truth, header, count))


def windows_of(header: Header, frames: Iterable[Pixels], first: int = 0) -> Iterator[tuple[int, Pixels, Window | None]]:
    """(n, frame n as capture resizes it, the window that ends with it), from the first frame of window `first` on."""
    windows = WindowManager(header.size, header.stride)
    for n, pixels in enumerate(frames):
        if n >= first * header.stride:
            small = resized(pixels, header.width, header.height)
            yield n, small, windows.push(Frame(header.stream, 0, n, 0, False, small))


def labels(truth: Truth | None, header: Header, frames: int) -> npt.NDArray[np.int16]:
    """The column `label`. Raises DatasetError for a label that is none of the models' classes."""
    if truth is None:
        return np.full(frames, UNLABELLED, np.int16)
    by_frame = truth_by_frame(truth, header.classes, frames, skip=0)
    return np.where(by_frame < 0, UNLABELLED, by_frame).astype(np.int16)


def p_send(discard: WindowModel | None, window: Window) -> float:
    """The early-discard model's p of `send`; NaN without one."""
    return float("nan") if discard is None else float(discard.infer([window.frames]).p[0, SEND])


@dataclass(slots=True)
class _Part:
    """Columns that grow."""

    t: list[int] = field(default_factory=list)
    p_local: list[npt.NDArray[np.float32]] = field(default_factory=list)
    feature: list[npt.NDArray[np.float32]] = field(default_factory=list)
    p_remote: list[npt.NDArray[np.float32]] = field(default_factory=list)
    frame_bytes: list[int] = field(default_factory=list)
    p_discard: list[float] = field(default_factory=list)
    local_ms: list[float] = field(default_factory=list)
    remote_ms: list[float] = field(default_factory=list)

    def ask(self, window: Window, local: WindowModel, remote: WindowModel, discard: WindowModel | None) -> None:
        began = time.perf_counter()
        answer = local.infer([window.frames])
        between = time.perf_counter()
        self.p_remote.append(remote.infer([window.frames]).p[0])
        ended = time.perf_counter()
        self.t.append(window.t)
        self.p_local.append(answer.p[0])
        self.feature.append(answer.feature[0])
        self.p_discard.append(p_send(discard, window))
        self.local_ms.append(1000 * (between - began))
        self.remote_ms.append(1000 * (ended - between))

    def columns(self) -> Columns:
        return {name: np.array(getattr(self, name), KINDS[name]) for name in self.__slots__}
