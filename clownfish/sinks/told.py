"""Of which streams a broker was told: what it retains of them has to be taken back when they go (layer 1)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from clownfish.atomic import write_text


class ToldOf:
    """The streams of which a broker may retain something, in a file that outlives the process."""

    def __init__(self, path: Path, tell: Callable[[str], None]) -> None:
        """A file that cannot be read is said, and taken for none: what it named stays with the broker."""
        self._path = path
        self._tell = tell
        self.streams: set[str] = set()
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
                raise ValueError("expected a list of names")
            self.streams.update(found)
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            tell(f"{path}: cannot be read ({error}); what brokers retain of streams that are gone stays there")

    def add(self, streams: Iterable[str]) -> None:
        if new := {*streams} - self.streams:
            self._become(self.streams | new)

    def remove(self, streams: Iterable[str]) -> None:
        self._become(self.streams - {*streams})

    def _become(self, streams: set[str]) -> None:
        self.streams = streams
        try:
            write_text(self._path, json.dumps(sorted(streams)))
        except OSError as error:
            self._tell(
                f"{self._path}: cannot be written ({error.strerror}); a stream that goes may stay with the broker"
            )
