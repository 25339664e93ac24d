"""`clownfish stream`: streams are added to a running graph and removed from it, without a restart (layer 4)."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from clownfish.cli.status import find_run_dir
from clownfish.cli.tables import plain_table
from clownfish.config import load_config, put_sets
from clownfish.control import ask
from clownfish.errors import ConfigError
from clownfish.kept_streams import KeptStreams, forget
from clownfish.runfolder import is_running
from clownfish.sources import split_source

_OPENS_S = 5.0
"""How long a new stream's first frame, or why there is none, is waited for."""
_ASK_S = 0.1

stream_app = typer.Typer(help="Add streams to a running graph, and remove them.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The stream's", show_default=False)]
File = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="The graph's TOML file; without, the one graph that runs here"),
]


@stream_app.command("add")
def add_command(
    name: Name,
    source: Annotated[
        str, typer.Argument(help="As in [[streams]]; - reads it from standard input: it may hold a password")
    ],
    options: Annotated[
        list[str] | None,
        typer.Option("--option", "--set", metavar="KEY=VALUE", help="As in [[streams]]: fps=15, loop=true; repeatable"),
    ] = None,
    config: File = None,
) -> None:
    """Read one stream more, from now on and after every restart. The others miss nothing."""
    table: dict[str, Any] = {"name": name, "source": sys.stdin.readline().strip() if source == "-" else source}
    put_sets(table, options or ())
    if isinstance(table["source"], str):
        table["source"] = from_here(table["source"])
    asyncio.run(_add(_running(config), table))


async def _add(run_dir: Path, table: dict[str, Any]) -> None:
    said = await ask(run_dir, "add", table)
    name = table["name"]
    if not said["told"]:
        typer.echo(f"{name} is added; capture does not answer now, and reads it as soon as it is back")
        return
    give_up = time.monotonic() + _OPENS_S
    fares: dict[str, Any] = {"state": "opens", "why": ""}
    while fares["state"] == "opens" and time.monotonic() < give_up:
        await asyncio.sleep(_ASK_S)
        streams = (await ask(run_dir, "list"))["streams"]
        fares = next((each for each in streams if each["name"] == name), {"state": "removed", "why": ""})
    typer.echo(f"{name} is added")
    if fares["state"] == "waits":
        typer.echo(f"{name} delivers nothing yet and is tried again and again: {fares['why']}", err=True)
    elif fares["state"] == "ended" and fares["why"]:
        typer.echo(f"{name} is over: {fares['why']}; remove it, mend that, and add it again", err=True)
    elif fares["state"] not in ("delivers", "ended"):
        typer.echo(f"{name} delivers nothing yet ({fares['state']}); see `clownfish stream list`", err=True)


@stream_app.command("rm")
def remove_command(name: Name, config: File = None) -> None:
    """Read that stream no more, whether it was added or is configured: also not after a restart."""
    said = asyncio.run(ask(_running(config), "remove", {"name": name}))
    typer.echo(f"{name} is removed" + ("" if said["told"] else "; capture does not answer now"))


@stream_app.command("list")
def list_command(
    config: File = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs")] = False,
) -> None:
    """Say which streams there are, where each comes from, and how it fares. Of a graph that does not run: which of them
    it will have."""
    if config is not None and not is_running(load_config(config).run_dir()):
        kept = KeptStreams(load_config(config))
        said = kept.listed({stream.name: {"state": "the graph does not run"} for stream in kept.config.streams})
    else:
        said = asyncio.run(ask(_running(config), "list"))
    if as_json:
        typer.echo(json.dumps(said, indent=2, ensure_ascii=False))
        return
    rows = [
        (each["name"], each["from"], each["state"], each.get("frames", "-"), each["source"]) for each in said["streams"]
    ]
    console = Console()
    console.print(plain_table("", ("stream", "from", "state", "frames", "source"), rows))
    for each in said["streams"]:
        if each.get("why"):
            console.print(f"{each['name']}: {each['why']}", markup=False)
    if said["removed"]:
        console.print(f"configured, and removed since: {', '.join(said['removed'])}")


@stream_app.command("reset")
def reset_command(config: File = None) -> None:
    """Back to the configuration: what was added goes, and what was removed comes back."""
    if config is not None and not is_running(load_config(config).run_dir()):
        changed = forget(load_config(config))
        typer.echo("as configured" if changed else "nothing was added or removed: as configured")
        return
    said = asyncio.run(ask(_running(config), "reset"))
    for what, names in (("added", said["removed"]), ("removed before", said["added"])):
        if names:
            typer.echo(f"{what}: {', '.join(names)}")
    typer.echo("as configured")


def _running(config: Path | None) -> Path:
    """The run folder of the graph that is meant. Raises ConfigError where it does not run."""
    run_dir = find_run_dir(config, None)
    if not is_running(run_dir):
        raise ConfigError(f"no graph runs in {run_dir}; start it with `clownfish up {config}`")
    return run_dir


def from_here(source: str) -> str:
    """The graph was started in another folder than this command, perhaps: a path that is there from here is made one
    that is there from everywhere."""
    kind, what = split_source(source)
    if kind not in ("video", "images") or not Path(what).exists():
        return source
    path = str(Path(what).absolute())
    return path if kind == "video" else f"{kind}:{path}"
