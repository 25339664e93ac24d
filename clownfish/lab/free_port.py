"""Ports of loopback that nobody listens on now. One may be taken by the time that it is used, if rarely."""

from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path

_CONNECTIONS = Path("/proc/sys/net/ipv4/ip_local_port_range")
_TRIES = 1000
_LOWEST, _HIGHEST, _ENOUGH = 10_000, 65_535, 1000


def free_ports(count: int) -> list[int]:
    """So many different ones; where there is room for that, none that Linux gives to connections that others open."""
    first, last = _range()
    dice = random.SystemRandom()  # many processes look at once: each elsewhere
    with contextlib.ExitStack() as stack:
        found: list[int] = []
        for _ in range(_TRIES):
            if len(found) == count:
                return found
            bound = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                bound.bind(("127.0.0.1", dice.randint(first, last)))
                found.append(bound.getsockname()[1])
    raise OSError(f"loopback: found {len(found)} free ports between {first} and {last}; expected {count}")


def _range() -> tuple[int, int]:
    """Below or above those of connections, whichever are more."""
    try:
        first, last = map(int, _CONNECTIONS.read_text().split())
    except OSError:
        first, last = 32768, 60999  # as Linux has it by default
    widest = max(((_LOWEST, first - 1), (last + 1, _HIGHEST)), key=lambda found: found[1] - found[0])
    return widest if widest[1] - widest[0] > _ENOUGH else (_LOWEST, _HIGHEST)


def free_port() -> int:
    """One."""
    return free_ports(1)[0]


def free_endpoints(count: int) -> tuple[str, ...]:
    """So many, as ZeroMQ calls them."""
    return tuple(f"tcp://127.0.0.1:{port}" for port in free_ports(count))
