"""Keys, tokens and secrets: there, closed to others, of one pair, in the right role."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from clownfish.bus import credentials, is_exposed, public_half
from clownfish.checkup.finding import Finding, fault, ok, warning
from clownfish.errors import ClownfishError
from clownfish.keys import Key, KeyFolder, Role, read_public, read_secret
from clownfish.settings import Config
from clownfish.web.access import read_token

_NEW = "clownfish keys new makes a key; docs/security.md says where each half goes"


def keys(config: Config) -> list[Finding]:
    """This device's keys, the router's folder, the page's and the sinks' secrets."""
    found: list[Finding] = []
    folder, faults = _folder(config)
    found += faults
    if config.uplink is not None:
        to = config.uplink
        found.append(_device("uplink", "edge", to, [to.control, to.data], folder))
    if config.worker is not None:
        found.append(_device("worker", "worker", config.worker, [config.worker.router], folder))
    for section, listener in (("page", config.page), ("metrics", config.metrics)):
        if listener is not None and listener.token_file:
            found.append(_token(section, listener.token_file))
    for sink in config.sinks:
        found += _secrets(sink.name, sink.sink.options)
    return found


def _device(section: str, role: Role, settings: Any, endpoints: list[str], folder: KeyFolder | None) -> Finding:
    name = f"key [{section}]"
    try:
        if not settings.key:
            credentials(section, "", "", endpoints, insecure=True)
            open_to = next(filter(is_exposed, endpoints), None)
            if open_to is None:
                return ok(name, "none needed: the router is on this host")
            said = f"none, and {open_to} is beyond this host: frames travel in the clear"
            remedy = "give it key and router_key: clownfish keys new, and authorize it there (docs/security.md)"
            return (warning if settings.insecure else fault)(name, said, remedy)
        own = read_secret(Path(settings.key))
        router = read_public(settings.router_key)
    except ClownfishError as error:
        return fault(name, str(error), _NEW)
    if mixed := _halves(own, Path(settings.key)):
        return fault(name, mixed, "restore both halves from where they were made, or make a new key and authorize it")
    if own.public == router:
        return fault(name, "router_key is this device's own key", "give the router's: router.pub of its folder")
    if own.role != role:
        said = f"{settings.key} was made for a {own.role}; [{section}] needs one for a {role}"
        return fault(name, said, f"clownfish keys new {own.name} --role {role}, and authorize that one")
    if folder is not None and folder.own.public != router:
        said = f"router_key is another router's than the one in {folder.folder}"
        return fault(name, said, f"set router_key to {folder.folder / 'router.pub'}")
    if folder is not None and folder.device(own.public, role) is None:
        said = f"{own.name!r} is not authorized as {role} in {folder.folder}"
        return fault(name, said, f"clownfish keys authorize {Path(settings.key).with_suffix('.pub')}")
    return ok(name, f"{own.name!r}, whole, closed to others")


def _halves(key: Key, path: Path) -> str:
    """What is wrong with a key whose halves are of two keys; empty where they belong together."""
    if public_half(key.secret) == key.public:
        return ""
    return f"{path}: its public half does not belong to its secret half"


def _folder(config: Config) -> tuple[KeyFolder | None, list[Finding]]:
    """The router's folder, and what is to be said of it."""
    name, router = "key [router]", config.router
    if router is None:
        return None, []
    if not router.keys:
        exposed = next(filter(is_exposed, (router.control, router.data, router.workers)), None)
        if exposed is None:
            return None, [ok(name, "none needed: it listens on this host alone")]
        said = f"none, and {exposed} is reached by other hosts: anybody may use the workers"
        remedy = "give [router] keys: clownfish keys new router (docs/security.md), or listen on 127.0.0.1"
        return None, [(warning if router.insecure else fault)(name, said, remedy)]
    try:
        folder = KeyFolder(Path(router.keys))
        change = folder.reload()
        mixed = _halves(folder.own, folder.folder / "router.key")
    except ClownfishError as error:
        return None, [fault(name, str(error), "clownfish keys new router makes such a folder")]
    if mixed:
        return None, [fault(name, mixed, "restore it; or make a new one, and give every device its router.pub")]
    found = [
        warning(name, each, "mend or remove that file: it lets nobody in") for each in (change.faults if change else ())
    ]
    if not len(folder):
        return folder, [*found, warning(name, f"nobody may come in: {folder.authorized} is empty", _AUTHORIZE)]
    return folder, [*found, ok(name, f"{router.keys}: {len(folder)} devices may come in")]


_AUTHORIZE = "clownfish keys authorize NAME.pub, for each edge and worker"


def _token(section: str, path: str) -> Finding:
    name = f"key [{section}] token"
    try:
        read_token(path)
    except ClownfishError as error:
        return fault(name, str(error).replace("page.", f"{section}.", 1), "write a long random text there, mode 600")
    return ok(name, f"{path}: there")


def _secrets(sink: str, options: Any) -> list[Finding]:
    """Files of passwords and certificates that a sink is told."""
    found = []
    for option, value in options.items():
        if not (option.endswith("_file") or option in ("ca", "certificate", "key")) or not isinstance(value, str):
            continue
        name = f"key sink {sink}"
        try:
            with Path(value).open("rb") as file:
                empty, mode = not file.read(1), os.fstat(file.fileno()).st_mode & 0o077
        except OSError as error:
            found.append(fault(name, f"{option}: {error}", "write it there, readable by this user alone"))
            continue
        if empty:
            found.append(fault(name, f"{option}: {value} is empty", "write it there, readable by this user alone"))
        elif mode and option not in ("ca", "certificate"):
            found.append(warning(name, f"{option}: others may read {value}", f"chmod 600 {value}"))
        else:
            found.append(ok(name, f"{option}: {value} is there"))
    return found
