"""`clownfish watch` and `run --web`: what they make of ports, tokens and a missing extra, before a graph is started."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from clownfish.cli import watch
from clownfish.cli.options import RunOptions, build_config
from clownfish.config import validate
from clownfish.errors import ConfigError
from clownfish.section import host_port, is_exposed

TOKEN = "a-long-text-that-nobody-guesses"


def test_without_the_extra_it_is_said_before_a_graph_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    watch.check_extra()
    monkeypatch.setattr(watch, "LIBRARIES", ("starlette", "no_such_package"))
    with pytest.raises(ConfigError, match=r"the page needs no_such_package: pip install 'clownfish\[web\]'"):
        watch.check_extra()


def test_a_demonstration_takes_another_port_where_its_own_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        wanted = f"127.0.0.1:{taken.getsockname()[1]}"
        host, port = host_port(watch.listen_on(wanted))
        assert host == "127.0.0.1"
        assert port not in (0, taken.getsockname()[1])
    assert watch.listen_on(wanted) == wanted


@pytest.mark.parametrize("listen", ["0.0.0.0:8642", "[::]:8642"])
def test_the_address_that_is_said_can_be_followed_and_has_the_token(tmp_path: Path, listen: str) -> None:
    (tmp_path / "token").write_text(TOKEN)
    tree = {"router": {}, "page": {"listen": listen, "token_file": str(tmp_path / "token")}}
    config = validate(tree, "test")
    assert watch.address(config) == f"http://127.0.0.1:8642/?token={TOKEN}"
    here = watch.with_page(validate({"router": {}}, "test"), "localhost:1234")
    assert watch.address(here) == "http://localhost:1234/"


def test_a_page_s_graph_has_a_link_between_uplink_and_router(tmp_path: Path) -> None:
    config = build_config(RunOptions("shapes:test/0", page="127.0.0.1:8642"), tmp_path)
    assert config.link is not None
    assert config.uplink is not None
    assert config.router is not None
    assert (config.uplink.control, config.uplink.data) == (config.link.control, config.link.data)
    assert (config.router.control, config.router.data) == (config.link.to_control, config.link.to_data)
    assert len({config.link.control, config.link.data, config.link.to_control, config.link.to_data}) == 4
    plain = build_config(RunOptions("shapes:test/0"), tmp_path)
    assert (plain.page, plain.link) == (None, None)


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("tcp://127.0.0.1:7100", ("127.0.0.1", 7100)),
        ("box.lan:80", ("box.lan", 80)),
        ("tcp://[fe80::1]:9", ("fe80::1", 9)),
    ],
)
def test_an_address_is_a_host_and_a_port(address: str, found: tuple[str, int]) -> None:
    assert host_port(address) == found


def test_loopback_alone_is_not_exposed() -> None:
    assert not any(map(is_exposed, ("tcp://127.0.0.1:1", "tcp://[::1]:1", "tcp://localhost:1", "ipc:///tmp/x")))
    assert all(map(is_exposed, ("tcp://0.0.0.0:1", "tcp://[::]:1", "tcp://box.lan:1", "tcp://10.0.0.1:1")))
