"""The link of our own: a process between two TUN devices, one in each namespace, that treats packets as a profile says.

`python -m clownfish.lab.net.link EDGE CLOUD`, two paths of namespaces, with a socket for standard input: there it reads
one JSON request a line and answers each with one line. It ends when that socket does, so it never outlives who started
it. Time is the only thing that it keeps itself: phases change without being asked for.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from clownfish.errors import ClownfishError
from clownfish.lab.net.namespace import set_namespace
from clownfish.lab.net.pipe import Pipe
from clownfish.lab.net.plan import DEVICE
from clownfish.lab.net.shape import Timeline
from clownfish.lab.net.tun import open_tun

_BATCH = 32
"""Packets read of one direction before the other has its turn."""
_PACKET_BYTES = 65_536
_IPV4 = 4
_PRIORITY = 10
"""Real-time, 1 to 99: above those who run an experiment with `chrt --rr 1`."""


class Link:
    """Two pipes, crosswise between two descriptors, and the timeline that shapes them."""

    def __init__(self, edge_fd: int, cloud_fd: int, timeline: Timeline, seed: int, now: float) -> None:
        self.timeline = timeline
        self._start = now
        self._phase = 0
        self._change_at: float | None = None
        first = timeline.phases[0]
        self.up = Pipe(first.up, 2 * seed)
        self.down = Pipe(first.down, 2 * seed + 1)
        self._ways = ((edge_fd, cloud_fd, self.up), (cloud_fd, edge_fd, self.down))
        self.unwritten = 0
        """Packets that a device did not take."""
        self.seek(0.0, now)

    def seek(self, t_s: float, now: float) -> None:
        """It is t_s now."""
        self._start = now - t_s
        self._enter(self.timeline.index(t_s), now)
        change_s = self.timeline.next_change(t_s)
        self._change_at = None if change_s is None else self._start + change_s

    def play_video(self, n: int, now: float) -> None:
        """Video n begins: the next phase, where the timeline goes by videos."""
        if self.timeline.by == "video":
            self._enter(self.timeline.at_video(n), now)

    def _enter(self, phase: int, now: float) -> None:
        self._phase = phase
        self.up.change(self.timeline.phases[phase].up, now)
        self.down.change(self.timeline.phases[phase].down, now)

    def take(self, ready: list[int]) -> None:
        """Read what the devices have."""
        for source, _, pipe in self._ways:
            if source not in ready:
                continue
            for _ in range(_BATCH):
                try:
                    packet = os.read(source, _PACKET_BYTES)
                except BlockingIOError:
                    break
                if packet and packet[0] >> 4 == _IPV4:
                    pipe.offer(packet, time.monotonic())

    def give(self) -> None:
        """Write what has arrived."""
        now = time.monotonic()
        if self._change_at is not None and now >= self._change_at:
            self.seek(now - self._start, now)
        for _, sink, pipe in self._ways:
            for packet in pipe.due(now):
                try:
                    os.write(sink, packet)
                except OSError:
                    self.unwritten += 1

    def wait_s(self) -> float | None:
        """Until something is due."""
        times = [self.up.next_timer(), self.down.next_timer(), self._change_at]
        due = min((each for each in times if each is not None), default=None)
        return None if due is None else max(0.0, due - time.monotonic())

    def state(self) -> dict[str, Any]:
        """Counts of both directions, and where in the timeline it is."""
        return {
            "t_s": time.monotonic() - self._start,
            "phase": self._phase,
            "unwritten": self.unwritten,
            **{name: {**asdict(pipe.counts), "inside": pipe.inside} for name, pipe in self._pipes()},
        }

    def _pipes(self) -> tuple[tuple[str, Pipe], ...]:
        return ("up", self.up), ("down", self.down)


class _Requests:
    """The socket to who started this."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._rest = b""

    def read(self) -> list[dict[str, Any]]:
        """What has come. Raises EOFError at the end."""
        data = self.connection.recv(65_536)
        if not data:
            raise EOFError
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def answer(self, value: dict[str, Any]) -> None:
        self.connection.sendall(json.dumps(value).encode() + b"\n")


def _serve(requests: _Requests, link: Link, edge_fd: int, cloud_fd: int) -> None:
    """Until the requests end. select, not epoll: it waits for microseconds, epoll for milliseconds."""

    def seek(request: dict[str, Any]) -> None:
        link.seek(float(request["t_s"]), time.monotonic())

    def video(request: dict[str, Any]) -> None:
        link.play_video(int(request["n"]), time.monotonic())

    actions: dict[str, Callable[[dict[str, Any]], None]] = {"seek": seek, "video": video, "state": lambda _: None}
    watched = [edge_fd, cloud_fd, requests.connection.fileno()]
    while True:
        ready, _, _ = select.select(watched, [], [], link.wait_s())
        link.take(ready)
        link.give()
        if watched[2] in ready:
            for request in requests.read():
                actions[request["do"]](request)
                requests.answer(link.state())


def hurry() -> None:
    """Before others, where that is allowed: a packet that is late because a busy box was is not what was asked for."""
    with contextlib.suppress(OSError):
        os.nice(-10)
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(_PRIORITY))


def main() -> None:
    requests = _Requests(socket.socket(fileno=0))
    fds = []
    try:
        for path in sys.argv[1:3]:
            namespace = os.open(Path(path), os.O_RDONLY)
            set_namespace(namespace)
            fds.append(open_tun(DEVICE))
            os.close(namespace)
    except (ClownfishError, OSError) as error:
        requests.answer({"error": str(error)})
        sys.exit(2)
    line = requests.connection.makefile("rb").readline()
    if not line:
        return  # who started this is gone
    first = json.loads(line)
    link = Link(fds[0], fds[1], Timeline.from_tree(first["timeline"]), first["seed"], time.monotonic())
    hurry()
    requests.answer(link.state())
    with contextlib.suppress(EOFError, ConnectionError):
        _serve(requests, link, fds[0], fds[1])


if __name__ == "__main__":
    main()
