"""Ports of loopback that nobody listens on now. One may be taken by the time that it is used, if rarely."""

from __future__ import annotations

import contextlib
import socket


def free_ports(count: int) -> list[int]:
    """So many different ones."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def free_port() -> int:
    """One."""
    return free_ports(1)[0]


def free_endpoints(count: int) -> tuple[str, ...]:
    """So many, as ZeroMQ calls them."""
    return tuple(f"tcp://127.0.0.1:{port}" for port in free_ports(count))
