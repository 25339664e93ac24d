"""What a service says of the windows that are traced, when `[trace]` asks for it; never waited for (layer 2)."""

from __future__ import annotations

import time

from clownfish.bus import Outbox
from clownfish.messages import Event, Note, WindowKey
from clownfish.process import Process
from clownfish.spans import sampled

SOCKET = "trace"


class Tracer:
    """The events of one process."""

    def __init__(self, process: Process) -> None:
        self._service = process.service
        self._sequence = 0
        self._outbox: Outbox | None = None
        section = process.config.trace
        if section is not None:
            self._ratio = section.ratio
            self._outbox = process.bus.outbox(process.config.ipc(SOCKET), SOCKET, hwm=1000)

    def say(self, key: WindowKey, what: str, value: float | None = None) -> None:
        """Something happens to a window now; `spans` knows the words."""
        if self._outbox is not None and sampled(key, self._ratio):
            event = Event(*key, what, time.monotonic(), value)
            self._outbox.try_send(Note(self._service, 0, self._sequence, (event,)))
            self._sequence += 1
