"""Files of chunks: whatever cuts or damages one, the whole chunks before it are read and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clownfish.chunks import append_chunk, cut_to_whole_chunks, pack_columns, read_chunks, unpack_columns

MAGIC = b"some chunks\n"
CHUNKS = [b"", b"a", b"b" * 100, b"c" * 3]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    for chunk in CHUNKS:
        append_chunk(path, MAGIC, chunk)
    return path


def test_what_was_appended_is_read_in_order(path: Path) -> None:
    assert read_chunks(path, MAGIC) == (CHUNKS, 0)


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_cut_file_is_read_up_to_its_last_whole_chunk_and_can_be_gone_on_with(path: Path, data: st.DataObject) -> None:
    whole = path.read_bytes()
    size = data.draw(st.integers(0, len(whole)))
    cut = path.with_name("cut")
    cut.write_bytes(whole[:size])
    chunks, rest = read_chunks(cut, MAGIC)
    assert chunks == CHUNKS[: len(chunks)]
    ends = [len(MAGIC) + sum(12 + len(chunk) for chunk in CHUNKS[:n]) for n in range(len(CHUNKS) + 1)]
    assert rest == (size - ends[len(chunks)] if size >= len(MAGIC) else size)
    assert rest < 12 + 100
    cut_to_whole_chunks(cut, MAGIC)
    append_chunk(cut, MAGIC, b"more")
    assert read_chunks(cut, MAGIC) == ([*chunks, b"more"], 0)


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_damaged_chunk_ends_what_is_trusted(path: Path, data: st.DataObject) -> None:
    whole = bytearray(path.read_bytes())
    at = data.draw(st.integers(len(MAGIC), len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    damaged = path.with_name("damaged")
    damaged.write_bytes(whole)
    chunks, rest = read_chunks(damaged, MAGIC)
    assert chunks == CHUNKS[: len(chunks)]
    assert len(chunks) < len(CHUNKS)
    assert rest > 0


def test_a_file_of_another_kind_is_refused(path: Path) -> None:
    with pytest.raises(ValueError, match="it begins with b'some chunks"):
        read_chunks(path, b"other\n")


def test_columns_come_out_as_they_went_in() -> None:
    columns = {"a.b": np.arange(3), "c": np.array(["x", "long text"]), "d": np.full((2, 2), np.nan, np.float32)}
    found = unpack_columns(pack_columns(columns))
    assert found.keys() == columns.keys()
    for name, column in columns.items():
        np.testing.assert_array_equal(found[name], column)
        assert found[name].dtype == column.dtype


def test_bytes_that_are_no_columns_are_refused() -> None:
    with pytest.raises(ValueError, match=r"no \.npz file"):
        unpack_columns(b"PK nonsense")
