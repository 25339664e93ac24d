"""uplink, with the test as its router."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from clownfish.bus import Outbox, Router
from clownfish.messages import End, RemoteResult, Window
from clownfish.process import Process
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
    Refused,
    WindowRequest,
    beat_s,
)
from tests.graph.harness import Endpoints, Material, edge_tree, until
from tests.services.harness import Collector, neighbour, serving

P = np.array([0.5, 0.25, 0.25], np.float32)


def window(t: int, stream: str = "cam") -> Window:
    frames = tuple(np.full((32, 32, 3), n % 256, np.uint8) for n in range(4 * t, 4 * t + 16))
    return Window(stream, 7, t, 4 * t, time.monotonic_ns(), True, frames)


@dataclass
class Cloud:
    """The uplink's neighbours: the filter before it, the router, and fusion behind it."""

    process: Process
    windows: Outbox
    control: Router
    said: Collector
    data: Collector
    fused: Collector

    def tell(self, message: object) -> None:
        """To the newest session."""
        edge, _ = self.said.messages[-1]
        self.control.try_send(edge, message)

    def heard(self, kind: type) -> list[object]:
        return [message for _, message in self.said.messages if isinstance(message, kind)]

    def received(self, kind: type) -> list[object]:
        return [message for _, message in self.data.messages if isinstance(message, kind)]

    def places(self) -> list[tuple[int, int, int]]:
        """(n, run, place) of each frame that came."""
        came = [message.together for _, message in self.data.messages if isinstance(message, FrameData | Frames)]
        return [place for it in came for place in zip(it.numbers, it.runs, it.places, strict=True)]

    async def hello(self, count: int = 1) -> None:
        await until(lambda: len(self.heard(Hello)) >= count, f"Hello number {count}", 20)

    async def requests(self, count: int) -> list[object]:
        await until(lambda: len(self.received(WindowRequest)) >= count, f"{count} requests", 20)
        return self.received(WindowRequest)


@asynccontextmanager
async def cloud(run_dir: Path, material: Material, **uplink: object) -> AsyncIterator[Cloud]:
    tree = edge_tree(run_dir, material, Endpoints.ipc(run_dir))
    tree["uplink"] |= uplink
    async with neighbour() as bus, serving("uplink", tree) as process:
        at = Endpoints.ipc(run_dir)
        control = bus.router(at.control, "control", (Hello, Ping), max_bytes=1 << 20, insecure=False)
        data = bus.router(at.data, "data", (FrameData, Frames, WindowRequest), max_bytes=1 << 20, insecure=False)
        fused = bus.inbox(process.config.ipc("fusion-remote"), "fusion", (RemoteResult, End))
        collectors = [Collector(inbox) for inbox in (control, data, fused)]
        yield Cloud(process, bus.outbox(process.config.ipc("uplink"), "uplink"), control, *collectors)
        for collector in collectors:
            collector.close()


async def test_a_stream_that_may_wait_loses_no_window_to_a_newer_one(run_dir: Path, local_only: Material) -> None:
    async with cloud(run_dir, local_only, waits=True, backlog=1) as it:
        await it.hello()
        for t in range(4):
            await it.windows.put(replace(window(t), live=False))
        it.tell(Credit(1, 1 << 20, 3000))
        await it.requests(1)
        it.tell(Credit(4, 1 << 20, 3000))
        assert [request.t for request in await it.requests(4)] == [0, 1, 2, 3]


async def test_a_live_stream_waits_for_nobody(run_dir: Path, local_only: Material) -> None:
    async with cloud(run_dir, local_only, waits=True, backlog=1) as it:
        await it.hello()
        for t in range(4):
            await it.windows.put(window(t))
        await until(lambda: it.process.counters.get('received{socket="windows"}') == 4, "all are taken", 20)
        it.tell(Credit(4, 1 << 20, 3000))
        assert [request.t for request in await it.requests(1)] == [3]


async def test_nothing_is_sent_without_credit(run_dir: Path, local_only: Material) -> None:
    async with cloud(run_dir, local_only) as it:
        await it.hello()
        await it.windows.put(window(0))
        await until(lambda: len(it.heard(Ping)) >= 2, "it pings", 20)
        assert it.data.messages == []
        it.tell(Credit(1, 1 << 20, 3000))
        assert [request.t for request in await it.requests(1)] == [0]


@pytest.mark.parametrize(("lease_ms", "expected_s"), [(3000, 1.0), (60_000, 1.0), (600, 0.2), (0, 0.05)])
def test_two_of_three_beats_may_be_late_and_the_lease_holds(lease_ms: int, expected_s: float) -> None:
    assert beat_s(lease_ms) == expected_s


async def test_frames_that_the_router_has_are_not_sent_again(run_dir: Path, local_only: Material) -> None:
    async with cloud(run_dir, local_only) as it:
        await it.hello()
        it.tell(Credit(9, 1 << 20, 3000))
        for t in (0, 1):
            await it.windows.put(window(t))
            await it.requests(t + 1)
        assert [n for n, _, _ in it.places()] == list(range(20))
        it.tell(Missing("cam", 7, 1, (4, 5)))
        await it.requests(3)
        assert [n for n, _, _ in it.places()][20:] == [4, 5]


async def test_a_run_goes_on_from_the_frames_sent_before_and_what_is_missed_begins_another(
    run_dir: Path, local_only: Material
) -> None:
    async with cloud(run_dir, local_only, codec={"kind": "h264", "group": 24}) as it:
        await it.hello()
        it.tell(Credit(9, 1 << 20, 3000))
        for t in (0, 1, 6):
            await it.windows.put(window(t))
            await it.requests(len(it.received(WindowRequest)) + 1)
        sent = it.places()
        assert sent[:20] == [(n, 0, n) for n in range(20)]
        assert sent[20:] == [(n, 1, n - 24) for n in range(24, 40)], "24 pictures are the longest run: it begins anew"
        it.tell(Missing("cam", 7, 1, tuple(range(10, 20))))
        await it.requests(4)
        await it.windows.put(window(7))
        await it.requests(5)
        again = it.places()[36:]
        assert again[:10] == [(n, 2, n - 10) for n in range(10, 20)]
        assert again[10:] == [(n, 2, 10 + n - 40) for n in range(40, 44)]


async def test_a_run_begins_anew_in_a_new_session(run_dir: Path, local_only: Material) -> None:
    async with cloud(run_dir, local_only, codec={"kind": "h264"}) as it:
        await it.hello()
        it.tell(Credit(9, 1 << 20, 3000))
        await it.windows.put(window(0))
        await it.requests(1)
        it.tell(Again("restarted"))
        await it.hello(2)
        it.tell(Credit(9, 1 << 20, 3000))
        await it.requests(2)
        assert it.places()[16:] == [(n, 0, n) for n in range(16)]


async def test_an_answer_reaches_fusion_once(run_dir: Path, local_only: Material) -> None:
    async with cloud(run_dir, local_only) as it:
        await it.hello()
        it.tell(Credit(9, 1 << 20, 3000))
        await it.windows.put(window(0))
        await it.requests(1)
        for t in (0, 0, 5):  # twice, and one that nobody asked for
            it.tell(Answer("cam", 7, t, P, "large", 1.0))
        await it.windows.put(End("cam", 7, 16, "end"))
        messages = await it.fused.count(2)
        assert [type(message) for message in messages] == [RemoteResult, End]
        await until(lambda: it.process.counters.get('received{socket="control"}') == 4, "all are read", 20)
        it.process.publish()
        ignored = {n: c for n, c in it.process.counters.as_dict().items() if n.startswith("ignored") and c}
        assert ignored == {'ignored{reason="duplicate"}': 1, 'ignored{reason="unknown"}': 1}


async def test_the_end_of_a_stream_waits_for_what_is_outstanding(run_dir: Path, local_only: Material) -> None:
    async with cloud(run_dir, local_only) as it:
        await it.hello()
        it.tell(Credit(9, 1 << 20, 3000))
        await it.windows.put(window(0))
        await it.windows.put(End("cam", 7, 16, "end"))
        await it.requests(1)
        assert it.fused.messages == []
        it.tell(Dropped("cam", 7, 0, "expired"))
        assert await it.fused.count(1) == [End("cam", 7, 16, "end")]
        assert it.process.counters.get('dropped{reason="router_expired"}') in (0, 1)
        it.process.publish()
        assert it.process.counters.get('dropped{reason="router_expired"}') == 1


async def test_streams_that_end_together_end_once_each_whoever_tells(run_dir: Path, local_only: Material) -> None:
    """Where fusion is away and its queue full, telling of one end takes a while, in which another task looks, too."""
    tree = edge_tree(run_dir, local_only, Endpoints.ipc(run_dir))
    tree["uplink"] |= {"deadline_ms": 300}
    async with neighbour() as bus, serving("uplink", tree) as process:
        counters, sent, full = process.counters, 'sent{socket="fusion"}', 'dropped{socket="fusion",reason="full"}'
        windows = bus.outbox(process.config.ipc("uplink"), "windows", hwm=100)
        room = 256
        for number in range(room):
            await windows.put(End(f"before{number}", 7, 0, "end of file"))
        await until(lambda: counters.get(sent) == room, "the queue is full", 20)
        names = ["first", "second", "third"]
        for name in names:
            await windows.put(window(0, name))
            await windows.put(End(name, 7, 16, "end of file"))
        await until(lambda: counters.get('received{socket="windows"}') == room + 2 * len(names), "all have come", 20)
        for told in range(len(names)):  # each takes a second: the deadline's task is at it
            await windows.put(End(f"late{told}", 7, 0, "end of file"))
            await until(lambda told=told: counters.get(full) > told, "one more is given up", 20)  # type: ignore[misc]
        await until(lambda: counters.get(full) == 2 * len(names), "each was told of once", 20)


async def test_a_refusal_is_said_and_taken_back(run_dir: Path, local_only: Material) -> None:
    async with cloud(run_dir, local_only) as it:
        await it.hello()
        it.tell(Credit(9, 1 << 20, 3000))
        await until(lambda: it.process.text == "connected", "it is connected", 20)
        it.tell(Refused("worker 'w' lacks 'wave'"))
        await until(lambda: "lacks 'wave'" in it.process.text, "it says why", 20)
        it.tell(Credit(9, 1 << 20, 3000))
        await until(lambda: it.process.text == "connected", "the refusal is over", 20)


async def test_a_router_that_restarted_gets_a_new_hello_and_the_window_again(
    run_dir: Path, local_only: Material
) -> None:
    async with cloud(run_dir, local_only) as it:
        await it.hello()
        it.tell(Credit(9, 1 << 20, 3000))
        await it.windows.put(window(0))
        await it.requests(1)
        it.tell(Again("restarted"))
        await it.hello(2)
        assert len({edge for edge, message in it.said.messages if isinstance(message, Hello)}) == 2
        it.tell(Credit(9, 1 << 20, 3000))
        assert [request.t for request in await it.requests(2)] == [0, 0]
        assert len(it.places()) == 32


async def test_a_silent_router_is_given_up(run_dir: Path, local_only: Material) -> None:
    """Its lease ends, and another session begins."""
    async with cloud(run_dir, local_only) as it:
        await it.hello()
        it.tell(Credit(9, 1 << 20, 200))
        await it.hello(2)
        assert it.process.text == "the router says nothing any more"


async def test_nonsense_from_a_router_ends_nothing(run_dir: Path, local_only: Material) -> None:
    """Well-formed messages with the largest and strangest values."""
    last = 2**63 - 1
    async with cloud(run_dir, local_only) as it:
        await it.hello()
        it.tell(Credit(last, last, last))
        for t, reason in enumerate(("\x00", "é" * 2000, 'a"} 1', "expired")):
            await it.windows.put(window(t))
            await it.requests(t + 1)
            it.tell(Dropped("cam", 7, t, reason))
        it.tell(Missing("cam", 7, 0, (last,) * 256))
        await it.windows.put(window(9))
        await it.requests(5)
        it.tell(Missing("cam", 7, 9, (last,) * 256))
        await it.requests(6)
        it.tell(Missing("cam", 7, 9, ()))
        await it.requests(7)
        it.tell(Answer("\x00", last, last, np.empty(0, np.float32), "x" * 256, 1e308))
        it.tell(Refused("\x1b[31m" * 800))
        it.tell(Credit(0, 0, 0))
        it.tell(Credit(last, last, 3000))
        it.tell(Answer("cam", 7, 9, P, "large", 1.0))
        assert [message.t for message in await it.fused.of(RemoteResult)] == [9]
        it.process.publish()
        dropped = {n: c for n, c in it.process.counters.as_dict().items() if n.startswith("dropped{reason") and c}
        assert dropped == {'dropped{reason="router_other"}': 3, 'dropped{reason="router_expired"}': 1}
