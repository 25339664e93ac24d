"""Test tools: folders of keys, and devices with one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clownfish.bus import Credentials, new_pair
from clownfish.keys import Key, Role, write_key


@dataclass(frozen=True)
class Keyring:
    """A router's folder of keys, and the devices' own files beside it."""

    folder: Path
    router: Key

    def device(self, name: str, role: Role = "edge", authorized: bool = True) -> Credentials:
        """A device with a fresh key."""
        key = Key(name, *new_pair(), role=role)
        write_key(self.secret(name), key)
        if authorized:
            self.authorize(key)
        return Credentials(key, self.router.public)

    def secret(self, name: str) -> Path:
        return self.folder / "devices" / f"{name}.key"

    def authorize(self, key: Key) -> None:
        write_key(self.folder / "authorized" / f"{key.name}.pub", Key(key.name, key.public, role=key.role))

    def revoke(self, name: str) -> None:
        (self.folder / "authorized" / f"{name}.pub").unlink()


def keyring(folder: Path) -> Keyring:
    """A folder for a router with a fresh key, in which nobody is authorized."""
    key = Key("router", *new_pair())
    write_key(folder / "router.key", key)
    (folder / "authorized").mkdir(mode=0o700)
    return Keyring(folder, key)
