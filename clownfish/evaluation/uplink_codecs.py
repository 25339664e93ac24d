"""Codecs compared on real windows: what a stream costs over the link, and what the remote model still makes of it.

Windows go the way of the live graph, one stream at a time: the encoder, the messages, the router's cache, and a job's
decoding. Bytes are those on the wire, headers included, each frame once. Frame accuracy is the remote model's on
decoded windows, over a sample of those that n_w sends; its change is paired with the same windows as captured.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from clownfish import wire
from clownfish.codecs import CODECS
from clownfish.codecs.runs import StreamEncoder, as_run_codec, decode_job
from clownfish.evaluation.dump import Header
from clownfish.evaluation.metrics import Ints, paired_interval, pooled_score, share, truth_by_frame
from clownfish.evaluation.recording import windows_of
from clownfish.framecache import FrameCache
from clownfish.messages import Pixels, StreamKey, Window
from clownfish.models.base import WindowModel
from clownfish.protocol import FrameData, Frames, Job, WindowRequest, in_messages
from clownfish.settings import Plugin
from clownfish.sources.base import VideoSource
from clownfish.sources.truth import Truth

CACHE_BYTES = 1 << 30
DEFAULT = tuple(
    Plugin(kind, options)
    for kind, options in (
        ("png", {}),
        ("jpeg", {}),
        ("jpeg", {"quality": 40}),
        ("webp", {}),
        ("webp", {"quality": 30}),
        ("h264", {"group": 16}),
        ("h264", {}),
        ("h264", {"quality": 46}),
        ("h264", {"quality": 36}),
        ("hevc", {}),
    )
)  # fmt: skip
ENOUGH = 0.005
"""Half a point: what the default may lose."""


class Link:
    """One stream's way from edge to worker, without sockets."""

    def __init__(self, codec: Plugin) -> None:
        self._codec = as_run_codec(codec.build(CODECS))
        self._encoder = StreamEncoder(self._codec)
        self._cache = FrameCache(CACHE_BYTES)
        self._known: set[int] = set()
        self.windows = 0
        self.wire_bytes = 0
        self.encode_s = 0.0

    def send(self, window: Window) -> Job:
        """The window's job, as the worker gets it; its new frames, and the request, are counted."""
        numbers = range(window.first, window.first + len(window.frames))
        new = [n for n in numbers if n not in self._known]
        height, width = window.frames[0].shape[:2]
        began = time.perf_counter()
        pictures = self._encoder.encode([window.frames[n - window.first] for n in new])
        self.encode_s += time.perf_counter() - began
        stream, codec = StreamKey(window.stream, window.epoch), self._codec.name
        coded = [
            FrameData(*stream, n, each.run, each.place, codec, width, height, each.data)
            for n, each in zip(new, pictures, strict=True)
        ]
        for message in in_messages(coded):
            self._count(message)
            self._cache.put(b"", message.together)
        self._known.update(new)
        self._count(WindowRequest(*window.key, tuple(numbers), 8000))
        self.windows += 1
        found = self._cache.get(b"", stream, numbers)
        assert not found.missing
        return Job(
            0,
            found.codecs,
            found.places,
            found.frames,
            width,
            height,
            8000,
            found.data,
        )

    def decode(self, job: Job) -> list[Pixels]:
        return decode_job(job, lambda kind: self._codec)

    def _count(self, message: FrameData | Frames | WindowRequest) -> None:
        self.wire_bytes += sum(map(len, wire.encode(message)))


@dataclass(slots=True)
class Tally:
    """What one stream cost with one codec at one n_w. `right`: (right, scored) frames of the sample, where it was
    asked about."""

    windows: int = 0
    seconds: float = 0.0
    wire_bytes: int = 0
    encode_s: float = 0.0
    decode_s: list[float] = field(default_factory=list)
    psnr_db: list[float] = field(default_factory=list)
    right: Ints = field(default_factory=lambda: np.zeros(2, np.int64))


@dataclass(frozen=True, slots=True)
class Row:
    """One codec at one n_w, over all streams. None where nothing was asked of the model."""

    codec: str
    n_w: int
    windows: int
    window_bytes: float
    kbit_s: float
    encode_ms: float
    decode_ms: float
    psnr_db: float
    sample: int
    accuracy: float | None
    change: float | None
    change_low: float | None
    change_high: float | None


@dataclass(frozen=True, slots=True)
class Stream:
    """What is measured on. `open` gives the frames anew each time."""

    header: Header
    truth: Truth
    open: Callable[[], VideoSource]
    frames: int | None
    """Only its first; None: all."""

    def windows(self) -> Iterator[Window]:
        with closing(self.open()) as frames:
            for _, _, window in islice(windows_of(self.header, frames), self.frames):
                if window is not None:
                    yield window


def measure(
    streams: Sequence[Stream],
    remote: WindowModel,
    codecs: Sequence[Plugin],
    intervals: Sequence[int],
    every: int,
    said: Callable[[str], None],
) -> list[Row]:
    """One row for each codec and n_w. At the last n_w, the remote model sees every `every`-th window sent."""
    tallies: dict[tuple[Plugin, int], list[Tally]] = {(codec, n_w): [] for codec in codecs for n_w in intervals}
    captured: list[Ints] = []
    for stream in streams:
        judge = _Judge(stream, remote)
        for n_w in intervals:
            asked = n_w == intervals[-1]
            links = {codec: Link(codec) for codec in codecs}
            tally = {codec: Tally() for codec in codecs}
            raw = seen = np.zeros(2, np.int64)
            last = None
            for window in stream.windows():
                last = window
                if window.t % n_w:
                    continue
                sampled = window.t // n_w % every == 0
                if asked and sampled:
                    said(f"{stream.header.stream}, n_w = {n_w}: window {window.t}")
                    seen = judge.right(window.t, window.frames)
                    raw = raw + seen
                for codec, link in links.items():
                    job = link.send(window)
                    if sampled:
                        frames = _look(link, job, window, tally[codec])
                        if asked:
                            same = tally[codec].psnr_db[-1] == float("inf")  # what the same pixels get is known
                            tally[codec].right = tally[codec].right + (seen if same else judge.right(window.t, frames))
            if asked:
                captured.append(raw)
            for codec, link in links.items():
                done = tally[codec]
                done.windows, done.wire_bytes, done.encode_s = link.windows, link.wire_bytes, link.encode_s
                if last is not None:
                    done.seconds = (last.first + len(last.frames)) / stream.header.fps
                tallies[codec, n_w].append(done)
    return [
        _row(codec, n_w, each, captured if n_w == intervals[-1] else None) for (codec, n_w), each in tallies.items()
    ]


def chosen(rows: Sequence[Row]) -> Row | None:
    """The cheapest that loses less than half a point, as measured; None where none is such, or nothing was asked."""
    good = [row for row in rows if row.change is not None and row.change > -ENOUGH]
    return min(good, key=lambda row: row.kbit_s, default=None)


class _Judge:
    """The remote model's answers for one stream's windows, against its truth (DESIGN §5.10)."""

    def __init__(self, stream: Stream, remote: WindowModel) -> None:
        self._remote = remote
        self._stride = stream.header.stride
        self._size = stream.header.size
        frames = max(context.end for context in stream.truth.contexts) + stream.header.size
        self._truth = truth_by_frame(stream.truth, remote.classes, frames)

    def right(self, t: int, frames: Sequence[Pixels]) -> Ints:
        """(right, scored) of the window's last `stride` frames."""
        end = t * self._stride + self._size
        truth = self._truth[end - self._stride : end]
        scored = truth[truth >= 0]
        if not len(scored):
            return np.zeros(2, np.int64)
        answer = int(np.argmax(self._remote.infer([frames]).p[0]))
        return np.array([(scored == answer).sum(), len(scored)], np.int64)


def _look(link: Link, job: Job, window: Window, tally: Tally) -> list[Pixels]:
    began = time.perf_counter()
    frames = link.decode(job)
    tally.decode_s.append(time.perf_counter() - began)
    tally.psnr_db.append(psnr_db(window.frames, frames))
    return frames


def psnr_db(one: Sequence[Pixels], other: Sequence[Pixels]) -> float:
    """Peak signal to noise ratio of two windows, over all their pixels; infinite where they are the same."""
    error = float(np.mean((np.stack(one).astype(np.float32) - np.stack(other)) ** 2))
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def _row(codec: Plugin, n_w: int, tallies: Sequence[Tally], captured: Sequence[Ints] | None) -> Row:
    windows = sum(each.windows for each in tallies)
    decode_s = [each for tally in tallies for each in tally.decode_s]
    sent = sum(each.wire_bytes for each in tallies)
    accuracy = change = low = high = None
    if captured is not None and np.sum(captured):
        right = [each.right for each in tallies]
        score = pooled_score(share)
        accuracy, change = score(right), score(right) - score(captured)
        low, high = paired_interval(right, captured, score)
    return Row(
        " ".join([codec.kind, *(f"{name}={value}" for name, value in codec.options.items())]),
        n_w,
        windows,
        sent / windows,
        8 * sent / 1000 / sum(each.seconds for each in tallies),
        1000 * sum(each.encode_s for each in tallies) / windows,
        1000 * float(np.median(decode_s)),
        float(np.mean([each for tally in tallies for each in tally.psnr_db])),
        len(decode_s),
        accuracy,
        change,
        low,
        high,
    )
