"""The streams of now, as a process learns of them: from the file that the supervisor writes anew."""

from __future__ import annotations

import json
from pathlib import Path

from clownfish.config import validate
from clownfish.lineup import Lineup
from clownfish.settings import Config, to_tree


def config(*names: str) -> Config:
    streams = [{"name": name, "source": f"{name}.mp4"} for name in names]
    return validate({"streams": streams, "local": {"model": "zoo:x/local"}}, "test")


def write(path: Path, *names: str) -> None:
    """As the supervisor does: at one stroke."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps(to_tree(config(*names))))
    new.replace(path)


def test_a_stream_that_is_not_known_is_looked_for_and_all_who_follow_are_told_once(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    write(path, "a")
    lineup, told = Lineup(config("a"), str(path)), []
    lineup.follow(lambda: told.append(list(lineup.streams)))
    assert lineup.get("b") is None
    write(path, "a", "b")
    assert lineup.get("a") is not None  # known: nobody looks
    assert told == []
    b = lineup.get("b")
    assert b is not None
    assert b.source == "b.mp4"
    lineup.refresh()
    assert told == [["a", "b"]]


def test_one_that_is_gone_is_noticed_at_the_next_look(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    write(path, "a", "b")
    lineup = Lineup(config("a", "b"), str(path))
    write(path, "b")
    lineup.refresh()
    assert list(lineup.streams) == ["b"]
    assert lineup.get("a") is None


def test_a_change_that_came_between_reading_the_configuration_and_the_first_look_is_not_missed(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    write(path, "a", "b")
    lineup = Lineup(config("a"), str(path))
    lineup.refresh()
    assert list(lineup.streams) == ["a", "b"]


def test_without_a_supervisors_file_and_when_it_is_gone_all_stays_as_it_is(tmp_path: Path) -> None:
    for path in ("", str(tmp_path / "edge.toml"), str(tmp_path / "config.json")):
        lineup = Lineup(config("a"), path)
        lineup.refresh()
        assert list(lineup.streams) == ["a"]
    broken = tmp_path / "config.json"
    broken.write_text("{")
    lineup.refresh()
    assert list(lineup.streams) == ["a"]


def test_the_first_sixty_four_have_figures_of_their_own_and_another_moves_up(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    many = [f"s{number}" for number in range(65)]
    lineup = Lineup(config(*many), str(path))
    assert (lineup.label("s63"), lineup.label("s64"), lineup.label("nobody")) == ("s63", "other", "other")
    write(path, *many[1:])
    lineup.refresh()
    assert (lineup.label("s0"), lineup.label("s64")) == ("other", "s64")
