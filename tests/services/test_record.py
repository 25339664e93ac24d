"""record, with the test in the place of the services that note; and a service that notes for a record that is away."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from clownfish.errors import ConfigError
from clownfish.messages import Event, LocalResult, Note, RemoteResult, Window
from clownfish.notes import RECORD
from clownfish.records import read_record, record_name
from tests.graph.harness import Endpoints, Material, Tree, edge_tree, until
from tests.services.harness import Collector, neighbour, serving

P = np.array([0.5, 0.25, 0.25], np.float32)


def tree(run_dir: Path, material: Material, at: Endpoints | None = None) -> Tree:
    return {**edge_tree(run_dir, material, at), "record": {"folder": str(run_dir / "records")}}


async def test_what_is_noted_is_written_soon_and_what_is_noted_last_at_the_end(
    run_dir: Path, local_only: Material
) -> None:
    path = run_dir / "records" / record_name("cam", 7)
    async with neighbour() as bus:
        async with serving("record", tree(run_dir, local_only)) as process:
            notes = bus.outbox(process.config.ipc(RECORD), RECORD)
            await notes.put(Note("fusion", 1, 0, (Event("cam", 7, 0, "begin", 0.0, None),)))
            await notes.put(Note("fusion", 1, 1, (LocalResult("cam", 7, 0, P, None, 0, 0),)))
            await until(
                lambda: path.exists() and read_record(path).rows("local") == 1, "the first window is written", 20
            )
            await notes.put(Note("fusion", 1, 2, (RemoteResult("cam", 7, 0, P, "m"),)))
            await until(lambda: process.counters.get('received{socket="notes"}') == 3, "the last note is here", 20)
        record = read_record(path)
    assert (record.rows("local"), record.rows("remote")) == (1, 1)
    assert not record.lost
    assert record.header.classes == ("bow", "clap", "wave")
    assert record.header.settings["filter"]["policy"] == {"kind": "periodic", "n_w": 3}
    assert record.header.settings["stream"]["pace"] == "realtime"


async def test_a_folder_that_cannot_be_used_is_told_before_anything_runs(run_dir: Path, local_only: Material) -> None:
    wrong = tree(run_dir, local_only)
    (run_dir / "file").write_text("")
    wrong["record"]["folder"] = str(run_dir / "file")
    with pytest.raises(ConfigError, match=r"record\.folder .*/file: cannot be used"):
        async with serving("record", wrong):
            pass


async def test_the_address_of_a_camera_is_not_put_down(run_dir: Path, local_only: Material) -> None:
    camera = tree(run_dir, local_only)
    camera["streams"][0].update(source="rtsp://user:secret@camera/1", loop=False)
    async with neighbour() as bus, serving("record", camera) as process:
        notes = bus.outbox(process.config.ipc(RECORD), RECORD)
        await notes.put(Note("fusion", 1, 0, (LocalResult("cam", 7, 0, P, None, 0, 0),)))
        path = run_dir / "records" / record_name("cam", 7)
        await until(path.exists, "the record is begun", 20)
        assert b"secret" not in path.read_bytes()


async def test_fusion_answers_as_ever_while_the_record_is_away_and_its_gap_shows(
    run_dir: Path, local_only: Material
) -> None:
    """Nobody takes the notes: fusion drops and counts them, answers every window, and waits for nothing."""
    windows = 1500
    async with neighbour() as bus, serving("fusion", tree(run_dir, local_only)) as process:
        local = bus.outbox(process.config.ipc("fusion-local"), "fusion", hwm=10_000)
        begin = time.monotonic()
        for t in range(windows):
            await local.put(LocalResult("cam", 7, t, P, 0.5, time.monotonic_ns(), 0))
        await until(lambda: process.counters.get("windows_answered") == windows, "every window is answered", 30)
        assert time.monotonic() - begin < 20
        assert process.counters.get('dropped{socket="record",reason="full"}') > 0
        notes = Collector(bus.inbox(process.config.ipc(RECORD), "notes", (Note,), hwm=10_000))
        await until(lambda: len(notes.messages) > 500, "those that waited come when somebody takes them", 20)
        await local.put(LocalResult("cam", 7, windows, P, 0.5, time.monotonic_ns(), 0))
        await until(lambda: notes.messages[-1].sequence > windows, "notes go on", 20)
        sequence = [note.sequence for note in notes.messages]
        assert sequence == sorted(sequence)
        assert sequence[-1] + 1 > len(sequence), "the lost ones have used up their numbers"
        notes.close()


async def test_the_filter_notes_what_the_gate_was_told_and_what_it_said(run_dir: Path, local_only: Material) -> None:
    async with neighbour() as bus, serving("filter", tree(run_dir, local_only, Endpoints.ipc(run_dir))) as process:
        notes = Collector(bus.inbox(process.config.ipc(RECORD), "notes", (Note,)))
        windows = bus.outbox(process.config.ipc("filter"), "filter")
        for t in range(2):
            frames = tuple(np.zeros((8, 8, 3), np.uint8) for _ in range(16))
            await windows.put(Window("cam", 7, t, 4 * t, time.monotonic_ns(), True, frames))
        first, second = (note.messages for note in (await notes.count(2))[:2])
        assert [each.what for each in first] == ["window", "sent periodic"]
        assert [each.what for each in second] == ["window", "released skipped"]
        notes.close()
