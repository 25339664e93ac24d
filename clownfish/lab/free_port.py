"""Ports of loopback that nobody listens on now. One may be taken by the time that it is used, if rarely."""

from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path

_TRIES = 1000


def free_ports(count: int) -> list[int]:
    """So many different ones, none that Linux would give to a connection that somebody opens meanwhile."""
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
    """Beside what connections get where Linux says that; else any."""
    try:
        first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    except OSError:
        first, last = 32768, 60999
    return max(((10000, first - 1), (last + 1, 65535)), key=lambda found: found[1] - found[0])


def free_port() -> int:
    """One."""
    return free_ports(1)[0]


def free_endpoints(count: int) -> tuple[str, ...]:
    """So many, as ZeroMQ calls them."""
    return tuple(f"tcp://127.0.0.1:{port}" for port in free_ports(count))
