"""The link to the router: reached, how far away, and whether it lets this device in."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from pathlib import Path

from clownfish.bus import Bus, Credentials, credentials, fresh_routing_id
from clownfish.checkup.finding import Finding, fault, in_thread, ok
from clownfish.errors import ClownfishError
from clownfish.section import host_port
from clownfish.settings import Config
from clownfish.within import within

_CONNECT_S, HANDSHAKE_S = 3.0, 4.0
_UNREACHED = "start the router there (clownfish router), check address, route and firewall: nc -vz HOST PORT"


async def links(config: Config, running: bool, patience_s: float = HANDSHAKE_S) -> list[Finding]:
    """Each endpoint of a router that this host's processes connect to; `patience_s` for a handshake."""
    work = []
    if config.uplink is not None:
        to = config.uplink
        for name in ("control", "data"):
            work.append(
                link(f"link {name}", "uplink", getattr(to, name), to.key, to.router_key, config, running, patience_s)
            )
    if config.worker is not None:
        at = config.worker
        work.append(link("link worker", "worker", at.router, at.key, at.router_key, config, running, patience_s))
    return list(await asyncio.gather(*work))


async def link(
    name: str, section: str, endpoint: str, key: str, router_key: str, config: Config, running: bool, patience_s: float
) -> Finding:
    """One endpoint: TCP first, then the handshake, CURVE where there is a key. Nothing is sent."""
    if not running and starts_here(config, endpoint):
        return ok(name, f"{endpoint} is this graph's own, and starts with it")
    try:
        curve = credentials(section, key, router_key, (endpoint,), insecure=True)
    except ClownfishError:
        return ok(name, f"{endpoint} is not asked without a key that can be read: see above")
    if endpoint.startswith("ipc://"):
        path = Path(endpoint.removeprefix("ipc://"))
        if not await in_thread(path.is_socket):
            return fault(name, f"{endpoint}: nobody listens there", _UNREACHED)
        return await _handshake(name, endpoint, curve, "", patience_s)
    host, port = host_port(endpoint)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET  # as ZeroMQ looks names up
    try:
        # in a thread of its own: the loop's would be waited for at the end, and a name server may be away
        found = await within(in_thread(lambda: socket.getaddrinfo(host, port, family)), _CONNECT_S)
        began = time.monotonic()
        _, writer = await within(asyncio.open_connection(str(found[0][4][0]), port), _CONNECT_S)
    except asyncio.TimeoutError:
        return fault(name, f"{endpoint}: no answer within {_CONNECT_S:g} s", _UNREACHED)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
        return fault(name, f"{endpoint} cannot be reached: {why}", _UNREACHED)
    round_trip = f", {1000 * (time.monotonic() - began):.1f} ms away"
    writer.close()
    with contextlib.suppress(OSError, asyncio.TimeoutError):
        await within(writer.wait_closed(), 1.0)
    return await _handshake(name, endpoint, curve, round_trip, patience_s)


def starts_here(config: Config, endpoint: str) -> bool:
    """Whether it is this graph's router, or simulated link, that will listen there."""
    router, simulated = config.router, config.link
    listens = [router.control, router.data, router.workers] if router is not None else []
    listens += [simulated.control, simulated.data] if simulated is not None else []
    if endpoint in listens:
        return True
    if not endpoint.startswith("tcp://"):
        return False
    host, port = host_port(endpoint)
    everywhere = ("0.0.0.0", "::", "*")
    return host in ("127.0.0.1", "localhost", "::1") and any(
        host_port(each)[1] == port and host_port(each)[0] in (*everywhere, "localhost")
        for each in listens
        if each.startswith("tcp://")
    )


async def _handshake(
    name: str, endpoint: str, curve: Credentials | None, round_trip: str, patience_s: float
) -> Finding:
    bus = Bus(lambda counted: None)
    try:
        dealer = bus.dealer(endpoint, "doctor", (), routing_id=fresh_routing_id(), curve=curve)
        met, trouble = asyncio.ensure_future(dealer.met()), asyncio.ensure_future(dealer.trouble())
        done, waiting = await asyncio.wait([met, trouble], timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        if trouble in done:
            said, _, advice = trouble.result().rpartition("; ")
            return fault(name, said or advice, advice)
        if met not in done:
            said = f"{endpoint} takes the connection, but no handshake came within {patience_s:g} s"
            return fault(name, said, "what listens there is no router of this release: check address and port")
        how = f"lets {curve.own.name!r} in" if curve is not None else "answers"
        return ok(name, f"{endpoint} {how}{round_trip}")
    finally:
        bus.close(0)
