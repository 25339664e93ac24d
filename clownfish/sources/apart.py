"""A live source read in a process of its own, which can be left behind (layer 1).

Nothing ends a thread that hangs in a decoder or a driver, and such a thread keeps what it holds: in a month there would
be many. A process can be ended, whatever it hangs in, and a stream of bytes that makes a decoder crash takes no other
stream with it. It costs about 30 MB, and a copy of each frame in the models' size.

    Hands    those who read one stream: one at work or at rest, and those left behind that have not died yet
    Apart    one connection; closing it ends whoever reads, and frees at once who waits for a frame

One process reads connection after connection, as long as each comes to an end by itself: to try again is cheap. What it
says and is told is in `apart_child`.
"""

from __future__ import annotations

import contextlib
import json
import math
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from clownfish.cadence import Taken
from clownfish.errors import SourceError
from clownfish.messages import Pixels
from clownfish.sources.base import Refused, Stalled, TimeOuts

HEAD = struct.Struct(">cI")
"""Each message: what it is, and its length."""
OPENED, FRAME, ENDED, FAILED, STALLED, REFUSED = b"o", b"f", b"z", b"e", b"s", b"r"
SHAPE = struct.Struct(">ddHHHH")
"""Before a frame's pixels: at_s, pts_s (NaN: none), width and height as the source has it, and as they follow."""
_FAILURES: dict[bytes, type[SourceError]] = {FAILED: SourceError, STALLED: Stalled, REFUSED: Refused}
_GRACE_S = 2.0
"""What closing a camera properly may take: some drivers need it, to be opened again."""
_MOST_LEFT = 2
"""Processes that do not die: more of them would be no better."""
_CONNECTIONS = 500
"""Then another process: whatever a library loses with each connection is lost no longer."""
_LONGEST = 4096 * 4096 * 3 + SHAPE.size


@dataclass(frozen=True)
class Wanted:
    """What the process is told to read."""

    source: str
    fps: float | None
    seconds: float | None
    width: int
    height: int
    time_outs: TimeOuts


class _Hand:
    """One process, seen from here."""

    def __init__(self) -> None:
        self.socket, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "clownfish.sources.apart_child"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        self.connections = 0
        self.due_s = 0.0
        """When it is killed, once it was left."""
        self.killed = False

    def let_go(self) -> None:
        """It hears the end, and so does whoever waits for it here."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)


class Hands:
    """The processes that read one stream. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: _Hand | None = None
        self._left: list[_Hand] = []
        self.killed = 0
        """Processes that had to be: they did not end in time."""

    def take(self) -> _Hand:
        """One that is at rest, or a new one. Raises SourceError where those before do not die."""
        self.tend()
        with self._lock:
            hand, self._idle = self._idle, None
            if hand is not None and hand.process.poll() is None:
                return hand
            if hand is not None:
                hand.socket.close()
            stuck = sum(each.due_s < time.monotonic() - _GRACE_S for each in self._left)
            if stuck >= _MOST_LEFT:
                raise SourceError(
                    f"{stuck} processes that read this source hang in its driver and cannot be ended; unplug it, or "
                    "start this machine again"
                )
            return _Hand()

    def give_back(self, hand: _Hand) -> None:
        """It has said that its connection is over."""
        hand.connections += 1
        with self._lock:
            if self._idle is None and hand.connections < _CONNECTIONS:
                self._idle = hand
                return
        self.leave(hand)

    def leave(self, hand: _Hand) -> None:
        """It is to end, by itself if it can. Returns at once."""
        hand.let_go()
        hand.due_s = time.monotonic() + _GRACE_S
        with self._lock:
            self._left.append(hand)

    def tend(self) -> None:
        """Bury who has ended, and kill who has not in time. To be called now and then."""
        with self._lock:
            for hand in list(self._left):
                if hand.process.poll() is not None:
                    hand.socket.close()
                    self._left.remove(hand)
                elif time.monotonic() > hand.due_s:
                    self.killed += not hand.killed
                    hand.killed = True
                    hand.process.kill()

    @property
    def alive(self) -> int:
        """Processes at rest, and those left behind that have not died."""
        self.tend()
        with self._lock:
            return len(self._left) + (self._idle is not None)

    def end(self, patience_s: float) -> None:
        """End all: a camera that is not closed properly may not open again, so each has a while for it."""
        with self._lock:
            hand, self._idle = self._idle, None
        if hand is not None:
            self.leave(hand)
        give_up = time.monotonic() + patience_s
        with self._lock:
            all_left = list(self._left)
        for left in all_left:
            with contextlib.suppress(subprocess.TimeoutExpired):
                left.process.wait(max(0.0, give_up - time.monotonic()))
            left.process.kill()
        self.tend()


class _Left(Exception):
    """Whoever reads was left meanwhile."""


class Apart:
    """A connection to a live source: a `base.LiveSource` once it is open. It may be opened again when it has ended."""

    def __init__(self, hands: Hands, wanted: Wanted) -> None:
        """Opens nothing: `open` does, in the thread that reads."""
        self.fps = 0.0
        self.live = True
        self.taken: Taken | None = None
        self._hands, self._wanted = hands, wanted
        self._lock = threading.Lock()
        self._hand: _Hand | None = None
        self._abandoned = False

    def open(self) -> Apart:
        """Raises SourceError where it does not open, or was left meanwhile."""
        hand = self._hands.take()
        with self._lock:
            self._hand = hand
        if self._abandoned:
            self.close()
        wanted = self._wanted
        told = {
            "source": wanted.source,  # not as an argument of the process: it may hold a password
            "fps": wanted.fps,
            "seconds": wanted.seconds,
            "size": [wanted.width, wanted.height],
            "time_outs": list(wanted.time_outs),
        }
        try:
            with contextlib.suppress(OSError):  # who has died says nothing either
                hand.socket.sendall(json.dumps(told).encode() + b"\n")
            kind, body = self._message(hand)
        except _Left:
            raise SourceError("the source was closed before it was open") from None
        if kind != OPENED:
            raise self._over(hand, kind, body)
        opened: dict[str, Any] = json.loads(body)
        self.fps, self.live = float(opened["fps"]), bool(opened["live"])
        return self

    def __iter__(self) -> Iterator[Pixels]:
        """Frames in the size that was wanted. Raises SourceError as the source does, or where its process dies."""
        hand = self._hand
        if hand is None:
            return
        while True:
            try:
                kind, body = self._message(hand)
            except _Left:
                return
            if kind == ENDED:
                self._give_back(hand)
                return
            if kind != FRAME:
                raise self._over(hand, kind, body)
            at_s, pts_s, *size, width, height = SHAPE.unpack_from(body)
            pixels = np.frombuffer(body, np.uint8, offset=SHAPE.size).reshape(height, width, 3)
            self.taken = Taken(at_s, None if math.isnan(pts_s) else pts_s, (size[0], size[1]))
            yield pixels

    def close(self) -> None:
        """Returns at once, whatever the process hangs in, and frees who waits for a frame."""
        with self._lock:
            hand, self._hand = self._hand, None
        if hand is not None:
            self._hands.leave(hand)

    def abandon(self) -> None:
        """The same, and for ever: an opening that has not yet begun fails, too."""
        self._abandoned = True
        self.close()

    def _message(self, hand: _Hand) -> tuple[bytes, bytearray]:
        kind, length = HEAD.unpack(self._read(hand, HEAD.size))
        if length > _LONGEST:
            raise self._died(hand)
        return kind, self._read(hand, length)

    def _read(self, hand: _Hand, count: int) -> bytearray:
        data = bytearray(count)
        view, have = memoryview(data), 0
        while have < count:
            try:
                got = hand.socket.recv_into(view[have:])
            except OSError:
                got = 0
            if not got:
                raise _Left if self._hand is not hand else self._died(hand)
            have += got
        return data

    def _over(self, hand: _Hand, kind: bytes, body: bytearray) -> SourceError:
        self._give_back(hand)
        return _FAILURES.get(kind, SourceError)(body.decode(errors="replace"))

    def _give_back(self, hand: _Hand) -> None:
        with self._lock:
            mine, self._hand = self._hand is hand, None
        if mine:
            self._hands.give_back(hand)

    def _died(self, hand: _Hand) -> SourceError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            hand.process.wait(0.5)
        self.close()
        code = hand.process.returncode
        how = "was ended" if code is None else f"died (status {code})"
        return SourceError(f"the process that reads the source {how}; its decoder or driver may have crashed")
