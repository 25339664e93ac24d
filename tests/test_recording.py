"""From notes to record files: what is in them, what is lost shows, and what is no record is refused."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clownfish import recording as module
from clownfish.chunks import append_chunk, read_chunks
from clownfish.errors import DatasetError
from clownfish.messages import End, Event, Feature, FusedResult, LocalResult, Note, RemoteResult, StreamKey
from clownfish.recording import BEGAN, Recording
from clownfish.records import MAGIC, RESTARTED, TABLES, read_record, record_name
from tests.live_runs import CLASSES, KEY, LiveRun, header

P = np.array([0.5, 0.25, 0.25], np.float32)


def local(t: int, key: StreamKey = KEY) -> LocalResult:
    return LocalResult(*key, t, P, None if t == 0 else 0.1, 7, 8)


def answer(t: int, key: StreamKey = KEY) -> FusedResult:
    return FusedResult(*key, t, 0, P.astype(np.float64), "bow", 0.5, None, 0.25, 0.0, None, "local", False)


def test_what_was_noted_is_in_the_columns(tmp_path: Path) -> None:
    recording = Recording(tmp_path, header)
    begin = Event(*KEY, 0, BEGAN, 1.0, None)
    recording.note(Note("fusion", 1, 0, (begin,)))
    recording.note(Note("fusion", 1, 1, (local(0), answer(0))))
    recording.note(Note("local", 2, 0, (Feature(*KEY, 0, np.arange(5, dtype=np.float32)),)))
    recording.flush()
    recording.note(
        Note("filter", 3, 0, (Event(*KEY, 0, "window", 2.5, None), Event(*KEY, 0, "sent periodic", 2.5, None)))
    )
    recording.note(Note("uplink", 4, 0, (Event(*KEY, 0, "sent", 3.5, 1234.0),)))
    recording.note(Note("fusion", 1, 2, (RemoteResult(*KEY, 0, P, "m"), answer(0), End(*KEY, 9, "over"))))
    recording.flush()
    record = read_record(tmp_path / record_name(*KEY))
    assert record.header == header()
    assert record.column("step", "kind").tolist() == [0, 1, 3, 2, 3, 4]
    assert record.column("local", "p").dtype == np.float32
    np.testing.assert_array_equal(record.column("local", "p"), [P])
    assert np.isnan(record.column("local", "rho")).all()
    assert record.column("answer", "lag").tolist() == [-1, -1]
    assert record.column("feature", "feature").tolist() == [[0, 1, 2, 3, 4]]
    assert record.column("filter", "what").tolist() == ["window", "sent periodic"]
    assert record.column("uplink", "value").tolist() == [1234]
    assert (record.column("end", "frames").tolist(), record.column("end", "reason").tolist()) == ([9], ["over"])
    assert not record.lost
    assert record.cut_bytes == 0


def test_each_stream_and_epoch_has_a_file_of_its_own(tmp_path: Path) -> None:
    recording = Recording(tmp_path, header)
    keys = [StreamKey("a", 1), StreamKey("a", 2), StreamKey("b", 1)]
    recording.note(Note("fusion", 1, 0, tuple(local(n, key) for n, key in enumerate(keys))))
    recording.flush()
    for n, key in enumerate(keys):
        assert read_record(tmp_path / record_name(*key)).column("local", "t").tolist() == [n]
    assert len(list(tmp_path.iterdir())) == 3


def test_a_lost_note_is_put_down_in_every_open_record_and_in_no_later_one(tmp_path: Path) -> None:
    recording = Recording(tmp_path, header)
    other, later = StreamKey("b", 1), StreamKey("c", 1)
    recording.note(Note("fusion", 1, 0, (local(0), local(0, other))))
    recording.note(Note("fusion", 1, 3, (local(1),)))
    recording.note(Note("fusion", 1, 4, (local(0, later),)))
    recording.flush()
    assert [read_record(tmp_path / record_name(*key)).lost for key in (KEY, other, later)] == [
        {"fusion": 2},
        {"fusion": 2},
        {},
    ]
    assert recording.counts["notes_lost"] == 2


def test_a_new_process_of_a_service_counts_from_zero_and_its_beginning_can_be_lost(tmp_path: Path) -> None:
    recording = Recording(tmp_path, header)
    window = Event(*KEY, 0, "window", 0.0, None)
    for process, sequence in ((1, 0), (1, 1), (2, 0), (2, 1)):
        recording.note(Note("filter", process, sequence, (window,)))
    recording.note(Note("uplink", 3, 5, (window,)))
    recording.flush()
    record = read_record(tmp_path / record_name(*KEY))
    assert record.lost == {"uplink": 5}
    assert record.column("filter", "what").tolist() == ["window", "window", RESTARTED, "window", "window"]


def test_a_record_that_was_begun_by_another_process_is_gone_on_with_and_is_not_whole(tmp_path: Path) -> None:
    first = Recording(tmp_path, header)
    first.note(Note("fusion", 1, 0, (local(0),)))
    first.flush()
    path = tmp_path / record_name(*KEY)
    with path.open("ab") as file:
        file.write(b"half a chunk")
    second = Recording(tmp_path, header)
    second.note(Note("fusion", 1, 9, (local(1),)))
    second.flush()
    record = read_record(path)
    assert record.column("local", "t").tolist() == [0, 1]
    assert record.lost == {"record": 1, "fusion": 9}


def test_the_record_that_was_used_longest_ago_makes_room(tmp_path: Path) -> None:
    recording = Recording(tmp_path, header, capacity=2)
    keys = [StreamKey(name, 1) for name in "abc"]
    for n, key in enumerate(keys):
        recording.note(Note("fusion", 1, n, (local(0, key),)))
    assert read_record(tmp_path / record_name(*keys[0])).rows("local") == 1, "written without a flush"
    recording.flush()
    assert all(not read_record(tmp_path / record_name(*key)).lost for key in keys)


def test_what_a_full_disk_does_not_take_is_lost_and_put_down_when_it_takes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = Recording(tmp_path, header)
    recording.note(Note("fusion", 1, 0, (local(0),)))
    recording.flush()

    def full(path: Path, magic: bytes, payload: bytes) -> None:
        raise OSError(28, "No space left on device")

    recording.note(Note("fusion", 1, 1, (local(1),)))
    with monkeypatch.context() as patched:
        patched.setattr(module, "append_chunk", full)
        error = recording.flush()
    assert error is not None
    assert error.errno == 28
    recording.note(Note("fusion", 1, 2, (local(2),)))
    assert recording.flush() is None
    record = read_record(tmp_path / record_name(*KEY))
    assert record.column("local", "t").tolist() == [0, 2]
    assert record.lost == {"record": 2}, "a step and a window"


def test_a_vector_of_another_size_is_refused_and_the_record_is_not_whole(tmp_path: Path) -> None:
    recording = Recording(tmp_path, header)
    for sequence, size in enumerate((5, 6, 5)):
        recording.note(Note("local", 1, sequence, (Feature(*KEY, sequence, np.zeros(size, np.float32)),)))
    recording.flush()
    record = read_record(tmp_path / record_name(*KEY))
    assert record.column("feature", "t").tolist() == [0, 2]
    assert record.lost == {"feature": 1}


def test_a_run_that_is_killed_leaves_what_was_flushed(tmp_path: Path) -> None:
    recording = Recording(tmp_path, header)
    for t in range(3):
        recording.note(Note("fusion", 1, t, (local(t),)))
        recording.flush()
    path = tmp_path / record_name(*KEY)
    os.truncate(path, path.stat().st_size - 1)
    record = read_record(path)
    assert record.column("local", "t").tolist() == [0, 1]
    assert record.cut_bytes > 0


def test_a_record_without_rows_has_empty_columns(tmp_path: Path) -> None:
    path = tmp_path / "x.record"
    append_chunk(path, MAGIC, header().chunk())
    record = read_record(path)
    assert {table: record.rows(table) for table in TABLES} == dict.fromkeys(TABLES, 0)
    assert record.column("local", "p").shape == (0, len(CLASSES))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", r"is empty \(0 bytes"),
        (MAGIC, "no whole chunk"),
        (b"{}", "is no record of a live run: it begins with"),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_record_is_refused(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "x.record"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatasetError, match=said):
        read_record(path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": "clownfish-record/9"}, "format is 'clownfish-record/9', expected 'clownfish-record/1'"),
        ({"colour": "red"}, "header holds .*colour"),
        ({"classes": ["bow", "clap"]}, "the header names 2 classes"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    LiveRun(Recording(tmp_path, header)).run()
    chunks, _ = read_chunks(tmp_path / record_name(*KEY), MAGIC)
    path = tmp_path / "changed.record"
    for chunk in (json.dumps({**json.loads(chunks[0]), **changes}).encode(), *chunks[1:]):
        append_chunk(path, MAGIC, chunk)
    with pytest.raises(DatasetError, match=said):
        read_record(path)


def test_tables_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "twice.record"
    append_chunk(path, MAGIC, header().chunk())
    other = Recording(tmp_path / "other", lambda key: replace(header(), stream=key.stream))
    other.note(Note("fusion", 1, 0, (local(0),)))
    other._epochs[KEY].tables["step"].clear()
    other.flush()
    append_chunk(path, MAGIC, read_chunks(tmp_path / "other" / record_name(*KEY), MAGIC)[0][1])
    with pytest.raises(DatasetError, match="1 rows of local for 0 steps"):
        read_record(path)
