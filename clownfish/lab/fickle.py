"""What thousands of sessions leave in an uplink: the real process, and a router that restarts, lies and sends it away.

Each session is granted credit, hears nonsense and answers to windows that it never asked about, and is sent away; now
and then the router ends and another takes its place, or it is gone without a word.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from clownfish.bus import Bus, Encoded, Router
from clownfish.errors import ClownfishError
from clownfish.lab.chaos.edge import SIZE, Footage, ScriptedEdge
from clownfish.lab.figures import Figure, Line
from clownfish.lab.footprint import MEASURES, Footprints
from clownfish.lab.free_port import free_endpoints
from clownfish.protocol import (
    Again,
    Answer,
    Credit,
    Dropped,
    FrameData,
    Frames,
    Hello,
    Missing,
    Ping,
    WindowRequest,
)
from clownfish.within import within

_ENDS_EVERY, _DIES_EVERY = 10, 250
"""Sessions to one after which the router ends with a word, and without one: then the uplink waits for its lease."""
_LEASE_MS = 1500
_OFFER_S, _STAYS_S = 0.1, 0.03
_SAMPLES = 100
_READY_S, _PATIENCE_S = 60.0, 30.0
_LEFT_OUT = 0.1
"""Of the sessions, the first: heaps grow once."""


class _Fickle:
    def __init__(self, control: str, data: str, on_session: Callable[[int], None]) -> None:
        self._endpoints = (control, data)
        self._on_session = on_session
        self._order = np.random.default_rng(1)
        self.told: Counter[str] = Counter()
        self.sessions = 0

    async def run(self, sessions: int) -> None:
        """One router after the other, until it has had so many sessions."""
        while self.sessions < sessions:
            bus = Bus(lambda name: None)
            try:
                control, data = (
                    bus.router(endpoint, name, kinds, max_bytes=1 << 20, insecure=False)
                    for endpoint, name, kinds in zip(
                        self._endpoints,
                        ("control", "data"),
                        ((Hello, Ping), (FrameData, Frames, WindowRequest)),
                        strict=True,
                    )
                )
                taking = asyncio.ensure_future(self._take(control, data))
                try:
                    await self._serve(control, sessions)
                finally:
                    taking.cancel()
                    await asyncio.gather(taking, return_exceptions=True)
            finally:
                bus.close(100)

    async def _serve(self, control: Router, sessions: int) -> None:
        known: set[bytes] = set()
        async for peer, message in control:
            if not isinstance(message, Hello):
                again = Again("this session is not known here")
                control.try_send(peer, Credit(1000, 1 << 30, _LEASE_MS, message.sequence) if peer in known else again)
                continue
            known.add(peer)
            self.sessions += 1
            self._on_session(self.sessions)
            control.try_send(peer, Credit(1000, 1 << 30, _LEASE_MS))
            self._lie(control, peer)
            if self.sessions % _DIES_EVERY == 0:
                return
            asyncio.get_running_loop().call_later(_STAYS_S, control.try_send, peer, Again("for no reason"))
            if self.sessions % _ENDS_EVERY == 0 or self.sessions >= sessions:
                await asyncio.sleep(2 * _STAYS_S)
                return

    def _lie(self, control: Router, peer: bytes) -> None:
        p = np.full(9, 1 / 9, np.float32)
        lies = {
            "nonsense": Encoded.raw([os.urandom(200)]),
            "an answer": Answer(os.urandom(6).hex(), 1, 1, p, "none", 1.0),
            "a drop": Dropped(os.urandom(6).hex(), 1, 1, "for_no_reason"),
            "a frame missed": Missing(os.urandom(6).hex(), 1, 1, (1, 2)),
        }
        for lie, message in lies.items():
            self.told[lie] += control.try_send(peer, message)

    async def _take(self, control: Router, data: Router) -> None:
        """Each window is dropped, for a reason of its own."""
        async for peer, message in data:
            if isinstance(message, WindowRequest):
                letters = self._order.integers(97, 123, 12)
                reason = bytes(letters.tolist()).decode()
                self.told["a window dropped"] += control.try_send(peer, Dropped(*message.key, reason))


def fickle_lines(folder: Path, sessions: int, say: Callable[[str], None]) -> list[Line]:
    """What grew in an uplink over so many sessions, by thousand, after the first tenth of them.

    Raises ClownfishError where the uplink ended, or no session begins any more.
    """
    place = folder / "fickle"
    place.mkdir(parents=True)
    return asyncio.run(_measure(place, sessions, say))


async def _measure(place: Path, sessions: int, say: Callable[[str], None]) -> list[Line]:
    control, data = free_endpoints(2)
    frames = tuple(np.random.default_rng(0).integers(0, 255, (SIZE, 48, 64, 3), np.uint8))
    footage = Footage(frames, tuple(np.full(9, 1 / 9, np.float32) for _ in frames))
    bus = Bus(lambda name: None)
    uplink = {"control": control, "data": data, "codec": {"kind": "png"}, "deadline_ms": 2000}
    edge = ScriptedEdge("e0", place / "e0", uplink, footage, bus, epoch=1)
    taken, every = Footprints(), max(1, sessions // _SAMPLES)
    begun = asyncio.Event()

    def on_session(count: int) -> None:
        begun.set()
        if count > _LEFT_OUT * sessions and count % every == 0:
            taken.take(count / 1000, {"uplink": edge.pid})
            say(f"{count} sessions, the uplink's memory {taken.values('uplink', 'rss_mb')[-1]:.1f} MB …")

    async def goes_on() -> None:
        while True:
            begun.clear()
            await within(begun.wait(), _PATIENCE_S)

    say("an uplink, and a router that does not stay …")
    router = _Fickle(control, data, on_session)
    await edge.start()
    tasks = []
    try:
        await within(edge.ready.wait(), _READY_S)
        offering = edge.offer_each(_OFFER_S, 0.0, float("inf"))
        serving = asyncio.ensure_future(router.run(sessions))
        tasks = [serving, asyncio.ensure_future(goes_on()), asyncio.ensure_future(offering)]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not serving.done():
            raise ClownfishError(f"no session after the {router.sessions}th: {'; '.join(edge.ledger.faults)}")
        serving.result()
        counters = edge.counters()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await edge.stop()
        bus.close(0)
    if edge.ledger.faults:
        raise ClownfishError(f"the uplink did not last: {edge.ledger.faults[0]}")
    note = ", ".join(f"{count} times {lie}" for lie, count in router.told.items())
    note = f"{counters.get('sessions', 0)} sessions as the uplink counts; told: {note}; {len(counters)} counters"
    return [_line(taken, measure, note if measure == MEASURES[0] else "") for measure in MEASURES]


def _line(taken: Footprints, measure: str, note: str) -> Line:
    found, values = taken.trend("uplink", measure), taken.values("uplink", measure)
    unit = "MB" if measure.endswith("_mb") else ""
    grown = Figure(found.slope, unit, (("at least", found.low), ("at most", found.high)))
    had = Figure(values[0], unit, (("at the end", values[-1]),))
    what = f"an uplink's {measure.removesuffix('_mb')}: growth in a thousand sessions"
    return Line(what, grown, "what it has then", had, note)
