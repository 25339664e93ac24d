"""Lineup: the streams that a graph has now, as each of its processes knows them (layer 1).

A running graph takes streams on and lets them go. The supervisor writes the whole configuration anew each time, at one
stroke; a process looks whether it did when it meets a stream that it does not know, and once a second. So nobody has to
be told, nothing told can be lost, and a process that was killed begins with the streams of now.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from clownfish.errors import ConfigError
from clownfish.gains import OTHER, STREAMS
from clownfish.settings import Config, Stream, load_validated


class Lineup:
    """`path`: the file that the supervisor writes. Any other (a TOML file, none) stays as it was read."""

    def __init__(self, config: Config, path: str = "") -> None:
        self._path = Path(path) if path.endswith(".json") else None
        self._seen: tuple[int, int] | None = None
        self._followers: list[Callable[[], None]] = []
        self._take(config)

    def _take(self, config: Config) -> None:
        self.streams: dict[str, Stream] = {stream.name: stream for stream in config.streams}
        """In the order of the configuration, those that were added behind."""
        self.own: frozenset[str] = frozenset(list(self.streams)[:STREAMS])
        """Streams that have figures of their own."""

    def follow(self, tell: Callable[[], None]) -> None:
        """Call `tell` whenever the streams have changed."""
        self._followers.append(tell)

    def get(self, name: str) -> Stream | None:
        """The stream of that name; None where the graph has none, or none any more."""
        if name not in self.streams:
            self.refresh()
        return self.streams.get(name)

    def label(self, name: str) -> str:
        """What figures call it."""
        return name if name in self.own else OTHER

    def refresh(self) -> None:
        """Look whether the supervisor has written since."""
        if self._path is None:
            return
        with contextlib.suppress(
            OSError, ConfigError
        ):  # the run folder goes when the graph does: then all stays as it is
            status = self._path.stat()
            seen = (status.st_ino, status.st_mtime_ns)
            if seen == self._seen:
                return
            self._seen = seen
            before = list(self.streams.values())
            self._take(load_validated(self._path))
            if list(self.streams.values()) != before:
                for tell in self._followers:
                    tell()
