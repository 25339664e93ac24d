"""Codecs compared on real windows: what a stream costs over the link, and what the remote model still makes of it.

Windows go the way of the live graph, one stream at a time: the encoder, the messages, the router's cache, and a job's
decoding. Bytes are those on the wire, headers included, each frame once. Frame accuracy is the remote model's on
decoded windows, over a sample of those that n_w sends; its change is paired with the same windows as captured.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

import numpy as np

from clownfish import wire
from clownfish.codecs import CODECS
from clownfish.codecs.runs import StreamEncoder, as_run_codec, decode_job
from clownfish.evaluation.dump import Header
from clownfish.evaluation.metrics import Ints, paired_interval, pooled_score, share, truth_by_frame
from clownfish.evaluation.recording import windows_of
from clownfish.evaluation.uplink_tallies import Tallies, Tally, key_of
from clownfish.framecache import FrameCache
from clownfish.messages import Pixels, StreamKey, Window
from clownfish.models.base import WindowModel
from clownfish.protocol import FrameData, Frames, Job, WindowRequest, in_messages
from clownfish.settings import Plugin
from clownfish.sources.base import VideoSource
from clownfish.sources.truth import Truth

CACHE_BYTES = 1 << 30
CAPTURED = Plugin("raw")
"""What others are compared with: the frames as they are."""
NOWHERE = Tallies(None)
DEFAULT = tuple(
    Plugin(kind, options)
    for kind, options in (
        ("png", {}),
        ("jpeg", {}),
        ("jpeg", {"quality": 60, "chroma": 444}),
        ("webp", {}),
        ("h264", {"group": 16}),
        ("h264", {"quality": 64}),
        ("h264", {}),
        ("h264", {"quality": 56}),
        ("h264", {"quality": 52}),
        ("h264", {"quality": 48}),
        ("h264", {"chroma": 420}),
        ("hevc", {}),
        ("hevc", {"quality": 52}),
    )
)
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
    changed: float | None
    """Share of the sample that the model answers otherwise than the same windows as captured, rightly or wrongly."""
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
    kept: Tallies = NOWHERE,
) -> list[Row]:
    """One row for each codec and n_w. At the last n_w, the remote model sees every `every`-th window sent.

    What is `kept` is not measured again; what is measured is kept, stream by stream.
    """
    tried = [CAPTURED, *(codec for codec in codecs if codec != CAPTURED)]
    tallies: dict[tuple[Plugin, int], list[Tally]] = {(codec, n_w): [] for codec in tried for n_w in intervals}
    for stream in streams:
        for n_w in intervals:
            asked = n_w == intervals[-1]
            keys = {codec: key_of(stream.header, codec, n_w, stream.frames, every, asked) for codec in tried}
            found = {codec: kept.get(key) for codec, key in keys.items()}
            todo = [codec for codec, tally in found.items() if tally is None]
            made = _pass(stream, remote if asked else None, todo, found[CAPTURED], n_w, every, said) if todo else {}
            for codec, tally in made.items():
                kept.put(keys[codec], tally)
            for codec in tried:
                tallies[codec, n_w].append(made.get(codec) or found[codec] or Tally())
    truths = [_Truth(stream, remote.classes) for stream in streams]
    return [
        _row(codec, n_w, tallies[codec, n_w], tallies[CAPTURED, n_w], truths if n_w == intervals[-1] else None)
        for codec in codecs
        for n_w in intervals
    ]


def _pass(
    stream: Stream,
    remote: WindowModel | None,
    codecs: Sequence[Plugin],
    captured: Tally | None,
    n_w: int,
    every: int,
    said: Callable[[str], None],
) -> dict[Plugin, Tally]:
    """Once over a stream, with codecs side by side. `captured`: what the model says of the frames as they are, where
    that is known; else CAPTURED is the first of the codecs."""
    links = {codec: Link(codec) for codec in codecs}
    tallies = {codec: Tally() for codec in codecs}
    p_captured = {} if captured is None else dict(zip(captured.t, captured.p, strict=False))
    last = None
    for window in stream.windows():
        last = window
        if window.t % n_w:
            continue
        sampled = window.t // n_w % every == 0
        if sampled:
            said(f"{stream.header.stream}, n_w = {n_w}: window {window.t}")
        for codec, link in links.items():
            job = link.send(window)
            if not sampled:
                continue
            tally = tallies[codec]
            frames = _look(link, job, window, tally)
            if remote is None:
                continue
            p = p_captured.get(window.t) if tally.psnr_db[-1] == float("inf") else None  # the same pixels
            tally.p.append(remote.infer([frames]).p[0] if p is None else p)
            if codec == CAPTURED:
                p_captured[window.t] = tally.p[-1]
    for codec, link in links.items():
        done = tallies[codec]
        done.windows, done.wire_bytes, done.encode_s = link.windows, link.wire_bytes, link.encode_s
        if last is not None:
            done.seconds = (last.first + len(last.frames)) / stream.header.fps
    return tallies


def chosen(rows: Sequence[Row]) -> Row | None:
    """The cheapest that loses less than half a point, as measured; None where none is such, or nothing was asked."""
    good = [row for row in rows if row.change is not None and row.change > -ENOUGH]
    return min(good, key=lambda row: row.kbit_s, default=None)


class _Truth:
    """What one stream's windows show, frame by frame (DESIGN §5.10)."""

    def __init__(self, stream: Stream, classes: Sequence[str]) -> None:
        self._stride = stream.header.stride
        self._size = stream.header.size
        frames = max(context.end for context in stream.truth.contexts) + stream.header.size
        self._truth = truth_by_frame(stream.truth, classes, frames)

    def right(self, tally: Tally) -> Ints:
        """(right, scored) frames of the tally's sample: each window's last `stride`."""
        counts = np.zeros(2, np.int64)
        for t, p in zip(tally.t, tally.p, strict=True):
            end = t * self._stride + self._size
            truth = self._truth[end - self._stride : end]
            counts += ((truth == np.argmax(p)).sum(), (truth >= 0).sum())
        return counts


def _look(link: Link, job: Job, window: Window, tally: Tally) -> list[Pixels]:
    began = time.perf_counter()
    frames = link.decode(job)
    tally.t.append(window.t)
    tally.decode_s.append(time.perf_counter() - began)
    tally.psnr_db.append(psnr_db(window.frames, frames))
    return frames


def psnr_db(one: Sequence[Pixels], other: Sequence[Pixels]) -> float:
    """Peak signal to noise ratio of two windows, over all their pixels; infinite where they are the same."""
    error = float(np.mean((np.stack(one).astype(np.float32) - np.stack(other)) ** 2))
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def _row(
    codec: Plugin, n_w: int, tallies: Sequence[Tally], captured: Sequence[Tally], truths: Sequence[_Truth] | None
) -> Row:
    windows = sum(each.windows for each in tallies)
    decode_s = [each for tally in tallies for each in tally.decode_s]
    sent = sum(each.wire_bytes for each in tallies)
    accuracy = changed = change = low = high = None
    if truths is not None:
        right, before = (
            [truth.right(tally) for truth, tally in zip(truths, each, strict=True)] for each in (tallies, captured)
        )
        if np.sum(before):
            score = pooled_score(share)
            accuracy, change = score(right), score(right) - score(before)
            low, high = paired_interval(right, before, score)
            answers, as_captured = (
                np.array([np.argmax(p) for tally in each for p in tally.p]) for each in (tallies, captured)
            )
            changed = float(np.mean(answers != as_captured))
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
        changed,
        change,
        low,
        high,
    )
