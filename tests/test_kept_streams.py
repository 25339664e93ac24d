"""What was changed of a configuration's streams while its graph ran: as the file would have it, and kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clownfish.config import validate
from clownfish.errors import ConfigError
from clownfish.kept_streams import Changes, KeptStreams, forget
from clownfish.settings import Config
from tests.disks import file_size_limit

__all__ = ["file_size_limit"]  # a fixture


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "clownfish" / "clownfish" / "streams.json"


def configured(*names: str, **more: Any) -> Config:
    streams = [{"name": name, "source": f"{name}.mp4"} for name in names]
    return validate({"streams": streams, "local": {"model": "zoo:x/local"}, **more}, "test")


def names(kept: KeptStreams) -> list[str]:
    return [stream.name for stream in kept.config.streams]


def add(kept: KeptStreams, name: str, source: str = "new.mp4", **more: Any) -> None:
    kept.keep(kept.adding({"name": name, "source": source, **more}, "stream add"))


def remove(kept: KeptStreams, name: str) -> None:
    kept.keep(kept.removing(name, "stream remove"))


def test_what_was_added_and_removed_is_there_at_the_next_start() -> None:
    kept = KeptStreams(configured("a", "b"))
    add(kept, "c", "rtsp://u:secret@host/1", fps=12.5)
    remove(kept, "a")
    again = KeptStreams(configured("a", "b"))
    assert again.config == kept.config
    assert again.config.streams[1].fps == 12.5
    said = again.listed({"b": {"state": "delivers", "frames": 7, "why": ""}})
    assert [(each["name"], each["from"], each["state"]) for each in said["streams"]] == [
        ("b", "configured", "delivers"),
        ("c", "added", "unknown"),
    ]
    assert said["removed"] == ["a"]
    assert "secret" not in json.dumps(said)


def test_a_removed_one_comes_back_under_its_name_with_another_source_and_goes_again() -> None:
    kept = KeptStreams(configured("a", "b"))
    remove(kept, "a")
    add(kept, "a", "other.mp4")
    assert [stream.source for stream in KeptStreams(configured("a", "b")).config.streams] == ["b.mp4", "other.mp4"]
    remove(kept, "a")
    assert names(KeptStreams(configured("a", "b"))) == ["b"]
    kept.keep(kept.resetting())
    assert names(KeptStreams(configured("a", "b"))) == ["a", "b"]


def test_only_its_owner_may_read_what_may_hold_a_password(state: Path) -> None:
    add(KeptStreams(configured("a")), "c", "rtsp://u:secret@host/1")
    assert state.stat().st_mode & 0o777 == 0o600
    assert json.loads(state.read_text())["added"] == [{"name": "c", "source": "rtsp://u:secret@host/1"}]


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"name": "a", "source": "x.mp4"}, "two streams are called 'a'; each needs a name of its own"),
        ({"name": "a b", "source": "x.mp4"}, r"stream add: name: .*pattern.* \(read: \"a b\"\)"),
        ({"name": "c"}, "stream add: source: "),
        ({"name": "c", "source": "webcam:0"}, "unknown kind of source 'webcam'; known: camera, "),
        ({"name": "c", "source": "x.mp4", "fps": 0}, r"stream add: fps: .*greater than 0 \(read: 0\)"),
        ({"name": "c", "source": "x.mp4", "speed": 2}, "stream add: speed: unknown key; known: fps, "),
        ({"name": "c", "source": "x.mp4", "pace": "slow"}, "stream add: pace: .*'realtime', 'fast' or 'patient'"),
    ],
)
def test_a_wrong_stream_is_refused_in_the_words_of_a_wrong_file_and_changes_nothing(
    table: dict[str, Any], says: str, state: Path
) -> None:
    kept = KeptStreams(configured("a"))
    with pytest.raises(ConfigError, match=says):
        kept.keep(kept.adding(table, "stream add"))
    assert names(kept) == ["a"]
    assert not state.exists()


def test_a_graph_without_an_edge_takes_no_stream() -> None:
    cloud = {"control": "ipc:///tmp/c", "data": "ipc:///tmp/d", "workers": "ipc:///tmp/w"}
    kept = KeptStreams(validate({"router": cloud}, "test"))
    with pytest.raises(ConfigError, match="started without streams"):
        add(kept, "a")


def test_who_is_not_there_and_who_is_the_last_cannot_be_removed() -> None:
    kept = KeptStreams(configured("a", "b"))
    with pytest.raises(ConfigError, match="there is no stream 'c'; there are: a, b"):
        remove(kept, "c")
    remove(kept, "a")
    with pytest.raises(ConfigError, match="b is the only stream, and a graph needs one"):
        remove(kept, "b")


def test_of_a_stream_that_is_in_the_file_now_the_files_holds_and_what_refers_to_nothing_is_forgotten(
    state: Path,
) -> None:
    kept = KeptStreams(configured("a", "b"))
    add(kept, "c")
    remove(kept, "a")
    later = KeptStreams(configured("b", "c"))  # somebody has written c down, and a is gone for good
    assert [stream.source for stream in later.config.streams] == ["b.mp4", "c.mp4"]
    assert later.stale
    later.keep(later.changes)
    assert not state.exists()
    assert names(KeptStreams(configured("a", "b"))) == ["a", "b"]


def test_a_file_of_which_every_stream_was_removed_makes_no_graph_and_says_how_to_make_one() -> None:
    remove(KeptStreams(configured("a", "b")), "a")
    with pytest.raises(ConfigError, match=r"every stream of this configuration was removed .* stream reset"):
        KeptStreams(configured("a"))
    assert forget(configured("a"))
    assert names(KeptStreams(configured("a"))) == ["a"]
    assert not forget(configured("a"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"format": "clownfish-streams/9", "added": [], "removed": []}', "format 'clownfish-streams/9'; expected"),
        ('{"format": "clownfish-streams/1", "added": 3, "removed": []}', "cannot be read"),
        ('{"format": "clownfish-streams/1", "added": [{"name": "c"}], "removed": []}', r"added\.0: source: "),
    ],
)
def test_a_kept_file_that_is_none_is_told_with_its_name_and_what_to_do(text: str, says: str, state: Path) -> None:
    state.parent.mkdir(parents=True)
    state.write_text(text)
    with pytest.raises(ConfigError, match=says) as caught:
        KeptStreams(configured("a"))
    assert str(state) in str(caught.value)


def test_a_full_disk_changes_nothing(state: Path, file_size_limit: Callable[[int | None], None]) -> None:
    kept = KeptStreams(configured("a"))
    add(kept, "b")
    before = state.read_bytes()
    file_size_limit(100)
    with pytest.raises(OSError, match="too large"):
        add(kept, "c")
    file_size_limit(None)
    assert state.read_bytes() == before
    assert [each.name for each in state.parent.iterdir()] == ["streams.json"]
    assert names(kept) == ["a", "b"]
    add(kept, "c")
    assert names(KeptStreams(configured("a"))) == ["a", "b", "c"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from(["add", "remove", "reset", "restart"]), st.sampled_from("abcd")), max_size=12)
)
def test_after_any_changes_and_restarts_the_streams_are_those_that_were_left(steps: list[tuple[str, str]]) -> None:
    file = configured("a", "b")
    forget(file)
    kept, model = KeptStreams(file), {"a": "a.mp4", "b": "b.mp4"}
    for number, (what, name) in enumerate(steps):
        source = f"{number}.mp4"
        try:
            if what == "add":
                add(kept, name, source)
                assert name not in model
                model[name] = source
            elif what == "remove":
                remove(kept, name)
                del model[name]
            elif what == "reset":
                kept.keep(kept.resetting())
                model = {"a": "a.mp4", "b": "b.mp4"}
        except ConfigError:
            assert (name in model) if what == "add" else (name not in model or len(model) == 1)
        if what == "restart":
            kept = KeptStreams(file)
        assert {stream.name: stream.source for stream in kept.config.streams} == model
    assert KeptStreams(file).config == kept.config
    assert kept.changes == Changes() or kept.path.exists()
