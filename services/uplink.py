"""uplink: sends chosen windows over the WAN as credit allows, and brings answers home, late or never (DESIGN §7).

Everything that has to do with the cloud's absence happens here and reaches the edge as silence.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections import OrderedDict, deque
from collections.abc import Iterable

from clownfish.adaptation import Adaptation
from clownfish.backlog import Backlog, Drop, Lapsed, Send
from clownfish.backoff import Backoff
from clownfish.bus import Dealer, credentials, fresh_routing_id
from clownfish.codecs.runs import StreamEncoder
from clownfish.errors import CodecError, ConfigError
from clownfish.ladder import Way
from clownfish.messages import End, Event, RemoteResult, StreamKey, Window, WindowKey
from clownfish.notes import Notes
from clownfish.process import Process, every, run
from clownfish.protocol import (
    Again,
    Answer,
    Credit,
    Dropped,
    FrameData,
    Hello,
    Missing,
    Ping,
    Refused,
    WindowRequest,
    beat_s,
    in_messages,
)
from clownfish.tracer import Tracer
from clownfish.within import within
from clownfish.zoo import read_classes

_FROM_ROUTER = (Credit, Refused, Missing, Answer, Dropped, Again)
_SILENCE_S = 3.0
"""A router that was connected and says nothing for this long, before its first lease, is given up."""
_LOOK_S = 0.5
"""How often a session looks whether it is over."""
_RETRY_S, _MAX_RETRY_S = 0.1, 5.0
_CONNECTED = "connected"
_REASON = re.compile(r"[a-z_]{1,40}")
"""What may become part of a counter's name: the peer's words are not ours."""
_DROPS = ("superseded", "expired", "unanswered", "lost")
"""Why windows are dropped on an ordinary day: counted from 0 on, so that the first one shows as a rise."""
_KNOWN_FRAMES = 64
"""Frames of a stream that the router is taken to have; it asks for those that it has not."""

_ENCODERS = 256
"""Streams whose encoder is kept; one that went without saying so is forgotten so."""


class _SessionOver(Exception):
    """Ends a session's tasks; not an error: the next session begins."""


class _Uplink:
    def __init__(self, process: Process) -> None:
        config = process.config
        if config.uplink is None or config.local is None:
            raise ConfigError("[uplink] and [local] are needed to send windows to a cloud")
        self._process = process
        self._settings = config.uplink
        self._stride = config.window.stride
        to = config.uplink
        self._curve = credentials("uplink", to.key, to.router_key, (to.control, to.data), to.insecure)
        self._classes = read_classes(config.local.model)
        self._adaptation = Adaptation(process)
        self._backlog: Backlog[Window] = Backlog(config.uplink.backlog, config.uplink.deadline_ms / 1000)
        self._inbox = process.bus.inbox(config.ipc("uplink"), "windows", (Window, End), hwm=4, large=True)
        self._fusion = process.bus.outbox(config.ipc("fusion-remote"), "fusion", hwm=256)
        self._ends: dict[StreamKey, End] = {}
        self._resends: deque[tuple[Send[Window], tuple[int, ...]]] = deque()
        self._known: dict[StreamKey, OrderedDict[int, None]] = {}
        self._encoders: OrderedDict[StreamKey, tuple[Way, StreamEncoder]] = OrderedDict()
        self._notes = Notes(process)
        self._tracer = Tracer(process)
        self._sent_at: dict[WindowKey, tuple[float, float]] = {}
        """Of the windows in flight: when they went, and when they were captured."""
        self._heard = 0.0
        self._granted = False
        self._beat_s = _LOOK_S
        self._work = asyncio.Event()
        self._left = asyncio.Event()
        """Set when a window leaves the backlog."""
        self.wake = asyncio.Event()
        process.before_status(self._count)

    def _count(self) -> None:
        backlog, counters = self._backlog, self._process.counters
        counters.mirror({"windows_offered": backlog.offered, "windows_answered": backlog.answered_total})
        drops = {**dict.fromkeys(_DROPS, 0), **backlog.drops}
        counters.mirror({f'dropped{{reason="{reason}"}}': count for reason, count in drops.items()})
        counters.mirror({f'ignored{{reason="{reason}"}}': count for reason, count in backlog.ignored.items()})
        waiting_s, in_flight_s = backlog.ages_s(time.monotonic())
        counters.set("waiting", backlog.waiting)
        counters.set("oldest_waiting_seconds", waiting_s)
        counters.set("in_flight", backlog.in_flight)
        counters.set("oldest_in_flight_seconds", in_flight_s)
        counters.set("connected", float(self._process.text == _CONNECTED))

    def _note(self, key: WindowKey, what: str, value: float | None = None) -> None:
        self._tracer.say(key, what, value)
        if self._notes.wanted:
            self._notes.take([Event(*key, what, time.monotonic(), value)])

    def _note_drops(self, drops: Iterable[Drop | Lapsed]) -> None:
        for drop in drops:
            if isinstance(drop, Drop):
                self._sent_at.pop(drop.key, None)
                self._adaptation.gone(drop.key)
                self._note(drop.key, f"dropped {drop.reason}")

    # -- windows in

    async def take(self) -> None:
        async for message in self._inbox:
            if isinstance(message, End):
                self._ends[StreamKey(message.stream, message.epoch)] = message
                await self._forward_ends()
            else:
                if self._settings.waits and not message.live:
                    await self._room()
                self._note(message.key, "offered")
                self._adaptation.offered()
                self._note_drops(self._backlog.offer(message.key, message, message.capture_ns / 1e9, time.monotonic()))
            self._changed()

    async def _room(self) -> None:
        """Until one window more may wait without another being superseded."""
        while self._backlog.waiting >= self._settings.backlog:
            self._left.clear()
            await self._left.wait()

    def _changed(self) -> None:
        self._work.set()
        self.wake.set()

    def next_timer(self) -> float | None:
        return self._backlog.next_timer()

    async def timer(self) -> None:
        over = self._backlog.timer(time.monotonic())
        self._left.set()
        self._note_drops(over)
        if any(isinstance(each, Lapsed) for each in over):
            self._heard = 0.0  # `beat` ends the session
        await self._forward_ends()

    async def _forward_ends(self) -> None:
        """Fusion waits for late results of an ended stream until it hears that none is on its way."""
        for key in [key for key in self._ends if self._backlog.idle(key)]:
            end = self._ends.pop(key, None)
            if end is not None:  # else another task told of it while this one waited
                self._known.pop(key, None)
                self._encoders.pop(key, None)
                await self._fusion.insist(end)

    # -- sessions

    async def sessions(self) -> None:
        """One session after the other, for ever."""
        backoff = Backoff(_RETRY_S, _MAX_RETRY_S)
        while True:
            if await self._session():
                backoff.reset()
            await asyncio.sleep(backoff.next_s())

    async def _session(self) -> bool:
        """One pair of sockets under one fresh routing id. Returns whether the router ever granted credit."""
        bus, routing_id = self._process.bus, fresh_routing_id()
        to, curve = self._settings, self._curve
        control = bus.dealer(to.control, "control", _FROM_ROUTER, routing_id=routing_id, curve=curve)
        data = bus.dealer(to.data, "data", (), routing_id=routing_id, hwm=8, large=True, curve=curve)
        self._note_drops(self._backlog.open(time.monotonic()))
        self._known.clear()
        self._encoders.clear()  # a router that is new has nothing to continue
        self._resends.clear()
        self._granted = False
        try:
            await self._process.run_together(
                self._hold(control, data), self._end_in_trouble(control), self._end_in_trouble(data)
            )
        except _SessionOver as over:
            if self._process.text != str(over):
                self._process.log.info("session over", reason=str(over))
                self._process.say("ready", str(over))
        finally:
            control.close()
            data.close()
            self._note_drops(self._backlog.close(time.monotonic()))
            self._adaptation.closed()
            self._changed()
        return self._granted

    async def _hold(self, control: Dealer, data: Dealer) -> None:
        await control.put(
            Hello(self._settings.edge, self._classes, self._settings.model)
        )  # waits here while there is no cloud
        self._heard = time.monotonic()
        self._process.counters.add("sessions")
        await self._process.run_together(self._hear(control), self._beat(control), self._send(data))

    async def _end_in_trouble(self, socket: Dealer) -> None:
        why = await socket.trouble()
        self._process.counters.add("handshakes_failed")
        if self._process.text != why:
            self._process.log.error("no way to the cloud", reason=why)
        raise _SessionOver(why)

    async def _beat(self, control: Dealer) -> None:
        sequence, due = 0, 0.0
        while time.monotonic() - self._heard < _SILENCE_S:
            if time.monotonic() >= due:
                sequence += 1
                control.try_send(Ping(sequence))
                self._adaptation.pinged(sequence)
                due = time.monotonic() + self._beat_s
            await asyncio.sleep(min(_LOOK_S, self._beat_s))
        raise _SessionOver("the router says nothing any more")

    async def _hear(self, control: Dealer) -> None:
        async for message in control:
            now = time.monotonic()
            self._heard = now
            self._adaptation.heard(message, now)
            if isinstance(message, Credit):
                self._granted, self._beat_s = True, beat_s(message.lease_ms)
                if self._process.text != _CONNECTED:  # also after a refusal that has come to an end
                    self._process.say("ready", _CONNECTED)
                self._backlog.credit(message.windows_total, message.bytes_total, message.lease_ms / 1000, now)
            elif isinstance(message, Answer):
                verdict = self._backlog.answered(message.key, now)
                self._note(message.key, "answered" if verdict == "accepted" else f"ignored {verdict}")
                if verdict == "accepted":
                    self._time(message, now)
                    result = RemoteResult(message.stream, message.epoch, message.t, message.p, message.model)
                    self._fusion.try_send(result)
            elif isinstance(message, Dropped):
                reason = message.reason if _REASON.fullmatch(message.reason) else "other"
                dropped = self._backlog.dropped(message.key, reason)
                self._note_drops([dropped] if dropped is not None else [])
            elif isinstance(message, Missing):
                item = self._backlog.missing(message.key)
                if isinstance(item, Send):
                    self._resends.append((item, message.frames))
                elif item is not None:
                    self._note_drops([item])
            elif isinstance(message, Refused):
                self._process.counters.add("refused")
                if self._process.text != message.reason:
                    self._process.log.error("the cloud refuses this edge", reason=message.reason)
                    self._process.say("ready", message.reason)
            else:
                raise _SessionOver(f"the router asks for a new one: {message.reason}")
            await self._forward_ends()
            self._changed()

    def _time(self, answer: Answer, now: float) -> None:
        sent, captured = self._sent_at.pop(answer.key, (None, None))
        if sent is not None and captured is not None:
            self._process.histogram("round_trip").add((now - sent) * 1e9)
            self._process.histogram("capture_to_answer").add((now - captured) * 1e9)
            self._process.histogram("cloud_model").add(answer.model_ms * 1e6)

    # -- windows out

    async def _send(self, data: Dealer) -> None:
        while True:
            if self._resends:
                item, wanted = self._resends.popleft()
            else:
                now = time.monotonic()
                offered = self._backlog.next(now) if self._adaptation.room(now) else None
                if offered is None:
                    self._work.clear()
                    with contextlib.suppress(asyncio.TimeoutError):
                        await within(self._work.wait(), self._adaptation.room_in_s(now))
                    continue
                item, wanted = offered, ()
                self._left.set()
                if not self._adaptation.may_send():
                    dropped = self._backlog.withdraw(item.key, "over_allowance")
                    self._note_drops([dropped] if dropped is not None else [])
                    continue
            await self._send_window(data, item, wanted)
            self.wake.set()

    async def _send_window(self, data: Dealer, item: Send[Window], wanted: tuple[int, ...]) -> None:
        window, key = item.payload, StreamKey(item.key.stream, item.key.epoch)
        numbers = tuple(range(window.first, window.first + len(window.frames)))
        encoder, width, height = self._encoder(key, window)
        known = self._known.setdefault(key, OrderedDict())
        send = [n for n in numbers if n in wanted or n not in known]
        begin = time.monotonic()
        frames = [window.frames[n - window.first] for n in send]
        if (height, width) != window.frames[0].shape[:2]:
            from clownfish.opencv import resized  # 25 MB that a codec may not need

            frames = [resized(pixels, width, height) for pixels in frames]
        try:
            pictures = await self._process.in_thread(encoder.encode, frames, bool(wanted))
        except CodecError as error:
            self._process.log.error("a window cannot be encoded", reason=str(error))
            dropped = self._backlog.withdraw(item.key, "unencodable")
            self._note_drops([dropped] if dropped is not None else [])
            return
        now = time.monotonic()
        self._process.histogram("encode").add((now - begin) * 1e9)
        size_bytes = sum(len(picture.data) for picture in pictures)
        if not self._backlog.sent(item.key, size_bytes):
            encoder.restart()
            return
        self._sent_at[item.key] = (now, window.capture_ns / 1e9)
        self._note(item.key, "sent", float(size_bytes))
        self._adaptation.sent(item.key, size_bytes)
        coded = [
            FrameData(*key, n, picture.run, picture.place, encoder.codec_name, width, height, picture.data)
            for n, picture in zip(send, pictures, strict=True)
        ]
        for message in in_messages(coded):
            wire_bytes = await data.put(message)
            known.update(dict.fromkeys(message.together.numbers))
            self._process.counters.add("bytes_sent", wire_bytes)
        while len(known) > _KNOWN_FRAMES:
            known.popitem(last=False)
        left_ms = max(0, int((item.deadline - time.monotonic()) * 1000))
        request = WindowRequest(*item.key, numbers, left_ms)
        self._process.counters.add("bytes_sent", await data.put(request))
        self._process.counters.add("frames_sent", len(send))
        self._process.counters.add("windows_resent" if item.resend else "windows_sent")

    def _encoder(self, key: StreamKey, window: Window) -> tuple[StreamEncoder, int, int]:
        """The stream's encoder, and the width and height that its frames go with.

        A window's frames are all of one size: once that changes, those that the router has are sent anew.
        """
        way = self._adaptation.way
        height, width = window.frames[0].shape[:2]
        before, encoder = self._encoders.get(key) or (way, StreamEncoder(self._adaptation.codec(way)))
        if before != way:
            encoder.use(self._adaptation.codec(way))
            if before.size(width, height) != way.size(width, height):
                self._known.pop(key, None)
        self._encoders[key] = (way, encoder)
        self._encoders.move_to_end(key)
        while len(self._encoders) > _ENCODERS:
            self._encoders.popitem(last=False)
        return encoder, *way.size(width, height)


async def serve(process: Process) -> None:
    service = _Uplink(process)
    process.ready("no cloud yet")
    await process.run_together(
        service.take(), service.sessions(), every(service.next_timer, service.wake, service.timer)
    )


if __name__ == "__main__":
    run("uplink", serve)
