"""What a service notes for the record of a live run: numbered, and never waited for (layer 2).

Where the record does not keep up, the note is lost and counted like any other drop; its number is used up, so that the
record shows the gap. Without `[record]` nothing is noted.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from clownfish.bus import Outbox
from clownfish.messages import End, Event, Feature, FusedResult, LocalResult, Note, RemoteResult
from clownfish.process import Process

SOCKET = "record"
_TOGETHER = 32
"""Messages in one note: the last windows of a stream are closed all at once."""

Noted = LocalResult | RemoteResult | FusedResult | End | Feature | Event


class Notes:
    """The notes of one process."""

    def __init__(self, process: Process) -> None:
        self._service = process.service
        self._process = int.from_bytes(os.urandom(6), "little")
        self._sequence = 0
        self._outbox: Outbox | None = None
        if process.config.record is not None:
            self._outbox = process.bus.outbox(process.config.ipc(SOCKET), SOCKET, hwm=1000)

    @property
    def wanted(self) -> bool:
        """Whether there is a record: what costs something to note is asked for then only."""
        return self._outbox is not None

    def take(self, messages: Sequence[Noted]) -> None:
        """Note what the process took, and what it gave, in that order. Returns at once."""
        if self._outbox is None:
            return
        for begin in range(0, len(messages), _TOGETHER):
            together = tuple(messages[begin : begin + _TOGETHER])
            self._outbox.try_send(Note(self._service, self._process, self._sequence, together))
            self._sequence += 1
