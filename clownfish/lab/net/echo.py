"""ping, for a machine without it: ICMP echo requests at a steady pace, and when the kernel got each answer.

The other end's kernel answers, so nobody there has to listen. Answers carry the kernel's own time stamps: a busy
machine may read them late, which would be our delay and not the network's.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_REQUEST, _REPLY = 8, 0
_SO_TIMESTAMPNS = 35
_HEADER = struct.Struct("!BBHHH")
_PADDING = bytes(56)
MESSAGE_BYTES = 20 + _HEADER.size + len(_PADDING)
"""Of a request, and of its answer, as IP packets: what ping sends."""
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Echoes:
    """What came of a number of requests, in the order they were sent."""

    sent_s: Floats
    """(requests,) time.monotonic() when each was sent."""
    rtt_ms: Floats
    """(requests,) NaN where none came back."""

    @property
    def lost(self) -> int:
        return int(np.isnan(self.rtt_ms).sum())


def open_echo() -> socket.socket:
    """A raw ICMP socket in this thread's namespace, with time stamps. Raises OSError unless root."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    opened.setblocking(False)
    return opened


def echo(opened: socket.socket, address: str, count: int, interval_s: float, wait_s: float) -> Echoes:
    """Send `count` requests, one each `interval_s`; the last answers may take `wait_s`."""
    identity = int.from_bytes(os.urandom(2), "big")
    sent_ns = np.zeros(count, np.int64)
    sent_s, rtt_ms = np.zeros(count), np.full(count, np.nan)
    begin = time.monotonic()
    number, end = 0, begin + count * interval_s
    while True:
        now = time.monotonic()
        if number < count and now >= begin + number * interval_s:
            request = _request(identity, number)
            sent_s[number], sent_ns[number] = time.monotonic(), time.time_ns()
            opened.sendto(request, (address, 0))
            number += 1
            end = time.monotonic() + wait_s  # of the last one, however late this process could send it
            continue
        due = begin + number * interval_s if number < count else end
        if select.select([opened], [], [], max(0.0, due - now))[0]:
            _read(opened, identity, sent_ns, rtt_ms)
        elif now >= end and number == count:
            return Echoes(sent_s, rtt_ms)
        if number == count and not np.isnan(rtt_ms).any():
            return Echoes(sent_s, rtt_ms)


def _request(identity: int, number: int) -> bytes:
    head = _HEADER.pack(_REQUEST, 0, 0, identity, number)
    return _HEADER.pack(_REQUEST, 0, _checksum(head + _PADDING), identity, number) + _PADDING


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def _read(opened: socket.socket, identity: int, sent_ns: npt.NDArray[np.int64], rtt_ms: Floats) -> None:
    """Read all that is there."""
    while True:
        try:
            packet, ancillary, _, _ = opened.recvmsg(2048, 128)
        except BlockingIOError:
            return
        body = packet[(packet[0] & 0x0F) * 4 :]
        kind, _, _, whose, number = _HEADER.unpack_from(body)
        if kind != _REPLY or whose != identity or not number < len(sent_ns) or not np.isnan(rtt_ms[number]):
            continue
        stamps = [data for level, what, data in ancillary if (level, what) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS)]
        seconds, nanoseconds = struct.unpack("qq", stamps[0])
        rtt_ms[number] = (seconds * 1_000_000_000 + nanoseconds - int(sent_ns[number])) / 1e6
