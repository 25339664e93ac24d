"""A dump in the making: chunks appended to one file (`chunks`), so that a killed dump goes on from the last whole one.

The first chunk is the dump's header as JSON, every other one the columns of some windows. What follows the last whole
chunk is cut off and not trusted.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import asdict
from pathlib import Path

from clownfish.chunks import Columns, append_chunk, pack_columns, read_chunks, unpack_columns
from clownfish.errors import DatasetError
from clownfish.evaluation.dump import Header, differences

MAGIC = b"clownfish dump in the making\n"


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
        self._held = path.open("rb")
        try:
            self._begin(header)
        except BaseException:
            self._held.close()
            raise

    def _begin(self, header: Header) -> None:
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DatasetError(f"{self.path}: another process is making this dump; wait until it is done") from error
        try:
            whole, rest = read_chunks(self.path, MAGIC)
        except ValueError:  # it is something else, and nothing of it is wanted
            whole, rest = [], 0
        if not whole:
            os.truncate(self.path, 0)
            append_chunk(self.path, MAGIC, header.to_json().encode())
            return
        if whole[0].decode() != header.to_json():
            clauses = differences(json.loads(whole[0]), json.loads(json.dumps(asdict(header))))
            raise DatasetError(
                f"{self.path}: is the beginning of another dump: {'; '.join(clauses)}. Delete it, or dump with these "
                "models and parameters"
            )
        os.truncate(self.path, self.path.stat().st_size - rest)
        self.chunks += map(unpack_columns, whole[1:])

    def append(self, chunk: Columns) -> None:
        """Add one more chunk. Raises OSError."""
        append_chunk(self.path, MAGIC, pack_columns(chunk))
        self.chunks.append(chunk)

    def close(self, delete: bool = False) -> None:
        """Let go of the file; `delete` it where nothing is to go on from."""
        if delete:
            self.path.unlink(missing_ok=True)
        self._held.close()
