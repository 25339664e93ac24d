"""What a killed sink knew of the events that were not final, for the process that takes its place (layer 1).

    FOLDER/STREAM-EPOCH.events      two slots of 64 KiB, written in turn: uint32 length, uint32 CRC-32, uint64 how many
                                    times it was written; JSON

A slot that a killed process left torn does not pass its CRC, and the other one holds. Nothing is forced to the disk: a
cut of power may take the last seconds, and then those events begin anew. A file without a whole slot, or that cannot
be read, is counted, and removed where that can be.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from clownfish.messages import StreamKey

_HEADER = struct.Struct("<IIQ")
_SLOT_BYTES = 64 * 1024
_OPEN = 256
"""Descriptors kept."""


class EventStates:
    """One file for each epoch that is open. A disk that takes none costs what it would have saved, and is counted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[StreamKey, tuple[int, int]] = {}
        """Descriptor, and how often it was written."""
        self.failures = 0
        """Snapshots that could not be kept."""
        self.damaged = 0
        """Files that were found and held none."""

    def found(self) -> Iterator[tuple[StreamKey, Mapping[str, Any]]]:
        """What is there, and can be read."""
        for path in sorted(self._folder.glob("*.events")):
            stream, _, epoch = path.stem.rpartition("-")
            newest = _newest(path) if epoch.isdecimal() else None
            if newest is not None:
                yield StreamKey(stream, int(epoch)), newest[1]
            else:
                self.damaged += 1
                _remove(path)

    def keep(self, key: StreamKey, snapshot: Mapping[str, Any]) -> None:
        """In the place of the one before."""
        data = json.dumps(snapshot, separators=(",", ":")).encode()
        try:
            descriptor, times = self._files.get(key) or self._open(key)
            if len(data) + _HEADER.size > _SLOT_BYTES:
                raise OSError("a snapshot larger than its slot")
            packed = struct.pack("<Q", times + 1)
            header = _HEADER.pack(len(data), zlib.crc32(data, zlib.crc32(packed)), times + 1)
            os.pwrite(descriptor, header + data, times % 2 * _SLOT_BYTES)
            self._files[key] = (descriptor, times + 1)
        except OSError:
            self.failures += 1

    def forget(self, key: StreamKey) -> None:
        """The epoch is over."""
        found = self._files.pop(key, None)
        if found is not None:
            os.close(found[0])
        _remove(self._path(key))

    def close(self) -> None:
        for descriptor, _ in self._files.values():
            os.close(descriptor)
        self._files.clear()

    def _path(self, key: StreamKey) -> Path:
        return self._folder / f"{key.stream}-{key.epoch}.events"

    def _open(self, key: StreamKey) -> tuple[int, int]:
        while len(self._files) >= _OPEN:
            os.close(self._files.pop(next(iter(self._files)))[0])
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(key)
        newest = _newest(path)  # of the process before
        times = 0 if newest is None else newest[0]
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), times


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def _newest(path: Path) -> tuple[int, Mapping[str, Any]] | None:
    """The newer one of its slots that is whole, and how often the file had been written then; None: there is none."""
    best: tuple[int, Mapping[str, Any]] | None = None
    try:
        data = path.read_bytes()
    except OSError:
        return None
    for at in (0, _SLOT_BYTES):
        if at + _HEADER.size > len(data):
            continue
        length, crc, times = _HEADER.unpack_from(data, at)
        body = data[at + _HEADER.size : at + _HEADER.size + length]
        whole = len(body) == length and zlib.crc32(body, zlib.crc32(struct.pack("<Q", times))) == crc
        if whole and length and (best is None or times > best[0]):
            best = (times, json.loads(body))
    return best
