"""A port of loopback that nobody listens on now."""

from __future__ import annotations

import socket


def free_port() -> int:
    """It may be taken by the time that it is used, if rarely."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
