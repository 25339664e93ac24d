"""What a killed sink knew of its events: found again, torn, cut off, foreign, unreadable."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clownfish.config import validate
from clownfish.eventstates import EventStates
from clownfish.kept_events import KeptEvents
from clownfish.messages import StreamKey

KEY = StreamKey("cam-1", 7)


def kept(folder: Path, times: int = 2) -> Path:
    """The file after so many snapshots, {"n": 0} and on."""
    states = EventStates(folder)
    for n in range(times):
        states.keep(KEY, {"n": n})
    states.close()
    (path,) = folder.glob("*.events")
    return path


def found(folder: Path) -> tuple[dict[StreamKey, object], int]:
    states = EventStates(folder)
    return dict(states.found()), states.damaged


def test_the_newest_snapshot_is_found(tmp_path: Path) -> None:
    assert found(tmp_path) == ({}, 0)
    kept(tmp_path, 3)
    assert found(tmp_path) == ({KEY: {"n": 2}}, 0)


@given(left=st.integers(0, 64 * 1024 + 24))
def test_a_file_that_is_cut_off_gives_the_older_snapshot_or_is_counted(
    left: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    path = kept(folder)
    whole = path.stat().st_size
    os.truncate(path, min(left, whole))
    older = 16 + len(b'{"n":0}')
    expected = {"n": 1} if left >= whole else {"n": 0} if left >= older else None
    assert found(folder) == (({KEY: expected}, 0) if expected is not None else ({}, 1))
    assert path.exists() == (expected is not None)
    shutil.rmtree(folder)


def test_one_that_is_no_file_is_counted_and_nothing_ends(tmp_path: Path) -> None:
    (tmp_path / "cam-7.events").mkdir()
    (tmp_path / "cam-².events").write_bytes(b"")
    assert found(tmp_path) == ({}, 2)
    assert (tmp_path / "cam-7.events").is_dir()
    states = EventStates(tmp_path)
    states.keep(StreamKey("cam", 7), {})
    assert states.failures == 1


def test_a_snapshot_of_another_release_is_damaged_to_who_makes_events(tmp_path: Path) -> None:
    kept(tmp_path)
    config = validate({"streams": [{"name": "cam-1", "source": "shapes:test/0"}], "local": {"model": "m"}}, "test")
    streams = {stream.name: stream for stream in config.streams}
    first = KeptEvents(config, tmp_path, tmp_path, streams.get)
    assert (first.damaged, first.open, list(tmp_path.glob("*.events"))) == (True, 0, [])
    first.close()
    second = KeptEvents(config, tmp_path, tmp_path, streams.get)
    assert not second.damaged
    second.close()
