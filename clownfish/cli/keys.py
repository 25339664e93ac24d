"""`clownfish keys …`: keys of devices, and who may come in (layer 4)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from clownfish.bus import new_pair
from clownfish.errors import ConfigError
from clownfish.keys import ROLES, ROUTER, Key, Role, read_key, write_key

keys_app = typer.Typer(help="Make keys, and say who may connect to a router.", no_args_is_help=True)

Folder = Annotated[Path, typer.Option(help="The router's folder of keys ([router] keys)")]
_FOLDER = Path("keys")


@keys_app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="The device's name; `router` makes the router's folder, too")],
    folder: Annotated[Path, typer.Option(help="Where to: NAME.key (secret) and NAME.pub are written")] = _FOLDER,
    role: Annotated[str, typer.Option(help="What the device is: edge or worker")] = ROLES[0],
) -> None:
    """Make a key. Make it where it will be used: the secret half never has to travel."""
    key = Key(name, *new_pair(), _role(role))
    secret, public = folder / f"{name}.key", folder / f"{name}.pub"
    for path in (secret, public):
        if path.exists():
            raise ConfigError(f"{path} exists; a new key would lock out whoever knows the old one: move it away first")
    write_key(secret, key)
    write_key(public, Key(name, key.public, role=key.role))
    if name == ROUTER:
        (folder / "authorized").mkdir(mode=0o700, exist_ok=True)
    typer.echo(f"{secret}: secret, stays here\n{public}: {key.public}")


@keys_app.command("authorize")
def authorize(
    public: Annotated[Path, typer.Argument(help="The device's NAME.pub")],
    folder: Folder = _FOLDER,
    name: Annotated[str, typer.Option(help="What to call it. Default: as the file says")] = "",
    role: Annotated[str, typer.Option(help="edge or worker. Default: as the file says")] = "",
) -> None:
    """Let a device in. A router that runs sees it within a second."""
    key = read_key(public)
    key = Key(name or key.name, key.public, role=_role(role) if role else key.role)
    for state, path, known in _entries(folder):
        if known.public == key.public and state == "revoked":
            raise ConfigError(
                f"this key of {known.name!r} was revoked: make the device a new one, or delete {path} if that was wrong"
            )
        if state == "authorized" and (known.public == key.public) != (known.name == key.name):
            raise ConfigError(f"{path}: {known.name!r} is authorized with key {known.public}; revoke it first")
    write_key(folder / "authorized" / f"{key.name}.pub", key)
    typer.echo(f"{key.name} may connect as {key.role}: {key.public}")


@keys_app.command("revoke")
def revoke(
    name: Annotated[str, typer.Argument(help="The device's name, or its public key")], folder: Folder = _FOLDER
) -> None:
    """Shut a device out. A router that runs cuts it off within a second."""
    for state, path, key in _entries(folder):
        if state == "authorized" and name in (key.name, key.public):
            write_key(folder / "revoked" / f"{key.name}-{_safe(key.public)}.pub", key)
            path.unlink()
            typer.echo(f"{key.name} is revoked: {key.public}")
            return
    known = ", ".join(key.name for state, _, key in _entries(folder) if state == "authorized")
    raise ConfigError(f"{folder}: no device {name!r} is authorized; known: {known or 'none'}")


@keys_app.command("list")
def list_(folder: Folder = _FOLDER) -> None:
    """Who may connect, and who may not any more."""
    table = Table("device", "role", "state", "key")
    for state, _, key in _entries(folder):
        table.add_row(key.name, key.role, state, Text(key.public))  # a key may look like markup
    Console(width=None if Console().is_terminal else 120).print(table)


def _entries(folder: Path) -> list[tuple[str, Path, Key]]:
    if not (folder / "authorized").is_dir():
        raise ConfigError(f"{folder} is no router's folder of keys; `clownfish keys new router --folder {folder}`")
    return [
        (state, path, read_key(path))
        for state in ("authorized", "revoked")
        for path in sorted((folder / state).glob("*.pub"))
    ]


def _role(text: str) -> Role:
    for role in ROLES:
        if role == text:
            return role
    raise ConfigError(f"--role {text!r}; known: {', '.join(ROLES)}")


def _safe(public: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in public[:12])
