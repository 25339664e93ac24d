"""`clownfish lab`: thin, the work is in the modules beside this one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from clownfish.lab.net.check import Checked
    from clownfish.lab.net.plan import Backend

lab_app = typer.Typer(
    no_args_is_help=True,
    help="Real processes over an emulated network, on one machine (Linux, as root).",
)

BackendOption = Annotated[str, typer.Option("--backend", help="netem, tbf or link. Default: what the machine can do.")]


@lab_app.command("profiles")
def profiles_command() -> None:
    """The network profiles there are, and what this machine makes them with."""
    from rich.console import Console

    from clownfish.errors import ConfigError
    from clownfish.lab.net.capabilities import capabilities
    from clownfish.lab.net.plan import plan
    from clownfish.lab.net.profile import known_profiles, read_profile

    console = Console()
    for name in known_profiles():
        profile = read_profile(name)
        try:
            by: str = plan(profile, capabilities()).backend
        except ConfigError:
            by = "-"
        console.print(f"{name:18} {by:6} {profile.about}", highlight=False, soft_wrap=True)


@lab_app.command("plan")
def plan_command(
    profile: Annotated[str, typer.Argument(help="Name of a network profile, or a .toml file")],
    backend: BackendOption = "",
) -> None:
    """Every command that makes a profile real here, without doing it."""
    from clownfish.lab.net.capabilities import capabilities
    from clownfish.lab.net.plan import plan
    from clownfish.lab.net.profile import read_profile

    made = plan(read_profile(profile), capabilities(), backend_of(backend))
    typer.echo(f"# {made.backend}: {made.why}")
    for step in (*made.steps, *made.changes):
        typer.echo(str(step))
    if made.period_s is not None:
        typer.echo(f"# and again every {made.period_s:g} s")


@lab_app.command("check")
def check_command(
    profiles: Annotated[list[str] | None, typer.Argument(metavar="[PROFILE...]", help="Default: all of them")] = None,
    backend: BackendOption = "",
    at_once: Annotated[int, typer.Option(min=1, max=16, help="Profiles measured at the same time.")] = 3,
) -> None:
    """Measure round trip, rate and loss of network profiles. Exit status 1 where one is not what it says."""
    import time

    from rich.console import Console

    from clownfish import log
    from clownfish.lab.net.capabilities import capabilities
    from clownfish.lab.net.check import check
    from clownfish.lab.net.plan import plan
    from clownfish.lab.net.profile import known_profiles, read_profile

    log.configure("lab", "console", "warning")
    asked = backend_of(backend)
    chosen = [read_profile(name) for name in profiles or known_profiles()]
    plans = [plan(profile, capabilities(), asked) for profile in chosen]
    begin = time.monotonic()
    with Console(stderr=True).status(f"measuring {len(chosen)} profiles …") as status:

        def done(checked: Checked) -> None:
            status.update(f"measured: {checked.profile}")

        result = check(chosen, asked, at_once, done)
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)  # in a file or a pipe nothing needs folding
    console.print(_table(result))
    for made in {made.backend: made for made in plans}.values():
        console.print(f"{made.backend}: {made.why}", highlight=False, soft_wrap=True)
    off = [checked.profile for checked in result if not checked.well]
    console.print(f"{time.monotonic() - begin:.0f} s; " + (f"off: {', '.join(off)}" if off else "all as asked"))
    raise typer.Exit(1 if off else 0)


@lab_app.command("shape")
def shape_command(
    device: Annotated[str, typer.Argument(metavar="IFACE", help="A network interface of this machine")],
    profile: Annotated[str, typer.Argument(help="Name of a network profile, or a .toml file")],
    seconds: Annotated[float, typer.Option(min=1, max=86_400, help="Then it is cleared.")] = 600,
) -> None:
    """Make a real interface behave as a profile says: what goes out as `up`, what comes in as `down`.

    It is cleared at the end, at Ctrl-C, and when this process is killed, whatever the signal.
    """
    import signal
    import threading

    from clownfish import log
    from clownfish.lab.net.follow import follow
    from clownfish.lab.net.interface import enter, shaped
    from clownfish.lab.net.profile import read_profile

    log.configure("lab", "console", "warning")
    chosen = read_profile(profile)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    with shaped(device, chosen, seconds):
        typer.echo(f"{device} is {chosen.name} for {seconds:g} s ({chosen.about}); Ctrl-C clears it")
        follow(chosen.timeline, lambda phase: enter(device, phase), stop, until_s=seconds)
    typer.echo(f"{device} is cleared")


@lab_app.command("clear")
def clear_command(
    device: Annotated[str, typer.Argument(metavar="IFACE", help="A network interface of this machine")],
) -> None:
    """Take away what `shape` left on an interface, and nothing else."""
    from clownfish.lab.net.interface import clear

    removed = clear(device)
    typer.echo(f"{device}: " + (f"cleared {' and '.join(removed)}" if removed else "nothing of ours to clear"))


def _table(result: list[Checked]) -> Table:
    from rich.table import Table

    table = Table(title="asked / got", title_justify="left", show_edge=False)
    for name in ("profile", "by", "round trip, ms", "up, Mbit/s", "down, Mbit/s", "round-trip loss", ""):
        table.add_column(name)
    for checked in result:
        cells = []
        for name in ("rtt", "up", "down", "loss"):
            finding = checked.findings[name]
            colour = "" if finding.well else "[red]"
            cells.append(f"{colour}{finding.asked} / {finding.got}")
        table.add_row(checked.profile, checked.backend, *cells, "well" if checked.well else "[red]off")
    return table


def backend_of(name: str) -> Backend | None:
    """Raises ConfigError for one that there is not."""
    from clownfish.errors import ConfigError
    from clownfish.lab.net.plan import BACKENDS

    for backend in BACKENDS:
        if backend == name:
            return backend
    if name:
        raise ConfigError(f"--backend is {name!r}; expected {', '.join(BACKENDS)}")
    return None
