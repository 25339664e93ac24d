"""What systemd wants to hear from a service of `Type=notify`: READY, WATCHDOG, STATUS, STOPPING (layer 2).

sd_notify(3) in a few lines: datagrams to the socket that NOTIFY_SOCKET names, which may be abstract. Without one
nothing is said. Nothing here can fail the service: systemd that does not listen is systemd's trouble.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping

VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
"""What systemd sets for the service itself; its children must not answer in its place."""


class Notifier:
    """Says how the service fares. `environment`: in place of os.environ."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        pid = environment.get("WATCHDOG_PID", "")
        micros = environment.get("WATCHDOG_USEC", "")
        mine = not pid or pid == str(os.getpid())
        self.watchdog_s: float | None = int(micros) / 1e6 if micros.isdigit() and int(micros) and mine else None
        """Within this the watchdog must be fed; None: it sleeps."""
        self._said: dict[str, str] = {}

    def say(self, **fields: str) -> None:
        """Send what has changed since it was last said: `say(READY="1", STATUS="…")`."""
        news = {key: value.replace("\n", "; ") for key, value in fields.items()}
        news = {key: value for key, value in news.items() if self._said.get(key) != value}
        if self._send(news):  # else it is said the next time
            self._said |= news

    def feed(self) -> None:
        """The watchdog is fed."""
        if self.watchdog_s is not None:
            self._send({"WATCHDOG": "1"})

    def _send(self, fields: Mapping[str, str]) -> bool:
        if not self._address or not fields:
            return False
        message = "\n".join(f"{key}={value}" for key, value in fields.items()).encode()
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.setblocking(False)
            out.sendto(message, self._address)
            return True
        return False
