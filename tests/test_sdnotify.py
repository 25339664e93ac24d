"""What systemd hears, on real sockets: in the file system and abstract."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from clownfish.sdnotify import Notifier
from tests.graph import harness


@pytest.fixture(params=["file", "abstract"])
def systemd(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, str]]:
    folder = harness.folder()
    address = str(folder / "notify") if request.param == "file" else f"@{folder}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address.replace("@", "\0", 1) if address.startswith("@") else address)
        listener.settimeout(5)
        yield listener, address
    harness.remove(folder)


def test_what_changed_is_said_and_the_watchdog_is_fed_each_time(systemd: tuple[socket.socket, str]) -> None:
    listener, address = systemd
    notifier = Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "2000000", "WATCHDOG_PID": str(os.getpid())})
    notifier.say(READY="1", STATUS="a\nb")
    notifier.say(READY="1", STATUS="a\nb")
    notifier.say(READY="1", STATUS="well")
    notifier.feed()
    notifier.feed()
    heard = [listener.recv(1000).decode() for _ in range(4)]
    assert heard == ["READY=1\nSTATUS=a; b", "STATUS=well", "WATCHDOG=1", "WATCHDOG=1"]
    assert notifier.watchdog_s == 2.0


@pytest.mark.parametrize(
    "environment",
    [
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"},
        {},
    ],
)
def test_a_watchdog_that_is_off_or_anothers_is_not_fed(environment: dict[str, str]) -> None:
    assert Notifier(environment).watchdog_s is None


def test_systemd_that_does_not_listen_fails_nothing(tmp_path: Path) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody"), "WATCHDOG_USEC": "1000000"})
    notifier.say(READY="1")
    notifier.feed()
    Notifier({}).say(READY="1")
