"""Keys of devices: their files, and the folder that says who may come in (DESIGN §7; layer 1).

A key is a pair of Curve25519 halves, each written as 40 characters (Z85). A key file is a ZeroMQ certificate, as
`zmq.auth` reads it; the secret half is in `NAME.key`, mode 0600, and `NAME.pub` may be passed on. A router's folder:

    router.key           the router's own secret        router.pub   what edges and workers need to know it by
    authorized/*.pub     who may connect, each in its role: `edge` or `worker`
    revoked/*.pub        who may not any more; kept, so that nobody lets such a key in again by mistake

Whatever cannot be read, or could have been written by others, lets nobody in.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from clownfish.errors import ConfigError

Role: TypeAlias = Literal["edge", "worker"]
ROLES: tuple[Role, ...] = get_args(Role)
ROUTER = "router"
KEY_CHARACTERS = 40
_KEY = re.compile(r"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_LINE = re.compile(r'\s*([a-z-]+)\s*=\s*"([^"]*)"\s*')
_MOST_BYTES = 4096
_MOST_DEVICES = 100_000


@dataclass(frozen=True)
class Key:
    """One key file. `secret` is empty where the file has the public half alone."""

    name: str
    public: str
    secret: str = field(default="", repr=False)
    role: Role = "edge"


def read_key(path: Path) -> Key:
    """The key in a file. Raises ConfigError where it is none, or is secret and open to others."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            text = file.read(_MOST_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"key file {path}: cannot be read: {error}; `clownfish keys new` makes one") from error
    found = {match[1]: match[2] for line in text.splitlines() if (match := _LINE.fullmatch(line))}
    key = Key(
        found.get("name", path.stem), found.get("public-key", ""), found.get("secret-key", ""), _role(path, found)
    )
    for half, value in (("public-key", key.public), ("secret-key", key.secret)):
        if not _KEY.fullmatch(value) and not (half == "secret-key" and not value):
            raise ConfigError(f'{path}: expected {half} = "…", 40 characters of Z85; read {len(value)} characters')
    if key.secret and (status.st_mode & 0o077 or status.st_uid not in (os.getuid(), 0)):
        raise ConfigError(
            f"{path} holds a secret key, belongs to user {status.st_uid} and has mode {status.st_mode & 0o777:o}; "
            f"expected user {os.getuid()} and mode 600: chmod 600 {path}, and make a new key if others saw this one"
        )
    return key


def read_secret(path: Path) -> Key:
    """`read_key`, for a file that must hold both halves."""
    key = read_key(path)
    if not key.secret:
        raise ConfigError(f"{path} holds a public key alone; expected the file ending in .key, which holds the secret")
    return key


def read_public(text: str) -> str:
    """A public key: the 40 characters themselves, or the file that holds them."""
    return text if _KEY.fullmatch(text) and not Path(text).exists() else read_key(Path(text)).public


def write_key(path: Path, key: Key) -> None:
    """Write a key file that is whole at any moment; mode 0600 where it holds a secret. Raises ConfigError."""
    if not _NAME.fullmatch(key.name):
        raise ConfigError(f"key name {key.name!r}: expected letters, digits, `_`, `-` and `.`, 64 at most")
    what = "SECRET: it never leaves the machine that uses it" if key.secret else "public: it may be passed on"
    lines = ["#   A key of Clownfish, " + what, "metadata", f'    name = "{key.name}"', f'    role = "{key.role}"']
    lines += ["curve", f'    public-key = "{key.public}"']
    if key.secret:
        lines.append(f'    secret-key = "{key.secret}"')
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if key.secret else 0o644)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise ConfigError(f"key file {path}: cannot be written: {error}") from error


@dataclass(frozen=True)
class Change:
    """What a look at the folder found that was not so before."""

    added: tuple[Key, ...] = ()
    revoked: tuple[Key, ...] = ()
    faults: tuple[str, ...] = ()
    """Files that let nobody in, and why."""


class KeyFolder:
    """A router's folder of keys. `reload` looks again; whoever it does not find there any more is out."""

    def __init__(self, folder: Path) -> None:
        """Raises ConfigError where the folder, or the router's own key in it, is missing or open to others."""
        self.folder = folder
        self.authorized = folder / "authorized"
        self._devices: Mapping[str, Key] = {}
        self._seen: object = None
        for each in (folder, self.authorized):
            if fault := _fault(each):
                raise ConfigError(f"{fault}; `clownfish keys new router --folder {folder}` makes such a folder")
        self.own = read_secret(folder / f"{ROUTER}.key")

    def __len__(self) -> int:
        return len(self._devices)

    def device(self, public: str, role: Role) -> Key | None:
        """Who has this public key and may come in this role; None: nobody."""
        key = self._devices.get(public)
        return key if key is not None and key.role == role else None

    def reload(self) -> Change | None:
        """Look at the folder again; None where nothing was touched. Takes well under a millisecond then."""
        seen = _glance(self.authorized)
        if seen == self._seen:
            return None
        self._seen = seen
        before, self._devices, faults = self._devices, *self._read()
        now = self._devices
        return Change(
            tuple(key for public, key in now.items() if before.get(public) != key),
            tuple(key for public, key in before.items() if now.get(public) != key),
            tuple(faults),
        )

    def _read(self) -> tuple[dict[str, Key], list[str]]:
        devices: dict[str, Key] = {}
        if fault := _fault(self.authorized):
            return devices, [fault]
        faults: list[str] = []
        for path in sorted(self.authorized.glob("*.pub"))[:_MOST_DEVICES]:
            try:
                if fault := _fault(path):
                    raise ConfigError(fault)
                key = read_key(path)
                if key.public in devices:
                    raise ConfigError(f"{path}: this key is {devices[key.public].name!r} already")
                devices[key.public] = key
            except ConfigError as error:
                faults.append(str(error))
        return devices, faults


def _role(path: Path, found: Mapping[str, str]) -> Role:
    for role in ROLES:
        if found.get("role", ROLES[0]) == role:
            return role
    raise ConfigError(f"{path}: role {found['role']!r}; known: {', '.join(ROLES)}")


def _fault(path: Path) -> str | None:
    """Why this file or folder cannot be trusted to say who may come in."""
    try:
        status = path.stat()
    except OSError as error:
        return f"{path}: cannot be read: {error}"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or status.st_uid not in (os.getuid(), 0):
        return (
            f"{path} belongs to user {status.st_uid} with mode {status.st_mode & 0o777:o}; expected user {os.getuid()} "
            "and that nobody else may write, or others could let themselves in: chmod go-w"
        )
    return None


def _glance(folder: Path) -> object:
    """Differs when a file in the folder came, went or was written."""
    try:
        with os.scandir(folder) as entries:
            files = [(entry.name, entry.stat()) for entry in entries if entry.name.endswith(".pub")]
        status = folder.stat()
    except OSError as error:
        return str(error)
    marks = [(name, s.st_mtime_ns, s.st_ctime_ns, s.st_size, s.st_ino) for name, s in files]
    return status.st_mode, status.st_uid, sorted(marks)
