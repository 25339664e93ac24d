"""Of which streams a broker was told: kept over processes, and what cannot be kept is said."""

from __future__ import annotations

from pathlib import Path

from clownfish.sinks.told import ToldOf


def test_what_one_process_told_of_the_next_one_knows(tmp_path: Path) -> None:
    said: list[str] = []
    first = ToldOf(tmp_path / "mqtt/out.json", said.append)
    first.add(["dev00", "dev01"])
    first.remove(["dev00"])
    assert ToldOf(tmp_path / "mqtt/out.json", said.append).streams == {"dev01"}
    assert said == []


def test_a_folder_that_cannot_be_used_is_said_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "mqtt").write_text("a file in its place")
    said: list[str] = []
    told_of = ToldOf(tmp_path / "mqtt/out.json", said.append)
    told_of.add(["dev00"])
    assert told_of.streams == {"dev00"}
    assert ["cannot be read" in said[0], "cannot be written" in said[1]] == [True, True]
    told_of.add(["dev00"])
    assert len(said) == 2, "nothing new to keep"
