"""The control of a graph's streams: real sockets, real files, with the test in the place of capture."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from clownfish import control
from clownfish.bus import Bus
from clownfish.config import validate
from clownfish.control import CAPTURE_SOCKET, Asker, Control, ask
from clownfish.errors import ClownfishError
from clownfish.kept_streams import KeptStreams
from clownfish.messages import Command, Reply
from clownfish.settings import Config, ipc_in, load_validated, to_tree
from tests.disks import file_size_limit
from tests.graph import harness

__all__ = ["file_size_limit"]  # a fixture


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def run_dir() -> Iterator[Path]:
    path = harness.folder()
    yield path
    harness.remove(path)


def configured() -> Config:
    streams = [{"name": name, "source": f"{name}.mp4"} for name in ("a", "b")]
    return validate({"streams": streams, "local": {"model": "zoo:x/local"}}, "test")


@asynccontextmanager
async def controlled(run_dir: Path, capture: bool = True) -> AsyncIterator[KeptStreams]:
    """A control at its work, and a capture that says of every stream in the file that it delivers."""
    bus, kept, file = Bus(lambda name: None), KeptStreams(configured()), run_dir / "config.json"
    file.write_text(json.dumps(to_tree(kept.config)))  # as the supervisor does

    async def answer() -> None:
        async for peer, command in inbox:
            streams = load_validated(file).streams
            said = {stream.name: {"state": "delivers", "frames": 1, "why": ""} for stream in streams}
            inbox.try_send(peer, Reply(command.sequence, True, json.dumps(said)))

    tasks = [asyncio.ensure_future(Control(bus, file, kept).serve())]
    if capture:
        inbox = bus.router(ipc_in(run_dir, CAPTURE_SOCKET), "c", (Command,), max_bytes=1000, insecure=False)
        tasks.append(asyncio.ensure_future(answer()))
    try:
        yield kept
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        bus.close(0)


def table(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "source": f"{name}.mp4", **more}


async def states(run_dir: Path) -> dict[str, str]:
    return {each["name"]: each["state"] for each in (await ask(run_dir, "list"))["streams"]}


async def test_a_change_is_in_the_graphs_file_and_in_the_kept_one_when_the_command_is_told_of_it(run_dir: Path) -> None:
    async with controlled(run_dir):
        assert await ask(run_dir, "add", table("c")) == {"added": ["c"], "removed": [], "told": True}
        assert [stream.name for stream in load_validated(run_dir / "config.json").streams] == ["a", "b", "c"]
        assert [stream.name for stream in KeptStreams(configured()).config.streams] == ["a", "b", "c"]
        assert await ask(run_dir, "remove", {"name": "a"}) == {"added": [], "removed": ["a"], "told": True}
        assert await states(run_dir) == {"b": "delivers", "c": "delivers"}
        assert await ask(run_dir, "reset") == {"added": ["a"], "removed": ["c"], "told": True}
        assert await states(run_dir) == {"a": "delivers", "b": "delivers"}


@pytest.mark.parametrize(
    ("what", "about", "says"),
    [
        ("add", table("a"), "two streams are called 'a'"),
        ("add", table("c", speed=1), "speed: unknown key"),
        ("add", ["c"], "expected a table"),
        ("add", None, "expected a table"),
        ("remove", {"name": "z"}, "there is no stream 'z'"),
        ("remove", {}, "there is no stream 'None'"),
        ("explode", {}, "unknown command 'explode'; known: add, remove, reset, list"),
    ],
)
async def test_what_cannot_be_done_is_told_in_words_and_changes_nothing(
    what: str, about: Any, says: str, run_dir: Path
) -> None:
    async with controlled(run_dir) as kept:
        with pytest.raises(ClownfishError, match=says):
            await ask(run_dir, what, about)
        assert set(await states(run_dir)) == {"a", "b"}
        assert not kept.path.exists()
        assert await ask(run_dir, "add", table("c"))  # and the next command is served


async def test_a_command_that_is_no_json_is_told_so(run_dir: Path) -> None:
    async with controlled(run_dir):
        bus = Bus(lambda name: None)
        asker = Asker(bus, ipc_in(run_dir, control.CONTROL_SOCKET))
        for text in ("{", "[" * 100_000):
            reply = await asker.ask("add", text, 20)
            assert reply is not None
            assert "not valid JSON" in reply.text
        await asker.close()
        bus.close(0)


async def test_of_two_commands_at_once_both_are_done_and_of_two_for_one_name_one(run_dir: Path) -> None:
    async with controlled(run_dir):
        names = [f"n{number}" for number in range(10)]
        await asyncio.gather(*(ask(run_dir, "add", table(name)) for name in names))
        assert set(await states(run_dir)) == {"a", "b", *names}
        done = await asyncio.gather(*(ask(run_dir, "add", table("x")) for _ in range(4)), return_exceptions=True)
        refused = [each for each in done if isinstance(each, ClownfishError)]
        assert len(refused) == 3
        assert all("two streams are called 'x'" in str(each) for each in refused)


async def test_a_capture_that_is_away_learns_it_later_and_the_command_says_so(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "_CAPTURE_S", 0.1)
    async with controlled(run_dir, capture=False):
        assert (await ask(run_dir, "add", table("c")))["told"] is False
        assert await states(run_dir) == dict.fromkeys("abc", "unknown")
        assert [stream.name for stream in load_validated(run_dir / "config.json").streams] == ["a", "b", "c"]


async def test_a_full_disk_changes_nothing_and_is_told(
    run_dir: Path, file_size_limit: Callable[[int | None], None]
) -> None:
    async with controlled(run_dir) as kept:
        await ask(run_dir, "add", table("c"))
        before = ((run_dir / "config.json").read_bytes(), kept.path.read_bytes())
        file_size_limit(200)
        with pytest.raises(ClownfishError, match=r"nothing was changed, because it cannot be written down: .*large"):
            await ask(run_dir, "add", table("d"))
        file_size_limit(None)
        assert ((run_dir / "config.json").read_bytes(), kept.path.read_bytes()) == before
        assert not (run_dir / "config.new").exists()
        assert set(await states(run_dir)) == {"a", "b", "c"}
        assert await ask(run_dir, "add", table("d"))


async def test_a_state_folder_that_takes_nothing_changes_nothing(run_dir: Path, tmp_path: Path) -> None:
    async with controlled(run_dir) as kept:
        kept.path.parent.parent.mkdir(parents=True)
        kept.path.parent.write_text("a file where a folder should be")
        with pytest.raises(ClownfishError, match="nothing was changed"):
            await ask(run_dir, "add", table("c"))
        assert not (run_dir / "config.new").exists()
        assert set(await states(run_dir)) == {"a", "b"}


async def test_who_asks_where_nobody_answers_is_told_after_a_while(run_dir: Path) -> None:
    with pytest.raises(ClownfishError, match=r"does not answer within 0\.2 s"):
        await ask(run_dir, "list", patience_s=0.2)
