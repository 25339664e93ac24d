"""The sinks for analysis, `sqlite` and `parquet`: what is in them, read as others read them."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clownfish.errors import SinkError
from clownfish.messages import End
from clownfish.sinks.sqlite import Sqlite
from tests.disks import file_size_limit, small_disk
from tests.sink_targets import event, result, rows

__all__ = ["file_size_limit", "small_disk"]  # fixtures

END = End("dev00", 7, 100, "end")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "answers.sqlite"


# -- sqlite


def test_the_newest_revision_of_each_row_wins_in_whatever_order_they_come(path: Path) -> None:
    sink = Sqlite(str(path))
    for revision, label in ((0, "Archery"), (2, "Basketball"), (1, "BabyCrawling"), (2, "Archery")):
        sink.write(result(4, label, revision=revision, lag=3 if revision else None))
        sink.write(event(4, label, revision=revision))
    sink.write(result(5))
    assert rows(path, "SELECT t, revision, label, lag FROM results") == [
        (4, 2, "Basketball", 3),
        (5, 0, "Archery", None),
    ]
    assert rows(path, "SELECT id, revision, label FROM events") == [("dev00/7/4", 2, "Basketball")]
    sink.close()
    sink.close()


def test_a_row_is_the_whole_record(path: Path) -> None:
    sink = Sqlite(str(path))
    sink.write(result(1))
    sink.write(event(2, state="ended", final=True, end_frame=60, end_s=2.0))
    (values,) = rows(path, "SELECT stream, epoch, final, rho, alpha, beta, json_extract(p, '$[0]') FROM results")
    assert values == ("dev00", 7, 0, 0.25, 0.5, 0.0, 0.8)
    (values,) = rows(path, "SELECT start_frame, end_frame, end_s, state, final, confidence, source FROM events")
    assert values == (20, 60, 2.0, "ended", 1, 0.75, "edge")
    ((said_at,),) = rows(path, "SELECT said_at FROM events")
    assert abs(time.time() - int(rows(path, f"SELECT strftime('%s', '{said_at}')")[0][0])) < 60
    sink.close()


def test_it_is_read_while_it_is_written_and_a_reader_holds_up_nobody(path: Path) -> None:
    sink = Sqlite(str(path))
    sink.write(result(0))
    reader = sqlite3.connect(path)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM results").fetchone() == (1,)
    for t in range(1, 50):
        sink.write(result(t))
    assert reader.execute("SELECT count(*) FROM results").fetchone() == (1,)  # its own moment
    reader.close()
    assert rows(path, "SELECT count(*) FROM results") == [(50,)]
    sink.close()


def test_another_writer_costs_a_row_and_is_not_waited_for_long(path: Path) -> None:
    sink = Sqlite(str(path))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(SinkError, match="locked"):
        sink.write(result(0))
    other.execute("ROLLBACK")
    other.close()
    sink.write(result(1))
    assert rows(path, "SELECT t FROM results") == [(1,)]
    sink.close()


def test_a_killed_process_leaves_every_row_that_it_wrote(path: Path) -> None:
    program = (
        "import sys, os, signal, numpy as np\n"
        "from clownfish.messages import FusedResult; from clownfish.sinks.sqlite import Sqlite\n"
        "sink = Sqlite(sys.argv[1])\n"
        "for t in range(50):\n"
        "    sink.write(FusedResult('dev00', 7, t, 0, np.ones(1), 'a', 1.0, None, 1.0, 0.0, None, 'local', False))\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], cwd=Path(__file__).parents[1], timeout=60)
    assert done.returncode == -signal.SIGKILL
    sink = Sqlite(str(path))
    sink.write(result(50))
    assert rows(path, "SELECT count(*), max(t) FROM results") == [(51, 50)]
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    sink.close()


def test_a_full_disk_is_an_error_per_row_and_the_file_stays_whole(small_disk: Path) -> None:
    sink = Sqlite(str(small_disk / "answers.sqlite"))
    failures = written = 0
    for t in range(6000):
        try:
            sink.write(result(t))
            written += 1
        except SinkError:
            failures += 1
            if failures > 3:
                break
    assert failures > 3
    assert rows(small_disk / "answers.sqlite", "SELECT count(*) FROM results") == [(written,)]
    sink.close()


def test_old_rows_are_removed(path: Path) -> None:
    sink = Sqlite(str(path))
    sink.write(result(0))
    sink.write(event(0))
    sink.close()
    database = sqlite3.connect(path)
    for table in ("results", "events"):
        database.execute(f"UPDATE {table} SET said_at = '2020-01-01T00:00:00.000Z'")
    database.commit()
    database.close()
    sink = Sqlite(str(path), keep_days=1)
    sink.write(result(1))
    sink.close()
    assert rows(path, "SELECT t FROM results") == [(1,)]
    assert rows(path, "SELECT count(*) FROM events") == [(0,)]


def test_a_file_that_is_no_database_is_left_alone_and_said(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("not a database, " * 100)
    for path in (tmp_path / "notes", tmp_path, tmp_path / "notes" / "below"):
        with pytest.raises(SinkError, match="cannot be used as a database"):
            Sqlite(str(path))
    assert (tmp_path / "notes").read_text().startswith("not a database")
    with pytest.raises(ValueError, match="keep_days"):
        Sqlite(str(tmp_path / "x"), keep_days=-1)


# -- parquet


def read(folder: Path) -> list[dict[str, object]]:
    """As pyarrow reads a folder of partitions: by stream, then as written."""
    dataset = pytest.importorskip("pyarrow.dataset")
    return dataset.dataset(folder, partitioning="hive").to_table().to_pylist()  # type: ignore[no-any-return]


@pytest.fixture
def parquet() -> Callable[..., Any]:
    pytest.importorskip("pyarrow", reason="the extra `parquet` is not installed")
    from clownfish.sinks.parquet import Parquet

    return Parquet


NOON = 1_769_860_800.0
"""2026-01-31, 12:00 UTC."""


def test_a_file_appears_when_its_rows_are_there_by_day_and_stream(parquet: Callable[..., Any], tmp_path: Path) -> None:
    clock = [NOON]
    sink = parquet(str(tmp_path), rows=3, now=lambda: clock[0])
    for t in range(4):
        sink.write(result(t))
    sink.write(event(1, stream="yard"))
    files = sorted(file.relative_to(tmp_path).parent.as_posix() for file in tmp_path.rglob("*.parquet"))
    assert files == ["results/day=2026-01-31/stream=dev00"]
    assert [row["t"] for row in read(tmp_path / "results")] == [0, 1, 2]
    clock[0] += 24 * 3600
    sink.write(result(4))
    sink.end(END)
    assert [(row["t"], str(row["day"])) for row in read(tmp_path / "results")] == [
        (0, "2026-01-31"), (1, "2026-01-31"), (2, "2026-01-31"), (3, "2026-01-31"), (4, "2026-02-01")
    ]  # fmt: skip
    assert not (tmp_path / "events").exists()
    sink.close()
    (row,) = read(tmp_path / "events")
    assert (row["id"], row["stream"], row["end_frame"], row["confidence"]) == ("yard/7/1", "yard", None, 0.75)
    assert sink.counts["files"] == 4
    sink.close()


def test_rows_that_are_old_enough_are_written(parquet: Callable[..., Any], tmp_path: Path) -> None:
    clock = [NOON]
    sink = parquet(str(tmp_path), minutes=2, now=lambda: clock[0])
    sink.write(result(0, rho=None))
    sink.tick()
    clock[0] += 119
    sink.tick()
    assert not list(tmp_path.rglob("*.parquet"))
    clock[0] += 1
    sink.tick()
    (row,) = read(tmp_path / "results")
    assert (row["rho"], row["revision"], row["p"]) == (None, 0, pytest.approx([0.8, 0.1, 0.1]))
    assert sink.gauges() == {"rows_waiting": 0}
    sink.close()


def test_a_full_disk_leaves_the_rows_in_memory_up_to_a_bound(
    parquet: Callable[..., Any], tmp_path: Path, file_size_limit: Callable[[int | None], None]
) -> None:
    sink = parquet(str(tmp_path), rows=10)
    file_size_limit(100)
    failures = 0
    for t in range(35):
        try:
            sink.write(result(t))
        except SinkError:
            failures += 1
    file_size_limit(None)
    assert failures > 0
    assert not list(tmp_path.rglob("*.parquet*"))
    sink.close()
    assert [row["t"] for row in read(tmp_path / "results")] == list(range(15, 35))
    assert sink.counts['dropped{reason="disk"}'] == 15


def test_what_a_killed_process_left_unfinished_is_removed(parquet: Callable[..., Any], tmp_path: Path) -> None:
    left = tmp_path / "results" / "day=2026-01-31" / "stream=a" / "1-2-3.parquet.part"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"PAR1 half")
    parquet(str(tmp_path)).close()
    assert not left.exists()


def test_a_folder_that_cannot_be_is_an_error(parquet: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match="cannot be used for Parquet"):
        parquet(str(tmp_path / "file" / "x"))
    with pytest.raises(ValueError, match="rows 0"):
        parquet(str(tmp_path), rows=0)
