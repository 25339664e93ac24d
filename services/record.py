"""record: keeps everything that fusion saw and said, for `clownfish eval replay`; a process of its own, so that the
edge never waits for a disk."""

from __future__ import annotations

import asyncio
from pathlib import Path

from clownfish.errors import ConfigError
from clownfish.messages import Note, StreamKey
from clownfish.notes import RECORD
from clownfish.process import Process, run
from clownfish.recording import Recording
from clownfish.records import RecordHeader
from clownfish.settings import Config, Stream, to_tree
from clownfish.zoo import read_classes

_FLUSH_S = 1.0
_FLUSH_ROWS = 20_000
_SETTLE_S, _SETTLES = 0.1, 10
"""At the end: how long nothing more may have come before it is over, and how often that is waited for."""


def header_of(config: Config, key: StreamKey, stream: Stream | None) -> RecordHeader:
    """What the record of that stream and epoch begins with. Raises ModelError where the classes cannot be read."""
    sections = ("capture", "local", "filter", "uplink", "fusion")
    settings = {name: to_tree(getattr(config, name)) for name in sections}
    settings["stream"] = {}
    if stream is not None:
        # Not an address: it may hold a password, and a record is passed on.
        source = "" if "://" in stream.source else stream.source
        settings["stream"] = {"source": source, "fps": stream.fps, "pace": stream.pace, "seconds": stream.seconds}
    classes = read_classes(config.local.model) if config.local else ()
    return RecordHeader(key.stream, key.epoch, classes, config.window.size, config.window.stride, settings)


class _Record:
    def __init__(self, process: Process, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"record.folder {folder}: cannot be used ({error.strerror}); name another folder"
            ) from error
        self._process = process
        self._recording = Recording(folder, lambda key: header_of(process.config, key, process.lineup.get(key.stream)))
        self._inbox = process.bus.inbox(process.config.ipc(RECORD), "notes", (Note,), hwm=1000)
        self._failing = False
        process.before_status(lambda: process.counters.mirror(self._recording.counts))

    async def take(self) -> None:
        async for note in self._inbox:
            try:
                self._recording.note(note)
            except (OSError, ValueError) as error:
                self._complain(error)
            if self._recording.waiting >= _FLUSH_ROWS:
                self.flush()

    async def flush_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH_S)
            self.flush()

    def flush(self) -> None:
        error = self._recording.flush()
        if error is not None:
            self._complain(error)

    async def settle(self) -> None:
        """Wait until no more notes are on the way, and write them."""
        for _ in range(_SETTLES):
            before = self._recording.counts["notes"]
            await asyncio.sleep(_SETTLE_S)
            if self._recording.counts["notes"] == before:
                break
        self.flush()

    def _complain(self, error: Exception) -> None:
        self._process.counters.add('dropped{reason="disk"}')
        if not self._failing:
            self._failing = True
            self._process.log.error("the record is not whole: it cannot be written", error=str(error))


async def serve(process: Process) -> None:
    section = process.config.record
    if section is None:
        raise ConfigError("[record] is missing: it names the folder for records")
    service = _Record(process, Path(section.folder))
    works = [process.spawn(service.take()), process.spawn(service.flush_for_ever())]
    process.ready(section.folder)
    try:
        done, _ = await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
        for work in done:
            work.result()
    finally:
        await service.settle()


if __name__ == "__main__":
    run("record", serve)
