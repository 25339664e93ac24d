"""A dump in the making: chunks appended to one file, each with its checksum, so that a killed dump goes on from the
last whole one.

The file is a line that says what it is, then records: length and CRC-32 (little-endian, 8 and 4 bytes), then so many
bytes. The first record is the dump's header as JSON, every other one the columns of a chunk of windows (.npz). What
follows the last whole record, as a killed process or a full disk leaves it, is cut off and not trusted.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from clownfish.errors import DatasetError
from clownfish.evaluation.dump import Header, differences

MAGIC = b"clownfish dump in the making\n"
_PREFIX_BYTES = 12

Columns = Mapping[str, npt.NDArray[Any]]


class Journal:
    """The chunks of one dump that are on the disk. One process at a time holds it open."""

    def __init__(self, path: Path, header: Header) -> None:
        """Open, and read what is whole. Raises DatasetError where another process makes the same dump, or where the
        file is of another dump (every difference named), and OSError where it cannot be written."""
        self.path = path
        self.chunks: list[Columns] = []
        """Oldest first."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        self._file: BinaryIO = path.open("r+b")
        try:
            self._begin(header)
        except BaseException:
            self._file.close()
            raise

    def _begin(self, header: Header) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DatasetError(f"{self.path}: another process is making this dump; wait until it is done") from error
        if self._file.read(len(MAGIC)) == MAGIC:
            self._read(header)
        if self._file.tell() < len(MAGIC) + _PREFIX_BYTES:
            self._file.seek(0)
            self._file.truncate()
            self._file.write(MAGIC)
            self._write(header.to_json().encode())
        self._file.truncate()

    def _read(self, header: Header) -> None:
        """The whole records; afterwards the file stands where the next one goes: at its start where not even the
        header is whole."""
        first = self._record()
        if first is None:
            self._file.seek(0)
            return
        found = json.loads(first)
        if first.decode() != header.to_json():
            clauses = differences(found, json.loads(json.dumps(asdict(header))))
            raise DatasetError(
                f"{self.path}: is the beginning of another dump: {'; '.join(clauses)}. Delete it, or dump with these "
                "models and parameters"
            )
        while True:
            at = self._file.tell()
            record = self._record()
            if record is None:
                self._file.seek(at)
                return
            with np.load(io.BytesIO(record), allow_pickle=False) as arrays:
                self.chunks.append({name: arrays[name] for name in arrays.files})

    def _record(self) -> bytes | None:
        """The next record, or None where it is not whole."""
        prefix = self._file.read(_PREFIX_BYTES)
        length = int.from_bytes(prefix[:8], "little")
        if len(prefix) < _PREFIX_BYTES or length > os.fstat(self._file.fileno()).st_size:
            return None
        content = self._file.read(length)
        whole = len(content) == length and zlib.crc32(content) == int.from_bytes(prefix[8:], "little")
        return content if whole else None

    def append(self, chunk: Columns) -> None:
        """Bring one more chunk to the disk. Raises OSError."""
        content = io.BytesIO()
        np.savez(content, allow_pickle=False, **chunk)
        self._write(content.getvalue())
        self.chunks.append(chunk)

    def _write(self, content: bytes) -> None:
        self._file.write(len(content).to_bytes(8, "little") + zlib.crc32(content).to_bytes(4, "little") + content)
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self, delete: bool = False) -> None:
        """Let go of the file; `delete` it where nothing is to go on from."""
        if delete:
            self.path.unlink(missing_ok=True)
        self._file.close()
