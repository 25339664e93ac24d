"""Ports that this graph wants to listen on."""

from __future__ import annotations

import errno
import socket

from clownfish.checkup.finding import Finding, fault, ok, warning
from clownfish.section import host_port
from clownfish.settings import Config


def wanted(config: Config) -> dict[str, str]:
    """Who listens → where, of all that is TCP."""
    listeners: dict[str, str] = {}
    if config.router is not None:
        for name in ("control", "data", "workers"):
            listeners[f"[router] {name}"] = getattr(config.router, name)
    if config.link is not None and config.streams:
        listeners |= {"[link] control": config.link.control, "[link] data": config.link.data}
    if config.page is not None:
        listeners["[page] listen"] = config.page.listen
    if config.metrics is not None:
        listeners["[metrics] listen"] = config.metrics.listen
    return {name: where for name, where in listeners.items() if not where.startswith("ipc://")}


def ports(config: Config, running: bool) -> list[Finding]:
    """Each port that is wanted: free, or why not. `running`: the graph runs, and has them."""
    found: list[Finding] = []
    by_port: dict[int, str] = {}
    for name, address in wanted(config).items():
        _, port = host_port(address)
        if port in by_port:
            said = f"{name} and {by_port[port]} both want port {port}"
            found.append(fault(f"port {port}", said, f"give {name} another port"))
            continue
        by_port[port] = name
        found.append(ok(f"port {port}", f"{name}: held by the graph that runs") if running else _free(name, address))
    return found


def _free(name: str, address: str) -> Finding:
    host, port = host_port(address)
    what = f"port {port}"
    try:
        family, _, _, _, to = socket.getaddrinfo(
            None if host == "*" else host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(to)
    except OSError as error:
        said, advice = f"{name} cannot listen on {host}:{port}: {error.strerror or error}", "another address or port"
        if error.errno == errno.EADDRINUSE:
            said = f"{name} wants {host}:{port}, which another program has"
            advice = f"`ss -ltnp 'sport = :{port}'` says which: end it, or choose another port"
        elif error.errno == errno.EACCES:
            advice = "ports below 1024 are root's: choose a higher one"
        elif error.errno == errno.EADDRNOTAVAIL:
            advice = "that address is not this host's: `ip addr` lists those that are, 0.0.0.0 means all"
        # without its metrics a graph goes on
        return (warning if name.startswith("[metrics]") else fault)(what, said, advice)
    return ok(what, f"{name}: free")
