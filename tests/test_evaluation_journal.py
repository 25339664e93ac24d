"""Dumps that were killed: they go on from the last whole chunk, and end as ones that were not."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clownfish.codecs.png import Png
from clownfish.errors import DatasetError, SourceError
from clownfish.evaluation.dump import KINDS, TIMES, Dump, dump_path, load_dump
from clownfish.evaluation.journal import MAGIC, Journal
from clownfish.evaluation.recorder import Recorder, RecordSettings
from clownfish.evaluation.recording import record
from clownfish.messages import Pixels
from clownfish.sources.truth import Context, Truth
from tests.test_evaluation_dump import HEADER, Brightness, Reversed, Sender, recorded
from tests.videos import frame

TRUTH = Truth((Context(0, 9, "bow"), Context(9, 30, "wave")))


class Killed(Exception):
    pass


def run(path: Path, frames: int, chunk: int, killed_after: int | None = None) -> Dump:
    """One process's work on a dump: it opens the journal, records, and is killed after so many windows of its own."""
    count = 0

    def on_window(t: int) -> None:
        nonlocal count
        count += 1
        if count == killed_after:
            raise Killed

    journal = Journal(path, HEADER)
    try:
        return record(
            HEADER, map(frame, range(frames)), Brightness(), Reversed(), Png(), on_window,
            discard=Sender(), truth=TRUTH, journal=journal, chunk=chunk,
        )  # fmt: skip
    finally:
        journal.close()


def same_answers(first: Dump, second: Dump) -> None:
    for column in KINDS:
        if column not in TIMES:
            a, b = getattr(first, column), getattr(second, column)
            assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes()), column


@given(
    frames=st.integers(4, 40), chunk=st.integers(1, 7), kills=st.lists(st.integers(1, 12), max_size=4), cut=st.data()
)
@settings(max_examples=60, deadline=None)
def test_a_dump_that_is_killed_again_and_again_ends_as_one_that_never_was(
    tmp_path_factory: pytest.TempPathFactory, frames: int, chunk: int, kills: list[int], cut: st.DataObject
) -> None:
    """Wherever it is killed, and however much of the file's end is lost with it."""
    whole = recorded(frames, discard=Sender(), truth=TRUTH)
    path = tmp_path_factory.mktemp("journal") / "s.part"
    for after in kills:
        try:
            run(path, frames, chunk, after)
        except Killed:
            data = path.read_bytes()
            path.write_bytes(data[: cut.draw(st.integers(0, len(data)))])
    same_answers(run(path, frames, chunk), whole)


def test_what_is_in_the_journal_is_not_computed_again(tmp_path: Path) -> None:
    path = tmp_path / "s.part"
    with pytest.raises(Killed):
        run(path, 40, 3, 8)  # two chunks of three are kept
    seen: list[int] = []
    frames = map(frame, range(40))
    with closing(Journal(path, HEADER)) as journal:
        record(HEADER, frames, Brightness(), Reversed(), Png(), seen.append, discard=Sender(), journal=journal, chunk=3)
    assert seen == list(range(6, 19))


@pytest.mark.parametrize("place", ["header", "chunk", "length"])
def test_a_flipped_bit_ends_what_is_trusted(tmp_path: Path, place: str) -> None:
    path = tmp_path / "s.part"
    with pytest.raises(Killed):
        run(path, 40, 3, 8)
    data = bytearray(path.read_bytes())
    at = {"header": len(MAGIC) + 20, "chunk": len(data) - 100, "length": len(MAGIC)}[place]
    data[at] ^= 4
    path.write_bytes(data)
    journal = Journal(path, HEADER)
    assert len(journal.chunks) == (1 if place == "chunk" else 0)
    journal.close()
    same_answers(run(path, 40, 3), recorded(40, discard=Sender(), truth=TRUTH))


def test_a_file_that_is_no_journal_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "s.part"
    path.write_bytes(b"something else, and long enough to hold a header")
    same_answers(run(path, 11, 2), recorded(11, discard=Sender(), truth=TRUTH))


def test_the_beginning_of_another_dump_is_refused_with_the_difference_named(tmp_path: Path) -> None:
    path = tmp_path / "s.part"
    with pytest.raises(Killed):
        run(path, 40, 3, 8)
    with pytest.raises(DatasetError, match=r"of another dump: codec is 'png' in the dump and 'jpeg' here\. Delete it"):
        Journal(path, dataclasses.replace(HEADER, codec="jpeg"))


def test_two_processes_do_not_make_one_dump(tmp_path: Path) -> None:
    first = Journal(tmp_path / "s.part", HEADER)
    with pytest.raises(DatasetError, match="another process is making this dump"):
        Journal(tmp_path / "s.part", HEADER)
    first.close()
    Journal(tmp_path / "s.part", HEADER).close(delete=True)
    assert not list(tmp_path.iterdir())


def test_a_video_that_has_become_shorter_is_not_the_same(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        run(tmp_path / "s.part", 40, 3, 8)
    with pytest.raises(DatasetError, match="has 9 frames, of its dump in the making 14 were seen"):
        run(tmp_path / "s.part", 9, 3)


# -- the recorder, with real models ------------------------------------------------------------------------------------

PUPPETS = RecordSettings(
    local="zoo:puppets/local", remote="zoo:puppets/remote", discard="zoo:puppets/discard", device="cpu"
)
SOURCE = "puppets:validation/0"


def seconds_of(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Only the beginning of every source: a whole stream takes a minute."""
    from clownfish.evaluation import recorder
    from clownfish.sources import open_source

    monkeypatch.setattr(recorder, "open_source", lambda source: open_source(source, seconds=seconds))


def test_real_models_that_keep_frames_answer_the_same_after_a_break(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clownfish.evaluation import recorder, recording

    seconds_of(monkeypatch, 5)
    monkeypatch.setattr(recorder, "record", lambda *a, **options: recording.record(*a, **options, chunk=10))
    whole = Recorder(PUPPETS, tmp_path / "whole").dump(SOURCE)
    assert whole.windows == 34
    assert whole.discards
    assert whole.header.fps == 30

    def stop(t: int) -> None:
        if t == 25:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Recorder(PUPPETS, tmp_path / "broken").dump(SOURCE, stop)
    assert [file.suffix for file in (tmp_path / "broken").iterdir()] == [".part"]
    seen: list[int] = []
    again = Recorder(PUPPETS, tmp_path / "broken").dump(SOURCE, seen.append)
    assert seen == list(range(20, 34))
    same_answers(again, whole)
    assert [file.suffix for file in (tmp_path / "broken").iterdir()] == [".npz"]


def test_a_damaged_dump_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds_of(monkeypatch, 1)
    whole = Recorder(PUPPETS, tmp_path).dump(SOURCE)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(DatasetError, match="is no whole dump"):
        load_dump(path)
    same_answers(Recorder(PUPPETS, tmp_path).dump(SOURCE), whole)
    same_answers(load_dump(path), whole)


def test_labels_follow_a_table_that_was_mended_and_no_model_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds_of(monkeypatch, 1)
    recorder = Recorder(PUPPETS, tmp_path)
    assert set(recorder.dump(SOURCE).label) == {0}, "the stream begins idle"
    seen: list[int] = []
    mended = recorder.dump(SOURCE, seen.append, Truth((Context(3, 30, "wave"),)))
    assert mended.label.tolist() == [-1] * 3 + [1] * 27
    (path,) = tmp_path.iterdir()
    assert load_dump(path).label.tolist() == mended.label.tolist()
    assert not seen
    with pytest.raises(DatasetError, match="names 'hop'"):
        recorder.dump(SOURCE, seen.append, Truth((Context(3, 30, "hop"),)))


def test_a_dump_of_format_1_keeps_its_answers_and_gets_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No model but early discard's runs: the answers of the former file are told apart by what they say."""
    seconds_of(monkeypatch, 2)
    recorder = Recorder(PUPPETS, tmp_path / "new")
    whole = recorder.dump(SOURCE)
    marked = dataclasses.replace(whole, p_local=whole.p_local[:, ::-1].copy())
    former = tmp_path / "former"
    write_former(former, marked)
    monkeypatch.setattr(Recorder, "models", lambda self: pytest.fail("both models ran"))
    upgraded = Recorder(PUPPETS, former).dump(SOURCE)
    same_answers(upgraded, marked)
    assert np.isnan(upgraded.local_ms).all()
    same_answers(load_dump(dump_path(former, upgraded.header), upgraded.header), upgraded)


def write_former(folder: Path, dump: Dump) -> None:
    """The file of format 1 that was made from the same answers."""
    tree = dataclasses.asdict(dump.header) | {"format": "clownfish-dump/1"}
    del tree["discard"], tree["fps"]
    text = json.dumps(tree, sort_keys=True)
    columns = {name: getattr(dump, name) for name in ("t", "p_local", "feature", "p_remote", "frame_bytes")}
    folder.mkdir()
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    np.savez(folder / f"{dump.header.stream}-{digest}.npz", header=np.array(text), **columns)


def test_a_source_that_breaks_off_leaves_nothing_to_go_on_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from clownfish.evaluation import recorder, recording
    from clownfish.sources.limited import Limited

    seconds_of(monkeypatch, 2)
    monkeypatch.setattr(recorder, "record", lambda *a, **options: recording.record(*a, **options, chunk=2))

    def cut_off(self: Limited) -> Iterator[Pixels]:
        yield from map(frame, range(40))
        raise SourceError("the file is cut off")

    monkeypatch.setattr(Limited, "__iter__", cut_off)
    with pytest.raises(SourceError, match="cut off"):
        Recorder(PUPPETS, tmp_path).dump(SOURCE)
    assert not list(tmp_path.iterdir())
