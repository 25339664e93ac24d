"""The command `clownfish` (layer 4). It starts services by name and imports none."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live

from clownfish import __version__
from clownfish import log as logging
from clownfish.cli.doctor import doctor_command
from clownfish.cli.keys import keys_app
from clownfish.cli.lab import lab_run_command
from clownfish.cli.model import model_app
from clownfish.cli.onerun import run_source
from clownfish.cli.options import RunOptions, build_config
from clownfish.cli.status import health_command, status_command
from clownfish.cli.stream import stream_app
from clownfish.cli.tables import status_table
from clownfish.cli.watch import address, check_extra, listen_on, open_browser, with_page
from clownfish.config import load_config, put_sets, schema, validate
from clownfish.errors import ClownfishError, ConfigError
from clownfish.evaluation.cli import eval_app
from clownfish.evaluation.cli.tune import tune_command
from clownfish.kept_streams import KeptStreams
from clownfish.lab.chaos.cli import chaos_command
from clownfish.lab.cli import bench_command, soak_command
from clownfish.lab.folder import run_folder
from clownfish.lab.net.cli import lab_app
from clownfish.pair import DEFAULT, read_pair
from clownfish.settings import Config, Page, to_tree
from clownfish.supervisor import Supervisor
from clownfish.training.cli import calibrate_command, train_app

app = typer.Typer(
    help="Real-time video analytics that a small edge box and a cloud do together.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
config_app = typer.Typer(help="Look at configurations.", no_args_is_help=True)
app.add_typer(config_app, name="config")
app.add_typer(train_app, name="train")
app.add_typer(eval_app, name="eval")
app.add_typer(keys_app, name="keys")
app.add_typer(model_app, name="model")
app.add_typer(stream_app, name="stream")
lab_app.command("run")(lab_run_command)
lab_app.command("chaos")(chaos_command)
lab_app.command("soak")(soak_command)
app.add_typer(lab_app, name="lab")
app.command("bench")(bench_command)
app.command("calibrate")(calibrate_command)
app.command("tune")(tune_command)
app.command("doctor")(doctor_command)
app.command("status")(status_command)
app.command("health")(health_command)

ConfigFile = Annotated[Path, typer.Argument(help="TOML file", show_default=False)]
Sets = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override one value; repeatable.")]

Record = Annotated[
    Path | None,
    typer.Option("--record", metavar="FOLDER", help="Keep all that fusion sees and says, for `clownfish eval replay`."),
]


KeepGoing = Annotated[
    bool,
    typer.Option(
        "--keep-going", help="Do without a sink, page, metrics or trace that cannot start, and try it again and again."
    ),
]


@app.command()
def up(config: ConfigFile, record: Record = None, keep_going: KeepGoing = False, sets: Sets = None) -> None:
    """Start a process graph and look after it. Ctrl-C drains it, a second one stops it at once."""
    recorded = [f"record.folder={json.dumps(str(record.absolute()), ensure_ascii=False)}"] if record is not None else []
    settings = load_config(config, [*recorded, *(sets or ())])
    logging.configure("up", settings.log.format, settings.log.level)
    raise typer.Exit(asyncio.run(_up(settings, KeptStreams(settings), keep_going)))


async def _up(settings: Config, kept: KeptStreams | None = None, keep_going: bool = False) -> int:
    """`kept`: the streams may be changed meanwhile, and were before."""
    settings = settings if kept is None else kept.config
    console = Console(stderr=True)
    # A table that is drawn again and again, and lines that processes write meanwhile, spoil each other.
    table = console.is_terminal and not any(sink.sink.kind == "console" for sink in settings.sinks)
    supervisor = Supervisor(settings, log_dir=settings.run_dir() if table else None, kept=kept, keep_going=keep_going)
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            supervisor.kill_all()
            os._exit(130)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    if table:
        console.print(f"logs: {settings.run_dir()}/*.log")
    work = asyncio.ensure_future(_start_and_watch(supervisor, console, table))
    await asyncio.wait([work, asyncio.ensure_future(stop.wait())], return_when=asyncio.FIRST_COMPLETED)
    try:
        if work.done():
            work.result()  # only ever a failure
    finally:
        work.cancel()
        await supervisor.stop(drain=stop.is_set())
    return 0


async def _start_and_watch(supervisor: Supervisor, console: Console, table: bool) -> None:
    await supervisor.start()
    if not table:
        await supervisor.run_until(lambda: False)
    with Live(status_table(supervisor.children), console=console, refresh_per_second=2) as live:
        supervisor.on_status = lambda: live.update(status_table(supervisor.children))
        await supervisor.run_until(lambda: False)


@app.command()
def run(
    source: Annotated[str, typer.Argument(help="A video file, images:FOLDER, camera:0, rtsp://…, shapes:test/0")],
    pair: Annotated[str, typer.Option(help="Models and settings: zoo:SET, or a .toml file")] = "",
    n_w: Annotated[int | None, typer.Option(help="Send every n_w-th window (and transitions)")] = None,
    codec: Annotated[str | None, typer.Option(help="Uplink codec: raw, png, jpeg, webp, h264, hevc")] = None,
    cloud: Annotated[bool, typer.Option(help="Whether there is a cloud (one router, one worker) in the box")] = True,
    fast: Annotated[bool, typer.Option(help="As fast as the graph takes it, not in real time")] = False,
    seconds: Annotated[float | None, typer.Option(help="Play only the beginning")] = None,
    baselines: Annotated[bool, typer.Option(help="Afterwards, run both models over every window, to compare")] = True,
    output: Annotated[Path | None, typer.Option(help="Keep every answer in this JSONL file")] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw what happened as a timeline (PNG)")] = None,
    record: Record = None,
    web: Annotated[bool, typer.Option(help="Show it on a live page meanwhile, with a link that can be cut")] = False,
    sets: Sets = None,
) -> None:
    """Run one source through edge and cloud on this machine, and sum up."""
    logging.configure("run", "console", "warning")
    page = ""
    if web:
        check_extra()
        page = listen_on(Page().listen)
    options = RunOptions(
        source, pair, n_w, codec, cloud, fast, baselines, seconds, output, picture, record, page, tuple(sets or ())
    )
    console = Console()
    if page:
        _say_page(console, f"http://{page}/")
    run_source(options, console)


def _say_page(console: Console, url: str) -> None:
    opened = " (opened in your browser)" if open_browser(url) else ""
    console.print(f"live page: [bold]{url}[/bold]{opened}", highlight=False, soft_wrap=True)


@app.command()
def watch(
    what: Annotated[str, typer.Argument(help="A TOML file as for `up`, or a source as for `run`", show_default=False)],
    listen: Annotated[str | None, typer.Option(help="HOST:PORT of the page. Default: as configured")] = None,
    pair: Annotated[str, typer.Option(help="Of a source: models and settings")] = "",
    sets: Sets = None,
) -> None:
    """Start a graph with its live page, until Ctrl-C; of a source, with a cloud on this box and a link between."""
    check_extra()
    kept = None
    with ExitStack() as stack:
        if what.endswith((".toml", ".json")):
            settings = with_page(load_config(what, sets or ()), listen)
            kept = KeptStreams(settings)
        else:
            options = RunOptions(what, pair, page=listen or listen_on(Page().listen), sets=tuple(sets or ()))
            settings = build_config(options, stack.enter_context(run_folder()))
        logging.configure("watch", settings.log.format, settings.log.level)
        _say_page(Console(stderr=True), address(settings))
        code = asyncio.run(_up(settings, kept))
    raise typer.Exit(code)


def _service(name: str, config: Path, sets: list[str] | None, extra: list[str]) -> None:
    command = [sys.executable, "-m", f"services.{name}", "--config", str(config), *extra]
    for item in sets or ():
        command += ["--set", item]
    os.execv(sys.executable, command)


@app.command()
def router(
    config: Annotated[Path | None, typer.Argument(help="TOML file. Default: this host alone, the default pair")] = None,
    insecure: Annotated[bool, typer.Option(help="Listen beyond this host without authentication")] = False,
    pool: Annotated[str, typer.Option(help="Start workers, too, as many as are needed: local, or ray")] = "",
    address: Annotated[str, typer.Option(help="With --pool ray: auto, local, or HOST:PORT of the cluster")] = "",
    sets: Sets = None,
) -> None:
    """Run the cloud's front: edges connect to it, and workers."""
    sets = [*(sets or ()), *(["router.insecure=true"] if insecure else [])]
    sets += [f"pool.{key}={value}" for key, value in (("kind", pool), ("address", address)) if value]
    if config is not None:
        settings = load_config(config, sets)
        if settings.router is None:
            raise ConfigError(f"{config}: [router] is missing: it says where edges and workers find this router")
        if not pool and not address:
            _service("router", config, sets, [])
    else:
        tree = {"graph": {"name": "cloud"}, "router": {}, "worker": read_pair(DEFAULT)["worker"]}
        put_sets(tree, sets)
        settings = validate(tree, "router")
    settings = replace(settings, streams=(), worker=settings.worker if settings.pool else None)
    logging.configure("router", settings.log.format, settings.log.level)
    raise typer.Exit(asyncio.run(_up(settings)))


@app.command()
def worker(
    config: ConfigFile,
    name: Annotated[str, typer.Option(help="One of several workers on a host needs a name of its own")] = "0",
    insecure: Annotated[bool, typer.Option(help="Work for a router beyond this host without a key")] = False,
    sets: Sets = None,
) -> None:
    """Run one worker: it loads the large model and answers what the router gives it."""
    load_config(config, sets or ())
    _service("worker", config, [*(sets or ()), *(["worker.insecure=true"] if insecure else [])], ["--name", name])


@config_app.command("check")
def config_check(config: ConfigFile, sets: Sets = None) -> None:
    """Say whether a file is right; if not, name every fault."""
    settings = load_config(config, sets or ())
    sections = [name for name in ("streams", "router", "worker", "pool", "sinks") if getattr(settings, name)]
    typer.echo(f"{config}: right ({', '.join(sections)})")


@config_app.command("show")
def config_show(config: ConfigFile, sets: Sets = None) -> None:
    """Print every value that is in force, defaults included."""
    typer.echo(json.dumps(to_tree(load_config(config, sets or ())), indent=2, ensure_ascii=False))


@config_app.command("schema")
def config_schema() -> None:
    """Print the JSON schema of configuration files, for editors."""
    typer.echo(json.dumps(schema(), indent=2, ensure_ascii=False))


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"clownfish {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it")] = False,
) -> None:
    pass


def main() -> Any:
    """The console script: what a user can mend is said in one line, without a traceback."""
    try:
        return app()
    except ClownfishError as error:
        typer.secho(f"error: {error}", fg="red", err=True)
        sys.exit(2)
