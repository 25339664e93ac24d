"""`clownfish watch`: a graph with its live page, from a configuration or a single source (layer 4)."""

from __future__ import annotations

import os
import socket
import sys
import webbrowser
from dataclasses import replace
from importlib.util import find_spec

from clownfish.errors import ConfigError
from clownfish.lab.free_port import free_port
from clownfish.section import host_port
from clownfish.settings import Config, Page

LIBRARIES = ("starlette", "uvicorn", "websockets")


def check_extra() -> None:
    """Raises ConfigError without the page's libraries: before a graph is started that would lack it."""
    missing = [name for name in LIBRARIES if find_spec(name) is None]
    if missing:
        raise ConfigError(f"the page needs {', '.join(missing)}: pip install 'clownfish[web]', or say --no-web")


def listen_on(wanted: str) -> str:
    """HOST:PORT for the page of a demonstration: as wanted, or with another port where that one is taken."""
    host, port = host_port(wanted)
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return f"{wanted.rpartition(':')[0]}:{free_port()}"
    return wanted


def with_page(config: Config, listen: str | None) -> Config:
    """The same graph with a page, at `listen` if that is said."""
    page = config.page or Page()
    return replace(config, page=replace(page, listen=listen) if listen else page)


def address(config: Config) -> str:
    """What a browser is told. Raises ConfigError where the token cannot be read."""
    from clownfish.web.access import read_token

    assert config.page is not None  # who asks has seen to it
    token = read_token(config.page.token_file)
    host, _, port = config.page.listen.rpartition(":")
    host = "127.0.0.1" if host in ("0.0.0.0", "[::]") else host
    return f"http://{host}:{port}/" + (f"?token={token}" if token else "")


def open_browser(url: str) -> bool:
    """Open it where there is a screen. Returns whether."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    return webbrowser.open(url)
