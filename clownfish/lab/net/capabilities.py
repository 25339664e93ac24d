"""What this machine can do, found by trying it in a scratch namespace: nothing of the box itself is touched."""

from __future__ import annotations

import os
from functools import cache

from clownfish.errors import ClownfishError
from clownfish.lab.net.namespace import Namespace
from clownfish.lab.net.plan import CAPABILITIES, Capabilities
from clownfish.lab.net.tun import open_tun

_TRIES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("veth", ("ip", "link", "add", "cf0", "type", "veth", "peer", "name", "cf1")),
    ("ifb", ("ip", "link", "add", "cf2", "type", "ifb")),
    ("tbf", ("tc", "qdisc", "add", "dev", "lo", "root", "tbf", "rate", "1mbit", "burst", "5000", "limit", "5000")),
    ("htb", ("tc", "qdisc", "replace", "dev", "lo", "root", "handle", "1:", "htb")),
    ("netem", ("tc", "qdisc", "replace", "dev", "lo", "root", "handle", "2:", "netem", "delay", "1ms")),
)
_HINTS = {
    "netem": "this kernel has no sch_netem (Debian and Ubuntu: package linux-modules-extra-$(uname -r); then "
    "modprobe sch_netem)",
}


@cache
def capabilities() -> Capabilities:
    """Tried once a process."""
    try:
        namespace = Namespace()
    except ClownfishError as error:
        return Capabilities(dict.fromkeys(CAPABILITIES, str(error)))
    missing: dict[str, str] = {}
    try:
        try:
            os.close(namespace.call(open_tun, "cf3"))
        except ClownfishError as error:
            missing["tun"] = str(error)
        for name, argv in _TRIES:
            try:
                namespace.run(argv)
            except ClownfishError as error:
                missing[name] = _HINTS.get(name, f"no {name}: {error}")
    finally:
        namespace.close()
    return Capabilities(missing)
