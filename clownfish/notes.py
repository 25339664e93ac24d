"""What a service notes for the record of a live run, and for the page: numbered, and never waited for (layer 2).

Where a listener does not keep up, the note is lost for it and counted like any other drop; its number is used up, so
that the record shows the gap. Without `[record]` and `[page]` nothing is noted.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from clownfish.bus import Encoded, Outbox
from clownfish.messages import End, Event, Feature, FusedResult, LocalResult, Note, RemoteResult
from clownfish.process import Process

RECORD, PAGE = "record", "page"
"""Who may listen: sections of the configuration, and their sockets."""
_TOGETHER = 32
"""Messages in one note: the last windows of a stream are closed all at once."""

Noted = LocalResult | RemoteResult | FusedResult | End | Feature | Event


class Notes:
    """The notes of one process, to those of `listeners` that are configured."""

    def __init__(self, process: Process, listeners: Sequence[str] = (RECORD, PAGE)) -> None:
        self._service = process.service
        self._process = int.from_bytes(os.urandom(6), "little")
        self._sequence = 0
        self._outboxes: list[Outbox] = [
            process.bus.outbox(process.config.ipc(name), name, hwm=1000)
            for name in listeners
            if getattr(process.config, name) is not None
        ]

    @property
    def wanted(self) -> bool:
        """Whether anybody listens: what costs something to note is asked for then only."""
        return bool(self._outboxes)

    def take(self, messages: Sequence[Noted]) -> None:
        """Note what the process took, and what it gave, in that order. Returns at once."""
        if not self._outboxes:
            return
        for begin in range(0, len(messages), _TOGETHER):
            together = tuple(messages[begin : begin + _TOGETHER])
            note = Encoded(Note(self._service, self._process, self._sequence, together))
            for outbox in self._outboxes:
                outbox.try_send(note)
            self._sequence += 1
