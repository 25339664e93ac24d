"""`clownfish status` and `clownfish health`: how a running graph fares, asked from outside (layer 4).

Both listen to what the supervisor publishes in the graph's run folder. Nothing in the graph waits for them, or knows.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import time
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, Group
from rich.table import Table

from clownfish.bus import Bus
from clownfish.cli.tables import plain_table, resident_mb
from clownfish.config import load_config
from clownfish.errors import ConfigError
from clownfish.health import SUPERVISOR, Verdict, verdict_of
from clownfish.messages import Status
from clownfish.overview import CloudLine, Heard, Overview, StreamLine, overview
from clownfish.process import WATCH_SOCKET
from clownfish.settings import ipc_in, run_root
from clownfish.supervisor import LOCK, is_running
from clownfish.within import within

_PATIENCE_S = 3.0
"""A graph says how it fares once a second; a loaded box is slower."""

ConfigFile = Annotated[
    Path | None,
    typer.Argument(help="The graph's TOML file; without, the one graph that runs here", show_default=False),
]
Sets = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override one value; repeatable.")]


class Probe(str, Enum):
    """What `health` is asked."""

    live = "live"
    ready = "ready"


def status_command(
    config: ConfigFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs")] = False,
    seconds: Annotated[float, typer.Option(min=1.1, max=60, help="How long to listen; rates are over this time")] = 2.5,
    sets: Sets = None,
) -> None:
    """Say how a running graph fares: processes, streams, the cloud. Exit status 1 where none answers."""
    run_dir = find_run_dir(config, sets)
    listener = asyncio.run(listen(run_dir, seconds))
    now = time.monotonic()
    seen = overview(listener.first, listener.newest, listener.supervisor, now)
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(seen), indent=2, ensure_ascii=False))
    else:
        Console().print(render(seen, run_dir))
    raise typer.Exit(0 if listener.supervisor is not None else 1)


def health_command(
    probe: Annotated[Probe, typer.Argument(help="live: nothing hangs; ready: every process does its work")],
    config: ConfigFile = None,
    sets: Sets = None,
) -> None:
    """For probes of systemd and Kubernetes: exit status 0 where the graph is live, or ready; else 1, and why."""
    verdict = asyncio.run(ask(find_run_dir(config, sets)))
    well, why = (verdict.live, verdict.hung) if probe is Probe.live else (verdict.ready, verdict.unready)
    for process, words in why.items():
        typer.echo(f"{process} {words}", err=True)
    raise typer.Exit(0 if well else 1)


def find_run_dir(config: Path | None, sets: list[str] | None) -> Path:
    """The run folder of that configuration, or of the only graph that runs here. Raises ConfigError."""
    if config is not None:
        return load_config(config, sets or ()).run_dir()
    root = run_root()
    running = sorted(path.parent for path in root.glob(f"*/{LOCK}") if is_running(path.parent))
    if len(running) == 1:
        return running[0]
    if not running:
        raise ConfigError(f"no graph runs in {root}; name its configuration file, where it has another graph.run_dir")
    raise ConfigError(f"several graphs run here: {', '.join(path.name for path in running)}; name one's file")


class Listener:
    """What was heard of a graph: of each process the first and the newest status."""

    def __init__(self) -> None:
        self.first: dict[str, Heard] = {}
        self.newest: dict[str, Heard] = {}
        self.supervisor: Heard | None = None
        self.whole = asyncio.Event()
        """Set while the supervisor and every process that was ever heard have been heard: the processes twice."""

    def take(self, status: Status, now: float) -> None:
        if status.service == SUPERVISOR:
            self.supervisor = (now, status)
        else:
            first, heard = self.first.get(status.service), (now, status)
            if first is None or first[1].pid != status.pid:
                self.first[status.service] = heard
            self.newest[status.service] = heard
        if self.supervisor is not None and all(self.newest[name] is not first for name, first in self.first.items()):
            self.whole.set()
        else:
            self.whole.clear()


async def listen(run_dir: Path, seconds: float) -> Listener:
    """Listen for that long, and for some more where nothing was heard."""
    listener = Listener()
    bus = Bus(lambda name: None)
    inbox = bus.subscriber(ipc_in(run_dir, WATCH_SOCKET), WATCH_SOCKET, (Status,))

    async def take() -> None:
        async for status in inbox:
            listener.take(status, time.monotonic())

    task = asyncio.ensure_future(take())
    await asyncio.sleep(seconds)
    with contextlib.suppress(asyncio.TimeoutError):
        await within(listener.whole.wait(), _PATIENCE_S)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    bus.close(0)
    return listener


async def ask(run_dir: Path) -> Verdict:
    """The supervisor's newest verdict, as soon as it comes."""
    bus = Bus(lambda name: None)
    inbox = bus.subscriber(ipc_in(run_dir, WATCH_SOCKET), WATCH_SOCKET, (Status,))

    async def heard() -> Status | None:
        async for status in inbox:
            if status.service == SUPERVISOR:
                assert isinstance(status, Status)
                return status
        return None

    try:
        return verdict_of(await within(heard(), _PATIENCE_S), 0.0)
    except asyncio.TimeoutError:
        return verdict_of(None, _PATIENCE_S)
    finally:
        bus.close(0)


# -- for people


def render(seen: Overview, run_dir: Path) -> Group:
    """Tables: processes, streams, the cloud."""
    word = "[green]ready[/]" if seen.ready else "[yellow]not ready[/]" if seen.live else "[red]hangs[/]"
    parts: list[Table | str] = [f"{run_dir.name}: {word}", *(f"  {name} {why}" for name, why in seen.reasons.items())]
    parts += ["", _processes(seen)]
    if seen.streams:
        parts += ["", _streams(seen.streams)]
    if seen.cloud is not None:
        parts += ["", _cloud(seen.cloud, seen)]
    return Group(*parts)


def _processes(seen: Overview) -> Table:
    rows = []
    for line in seen.processes:
        memory = resident_mb(line.pid) if line.pid is not None else None
        rows.append(
            (
                line.process,
                line.pid or "-",
                line.state,
                line.done,
                line.dropped,
                line.restarts,
                "-" if memory is None else f"{memory:.0f}",
                line.text.replace("\n", " ")[:36],
            )
        )
    return plain_table("Processes", ("", "pid", "state", "done", "drops", "restarts", "MB", ""), rows)


def _streams(streams: tuple[StreamLine, ...]) -> Table:
    rows = [
        (
            line.stream,
            "stalled" if line.stalled else f"{line.fps:.1f}",
            f"{line.answers_per_s:.1f}",
            line.answers,
            _or_dash(line.beta, "{:.2f}"),
            _or_dash(line.last_lag, "{}"),
            _or_dash(line.agreement, "{:.0%}"),
            line.corrected,
        )
        for line in streams
    ]
    return plain_table(
        "Streams", ("", "frames/s", "answers/s", "answers", "β", "last lag", "agreement", "corrected"), rows
    )


def _cloud(cloud: CloudLine, seen: Overview) -> Table:
    rows: list[tuple[str, str]] = [
        ("state", cloud.state or "-"),
        ("windows sent / answered", f"{cloud.windows_sent} / {cloud.windows_answered}"),
        ("not answered, by reason", ", ".join(f"{why} {count}" for why, count in cloud.dropped.items()) or "-"),
        ("waiting / in flight", f"{cloud.waiting} / {cloud.in_flight}"),
        ("oldest that waits", f"{cloud.oldest_waiting_s:.1f} s"),
        ("sent", f"{cloud.bytes_sent / 1e6:.2f} MB, {cloud.bytes_per_s / 1e3:.0f} kB/s now"),
        ("round trip, p50 / p99", _both(cloud.round_trip_ms)),
        ("capture to answer, p50 / p99", _both(seen.capture_to_answer_ms)),
        ("lags, in windows", ", ".join(f"{lag}: {count}" for lag, count in sorted(seen.lags.items(), key=_lag)) or "-"),
        ("labels corrected for each MB", _or_dash(cloud.corrections_per_mb, "{:.1f}")),
    ]
    return plain_table("Cloud", ("", ""), rows)


def _lag(item: tuple[str, int]) -> int:
    return int(item[0].rstrip("+"))


def _both(percentiles: tuple[float, float] | None) -> str:
    return "-" if percentiles is None else "{:.0f} / {:.0f} ms".format(*percentiles)


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
