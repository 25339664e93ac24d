"""Ports that are free, and stay so while others open connections."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from clownfish.lab import free_port
from clownfish.lab.free_port import free_endpoints, free_ports


def test_ports_differ_and_can_be_listened_on() -> None:
    ports = free_ports(50)
    assert len(set(ports)) == 50
    for port in ports[:5]:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", port))
            listener.listen()
    assert free_endpoints(1)[0].startswith("tcp://127.0.0.1:")


@pytest.mark.parametrize(
    ("connections", "low", "high"),
    [
        ("32768\t60999\n", 10_000, 32_767),
        ("12000\t20000\n", 20_001, 65_535),
        ("1024\t65535\n", 10_000, 65_535),
        ("10000\t65535\n", 10_000, 65_535),
        (None, 10_000, 32_767),
    ],
    ids=["usual", "low", "all", "all but the lowest", "not Linux"],
)
def test_they_are_none_that_connections_get_where_there_is_room(
    connections: str | None, low: int, high: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = tmp_path / "range"
    if connections is not None:
        said.write_text(connections)
    monkeypatch.setattr(free_port, "_CONNECTIONS", said)
    assert free_port._range() == (low, high)
    assert all(low <= port <= high for port in free_ports(20))
