"""page: serves the live page. It listens to notes, statuses and a few frames.

What it cannot take is dropped at the sender, counted, and drawn later or never: nothing on the edge waits for a viewer.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from clownfish.codecs.jpeg import Jpeg
from clownfish.errors import ClownfishError, ConfigError
from clownfish.lineup import Lineup
from clownfish.messages import Frame, LinkShape, Note, Status
from clownfish.metrics import Histogram
from clownfish.notes import PAGE
from clownfish.process import WATCH_SOCKET, Process, run
from clownfish.recent import COLUMNS, Recent
from clownfish.section import host_port
from clownfish.settings import Config, Page, Stream
from clownfish.shaping import Shape
from clownfish.sources import is_live, truth_of
from clownfish.sources.truth import Truth
from clownfish.web.access import Access, read_token
from clownfish.web.server import Page as Server
from clownfish.web.server import frame, ticks
from clownfish.zoo import read_classes

_TICK_S = 0.1
_JPEG = Jpeg(quality=80)


class _Truth:
    """What a window shows, where that is known: the context of its middle frame (DESIGN §5.12)."""

    def __init__(self, config: Config, lineup: Lineup) -> None:
        self._window = config.window
        self._lineup = lineup
        self._of: dict[str, tuple[Stream, Truth | None]] = {}

    def read(self) -> None:
        """Of the streams of now, where it was not read yet. Takes a moment for each."""
        streams = self._lineup.streams
        known = {name: found for name, found in self._of.items() if found[0] == streams.get(name)}
        self._of = known | {name: (each, _truth(each)) for name, each in streams.items() if name not in known}

    def __call__(self, stream: str, t: int) -> str | None:
        _, truth = self._of.get(stream, (None, None))
        return None if truth is None else truth.label_at(t * self._window.stride + self._window.size // 2)


def _truth(stream: Stream) -> Truth | None:
    try:
        return None if is_live(stream.source) or stream.loop else truth_of(stream.source)
    except ClownfishError:
        return None  # the page shows none; who measures is told elsewhere


class _Page:
    def __init__(self, process: Process, settings: Page, token: str) -> None:
        config = process.config
        self._process = process
        self._names = list(process.lineup.streams)
        classes = read_classes(config.local.model) if config.local else ()
        self._truth = _Truth(config, process.lineup)
        self._truth.read()
        self._recent = Recent(classes, self._names, self._truth, settings.windows)
        self._changed = asyncio.Event()
        process.lineup.follow(self._changed.set)
        self._statuses: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._news: set[str] = set()
        self._frames: dict[str, Frame] = {}
        self._pictures: dict[str, bytes] = {}
        self._shape = Shape()
        self._link = process.bus.outbox(config.ipc("link"), "link", hwm=8) if config.link is not None else None
        self._notes_inbox = process.bus.inbox(config.ipc(PAGE), "notes", (Note,), hwm=1000)
        self._frame_inbox = process.bus.inbox(config.ipc("page-frames"), "frames", (Frame,), hwm=16, large=True)
        self._status_inbox = process.bus.subscriber(config.ipc(WATCH_SOCKET), "statuses", (Status,))
        steer = None if self._link is None else self.steer
        self.server = Server(Access(token), self.whole, steer, self._missed, self._refused)
        process.before_status(lambda: process.counters.set("viewers", self.server.viewers))

    def _missed(self) -> None:
        self._process.counters.add('dropped{reason="viewer"}')

    def _refused(self) -> None:
        self._process.counters.add('refused{reason="access"}')

    # -- in

    async def take_notes(self) -> None:
        async for note in self._notes_inbox:
            self._recent.note(note)

    async def take_frames(self) -> None:
        async for picture in self._frame_inbox:
            if picture.stream in self._names:
                self._frames[picture.stream] = picture
            else:
                self._process.lineup.get(picture.stream)  # a new one is shown at once, not with the next status

    async def take_statuses(self) -> None:
        async for status in self._status_inbox:
            percentiles = {}
            for name, buckets in status.histograms.items():
                histogram = Histogram()
                histogram.merge(buckets)
                percentiles[name] = [_ms(histogram.percentile(q)) for q in (50, 99)]
            self._statuses[status.service] = {
                "state": status.state,
                "text": status.text,
                "pid": status.pid,
                "at": round(time.monotonic(), 3),
                "counters": status.counters,
                "gauges": {name: round(value, 4) for name, value in status.gauges.items()},
                "ms": percentiles,
            }
            self._news.add(status.service)

    async def follow(self) -> None:
        """Streams come and go: then all who look begin anew."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._process.in_thread(self._truth.read)
            self._names = list(self._process.lineup.streams)
            self._recent.follow(self._names)
            for shown in (self._frames, self._pictures):
                for name in [name for name in shown if name not in self._names]:
                    del shown[name]
            self.server.broadcast(self.whole())

    # -- out

    async def tick(self) -> None:
        async for _ in ticks(_TICK_S):
            changes, news, frames = self._recent.changes(), self._news, self._frames
            self._news, self._frames = set(), {}
            if not self.server.viewers:
                self._pictures.clear()
                continue
            made = {name: await self._jpeg(shown) for name, shown in frames.items()}
            made = {name: jpeg for name, jpeg in made.items() if name in self._names}  # it may have gone meanwhile
            self._pictures |= made
            pictures = [(self._names.index(name), jpeg) for name, jpeg in made.items()]
            said: dict[str, Any] = {}
            if changes:
                said["streams"] = changes
            if news:
                said["services"] = {name: self._statuses[name] for name in sorted(news)}
            if (labels := self._recent.grown_labels()) is not None:
                said["labels"] = labels
            if said or pictures:
                self.server.broadcast(frame(said, pictures))

    async def _jpeg(self, shown: Frame) -> bytes:
        return await self._process.in_thread(_JPEG.encode, shown.pixels)

    def whole(self) -> bytes:
        """Everything, for one who comes anew."""
        config = self._process.config
        said = {
            "graph": config.graph.name,
            "names": self._names,
            "columns": COLUMNS,
            "labels": self._recent.labels,
            "theta": config.fusion.theta,
            "capacity": self._recent.capacity,
            "cloud": config.uplink is not None,
            "link": None if self._link is None else _said(self._shape),
            "streams": self._recent.whole(),
            "services": self._statuses,
        }
        return frame(said, [(self._names.index(name), made) for name, made in self._pictures.items()])

    def steer(self, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        """Change the simulated link. Raises ValueError, TypeError."""
        unknown = sorted(wanted.keys() - {"rate_mbit", "delay_ms", "cut"})
        if unknown:
            raise ValueError(f"unknown key {unknown[0][:40]!r}; expected rate_mbit, delay_ms and cut")
        rate, delay, cut = (wanted.get(name, getattr(self._shape, name)) for name in ("rate_mbit", "delay_ms", "cut"))
        if not isinstance(cut, bool):
            raise ValueError("cut is no truth value")
        shape = Shape(None if rate is None else float(rate), float(delay), cut)
        assert self._link is not None  # else the server is not told of this
        if not self._link.try_send(LinkShape(shape.rate_mbit, shape.delay_ms, shape.cut)):
            raise ValueError("the link does not listen; look whether the process `link` runs")
        self._shape = shape
        self.server.broadcast(frame({"link": _said(shape)}, []))
        return _said(shape)


def _said(shape: Shape) -> dict[str, Any]:
    return {"rate_mbit": shape.rate_mbit, "delay_ms": shape.delay_ms, "cut": shape.cut}


def _ms(ns: float | None) -> float | None:
    return None if ns is None else round(ns / 1e6, 2)


async def serve(process: Process) -> None:
    settings = process.config.page
    if settings is None:
        raise ConfigError("[page] is missing: it says where browsers find this page")
    token = read_token(settings.token_file)
    service = _Page(process, settings, token)
    try:
        await process.run_together(
            service.take_notes(),
            service.take_frames(),
            service.take_statuses(),
            service.tick(),
            service.follow(),
            service.server.serve(*host_port(settings.listen), lambda: process.ready(f"http://{settings.listen}/")),
        )
    finally:
        service.server.close()


if __name__ == "__main__":
    run("page", serve)
