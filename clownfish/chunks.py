"""Files of chunks: whole ones are appended, and whole ones are read, whatever killed the writer (layer 1).

A file is a line that says what it is, then chunks: length and CRC-32 (little-endian, 8 and 4 bytes), then so many
bytes. What follows the last whole chunk, as a killed process or a full disk leaves it, is not trusted.
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_PREFIX = struct.Struct("<QI")

Columns = Mapping[str, npt.NDArray[Any]]


def append_chunk(path: Path, magic: bytes, payload: bytes) -> None:
    """Append a chunk, or nothing: what a full disk took of it is cut off again. Raises OSError."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        before = os.fstat(fd).st_size
        data = memoryview((b"" if before else magic) + _PREFIX.pack(len(payload), zlib.crc32(payload)) + payload)
        try:
            while data:
                data = data[os.write(fd, data) :]
        except OSError:
            os.ftruncate(fd, before)
            raise
    finally:
        os.close(fd)


def read_chunks(path: Path, magic: bytes) -> tuple[list[bytes], int]:
    """The payloads of all whole chunks, oldest first, and how many bytes follow the last one.

    Raises OSError, and ValueError where the file is not of this kind.
    """
    data = path.read_bytes()
    if data[: len(magic)] != magic:
        if magic.startswith(data):
            return [], len(data)  # killed in its first line
        raise ValueError(f"it begins with {data[:24]!r}, expected {magic!r}")
    at, chunks = len(magic), []
    while len(data) - at >= _PREFIX.size:
        length, checksum = _PREFIX.unpack_from(data, at)
        begin = at + _PREFIX.size
        payload = data[begin : begin + length]
        if len(payload) < length or zlib.crc32(payload) != checksum:
            break
        chunks.append(payload)
        at = begin + length
    return chunks, len(data) - at


def cut_to_whole_chunks(path: Path, magic: bytes) -> None:
    """Cut off what follows the last whole chunk, so that more can be appended. Raises OSError or ValueError."""
    _, rest = read_chunks(path, magic)
    if rest:
        os.truncate(path, path.stat().st_size - rest)


def pack_columns(columns: Columns) -> bytes:
    """Columns as the bytes of an .npz file."""
    file = io.BytesIO()
    np.savez(file, **columns)  # type: ignore[arg-type]
    return file.getvalue()


def unpack_columns(payload: bytes) -> dict[str, npt.NDArray[Any]]:
    """Raises ValueError where the bytes are no .npz file of plain arrays."""
    try:
        with np.load(io.BytesIO(payload), allow_pickle=False) as arrays:
            return dict(arrays)
    except (zipfile.BadZipFile, EOFError, KeyError, OSError) as error:
        raise ValueError(f"is no .npz file: {error}") from error
