"""The sink `video`: the stream with its answers drawn on it, as MP4 files for people (layer 1). Extra `video`.

Where its frames come from never costs the edge anything but room in a queue. What can be read again (files, folders,
drawn streams) is read again here, in the source's own size. Of a live stream, which cannot, `services.window` gives it
a copy of the frames that the models see, in their size, and drops what it does not take.

A frame can be drawn once: with mode `live` with the first answer for it, else with the closing one, a horizon later.
Frames without an answer are drawn without one. The files are fragmented, so that of a killed process all but the last
two seconds can be played.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from clownfish.errors import SinkError, SourceError
from clownfish.eventing import SceneEvent
from clownfish.messages import End, Frame, FusedResult, Pixels, StreamKey
from clownfish.opencv import cv2, resized
from clownfish.rates import UNKNOWN_FPS
from clownfish.sinks.base import Item, SinkContext, StreamInfo
from clownfish.sources import is_live, open_source

_COLOURS = {"local": (214, 214, 214), "fused": (255, 200, 60), "remote": (110, 220, 110)}
"""RGB, by a result's source: the small model alone, with the cloud's influence, with its own answer."""
_WORDS = {"local": "edge", "fused": "edge + cloud", "remote": "cloud"}
_REMEMBERED = 64
"""Epochs that are over and remembered."""
_BUFFERED_S = 4.0
"""Of a live stream, beyond what its answers are behind: frames that wait for their answer."""
_MOVFLAGS = "frag_keyframe+empty_moov+default_base_moof"


@dataclass
class _Film:
    """One stream's and epoch's frames and files."""

    key: StreamKey
    info: StreamInfo
    frames: Iterator[Pixels] | None = None
    """Read again; None of a live stream."""
    copies: OrderedDict[int, Pixels] = field(default_factory=OrderedDict)
    fault: str = ""
    """Why it cannot be read any more."""
    fps: float = UNKNOWN_FPS
    next: int = 0
    """Number of the next frame to draw."""
    container: Any = None
    stream: Any = None
    first: int = 0
    """Number of the file's first frame."""
    path: Path = Path()


class Video:
    """Options in docs/sinks.md."""

    def __init__(
        self,
        folder: str,
        *,
        context: SinkContext,
        width: int = 640,
        minutes: float = 10.0,
        keep: int = 100,
        quality: int = 28,
    ) -> None:
        """`width`: of the pictures, never more than the source's; 0: the source's. A file has `minutes` of video, and
        `keep` files are kept of each stream. `quality`: x264's CRF, lower is better. Raises SinkError.
        """
        if (width and width < 64) or not minutes > 0 or keep < 1 or not 0 < quality <= 51:
            raise ValueError(
                f"width {width}, minutes {minutes}, keep {keep}, quality {quality}; "
                "expected 0 or at least 64, above 0, at least 1, and 1 to 51"
            )
        self._folder = Path(folder)
        self._context = context
        self._width, self._minutes, self._keep, self._quality = width, minutes, keep, quality
        self._films: dict[StreamKey, _Film] = {}
        self._over: deque[StreamKey] = deque(maxlen=_REMEMBERED)
        self._own: Counter[str] = Counter()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SinkError(f"{folder}: cannot be used for videos: {error.strerror}") from error

    @property
    def counts(self) -> Mapping[str, int]:
        """frames_drawn, frames_unanswered (among them), frames_missing (of a live stream, dropped on the way)."""
        return self._own

    def gauges(self) -> Mapping[str, float]:
        return {"frames_waiting": sum(len(film.copies) for film in self._films.values())}

    def write(self, item: Item) -> None:
        """Draw the frames that this is the answer for, and those before it. Raises SinkError."""
        if isinstance(item, SceneEvent):
            raise SinkError('the sink `video` draws answers, not events: give it what = "results"')
        if (item.revision == 0) if self._context.mode == "live" else item.final:
            film = self._film(StreamKey(item.stream, item.epoch))
            if film is None:
                return
            first = item.t * self._context.stride + self._context.size - self._context.stride
            self._draw(film, first, None)
            self._draw(film, first + self._context.stride, item)

    def frame(self, frame: Frame) -> None:
        """One of a live stream, to wait for its answer."""
        film = self._film(frame.stream_key)
        if film is None or film.frames is not None or frame.n < film.next:
            return
        film.copies[frame.n] = frame.pixels.copy()  # the message's memory is the socket's
        longest = int(_BUFFERED_S * film.fps) + self._context.behind * self._context.stride
        while len(film.copies) > longest:
            film.copies.popitem(last=False)
            self._own["frames_missing"] += 1

    def end(self, end: End) -> None:
        """Draw what is left, and finish the file."""
        film = self._films.get(StreamKey(end.stream, end.epoch))
        if film is not None:
            try:
                self._draw(film, end.frames, None)
            finally:
                self._leave(film)

    def close(self) -> None:
        for film in list(self._films.values()):
            self._leave(film)

    # -- frames

    def _film(self, key: StreamKey) -> _Film | None:
        """The epoch's, begun where it is new; None where it is over."""
        if key in self._films or key in self._over:
            return self._films.get(key)
        # Fusion drains one epoch beside the next; of a third, the first one's End was lost.
        for old in [film for film in self._films.values() if film.key.stream == key.stream][:-1]:
            self._leave(old)
        info = self._context.streams.get(key.stream, StreamInfo())
        film = _Film(key, info, fps=info.fps or UNKNOWN_FPS)
        if info.source and not is_live(info.source):
            film.frames = self._read_again(film)
        self._films[key] = film
        return film

    def _leave(self, film: _Film) -> None:
        self._over.append(film.key)
        del self._films[film.key]
        self._finish(film)

    def _read_again(self, film: _Film) -> Iterator[Pixels]:
        while True:
            source = open_source(film.info.source, film.info.fps, film.info.seconds)
            film.fps = source.fps
            try:
                yield from source
            finally:
                source.close()
            if not film.info.loop:
                return

    def _draw(self, film: _Film, until: int, answer: FusedResult | None) -> None:
        """The frames up to number `until`, with this answer."""
        while film.next < until:
            pixels = self._pixels(film)
            if pixels is None:
                film.next = until if film.frames is not None else film.next + 1
                continue
            self._own["frames_drawn"] += 1
            self._own["frames_unanswered"] += answer is None
            self._encode(film, annotated(self._fit(pixels), answer))
            film.next += 1

    def _pixels(self, film: _Film) -> Pixels | None:
        if film.frames is None:
            pixels = film.copies.pop(film.next, None)
            self._own["frames_missing"] += pixels is None
            return pixels
        try:
            if not film.fault:
                return next(film.frames, None)
        except SourceError as error:
            film.fault = str(error)
        raise SinkError(f"{film.key.stream}: cannot be read again to draw on it: {film.fault}")

    def _fit(self, pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        scale = min(1.0, self._width / width) if self._width else 1.0
        return resized(pixels, max(2, int(width * scale) // 2 * 2), max(2, int(height * scale) // 2 * 2))

    # -- files

    def _encode(self, film: _Film, pixels: Pixels) -> None:
        try:
            if film.container is not None and film.next - film.first >= self._minutes * 60 * film.fps:
                self._finish(film)
            if film.container is None:
                self._begin(film, pixels)
            picture = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            picture.pts = film.next - film.first
            for packet in film.stream.encode(picture):
                film.container.mux(packet)
        except (OSError, ValueError) as error:  # PyAV's errors are of these
            film.container = film.stream = None
            raise SinkError(f"{film.path}: cannot be written: {error}") from error

    def _begin(self, film: _Film, pixels: Pixels) -> None:
        stream, epoch = film.key
        film.first = film.next
        film.path = self._folder / f"{stream}-{epoch:015d}-{film.first:09d}.mp4"
        mine = list(self._folder.glob(f"{stream}-{'[0-9]' * 15}-{'[0-9]' * 9}.mp4"))
        for old in sorted(mine, key=lambda file: file.stat().st_mtime_ns)[: max(0, len(mine) + 1 - self._keep)]:
            old.unlink(missing_ok=True)
        rate = Fraction(film.fps).limit_denominator(1001)
        film.container = av.open(str(film.path), "w", options={"movflags": _MOVFLAGS, "flush_packets": "1"})
        film.stream = film.container.add_stream("libx264", rate=rate)
        film.stream.height, film.stream.width = pixels.shape[:2]
        film.stream.pix_fmt = "yuv420p"
        film.stream.time_base = 1 / rate
        film.stream.codec_context.thread_count = 1  # more would take cores from the models
        keyframes = str(max(1, round(2 * film.fps)))
        film.stream.options = {"preset": "veryfast", "crf": str(self._quality), "g": keyframes}

    def _finish(self, film: _Film) -> None:
        container, stream = film.container, film.stream
        film.container = film.stream = None
        if container is None:
            return
        try:
            for packet in stream.encode(None):
                container.mux(packet)
            container.close()
        except (OSError, ValueError) as error:
            raise SinkError(f"{film.path}: cannot be finished: {error}") from error


def annotated(pixels: Pixels, answer: FusedResult | None) -> Pixels:
    """A copy with a strip at the bottom: label, confidence and whose answer it is, below a line of its colour. What is
    not ASCII becomes `?`."""
    picture: Pixels = pixels.copy()
    height, width = picture.shape[:2]
    strip = max(16, height // 12)
    picture[height - strip :] = picture[height - strip :] // 4
    if answer is None:
        return picture
    colour = _COLOURS[answer.source]
    picture[height - strip : height - strip + max(2, strip // 8)] = colour
    text = f"{answer.label}  {answer.confidence:.0%}  {_WORDS[answer.source]}"
    scale = strip / 36
    (text_width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    scale *= min(1.0, (width - 8) / max(1, text_width))
    place = (4, height - strip // 4)
    cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, 1, cv2.LINE_AA)
    return picture
