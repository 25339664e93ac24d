"""`clownfish bench` and `clownfish lab soak`: thin, the work is in the modules beside this one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PARTS = ("fusion", "replay", "graph", "streams")
ON_REQUEST = ("hostile", "fickle", "router", "pool", "page", "cameras")
"""Measured only where asked for: an attack takes minutes, as does a camera that dies again and again; the cloud's parts
keep processes to cores of their own."""


def bench_command(
    quick: Annotated[bool, typer.Option("--quick", help="A minute or two, with fewer samples.")] = False,
    source: Annotated[str, typer.Option(help="Video for the graph. Default: real video where it is, else drawn.")] = "",
    local: Annotated[str, typer.Option(help="Local model. Default: the zoo's, else random weights.")] = "",
    remote: Annotated[str, typer.Option(help="Remote model, likewise.")] = "",
    cores: Annotated[int, typer.Option(min=0, help="Cores to measure on; 0: all.")] = 2,
    only: Annotated[
        list[str] | None, typer.Option(metavar="PART", help=f"Of {', '.join(PARTS + ON_REQUEST)}; repeatable.")
    ] = None,
    messages: Annotated[int | None, typer.Option(min=1, help="For hostile: how many. Default: a million.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the numbers here, too.")] = None,
) -> None:
    """Costs, each beside its yardstick in the same run. Best on an idle machine."""
    import json
    from dataclasses import replace

    from rich.console import Console

    from clownfish import log
    from clownfish.errors import ConfigError
    from clownfish.lab.bench import QUICK, BenchOptions, Effort, bench
    from clownfish.lab.figures import figures_table, use_table

    log.configure("bench", "console", "warning")
    unknown = sorted(set(only or ()) - {*PARTS, *ON_REQUEST})
    if unknown:
        raise ConfigError(f"--only {unknown[0]!r}; known: {', '.join(PARTS + ON_REQUEST)}")
    effort = QUICK if quick else Effort()
    if messages is not None:
        effort = replace(effort, hostile_messages=messages)
    options = BenchOptions(effort, source, local, remote, cores, tuple(only or PARTS))
    with Console(stderr=True).status("") as status:
        result = bench(options, status.update)
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)  # in a file or a pipe nothing needs folding
    console.print(figures_table(result.lines))
    if result.uses:
        console.print(use_table(result.uses))
    if json_file is not None:
        json_file.write_text(json.dumps(result.numbers(), indent=2) + "\n", encoding="utf-8")


def soak_command(
    config: Annotated[Path, typer.Argument(help="TOML file, as for `up`; configs/soak.toml", show_default=False)],
    minutes: Annotated[float, typer.Option(min=0.1, help="How long, after it has settled")] = 30.0,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two samples")] = 10.0,
    settle: Annotated[float, typer.Option(min=0, help="Seconds left out at the beginning")] = 120.0,
    memory: Annotated[float, typer.Option(min=0, help="MB per hour that RSS or USS of a process may grow")] = 4.0,
    handles: Annotated[float, typer.Option(min=0, help="Descriptors or threads per hour, likewise")] = 4.0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the numbers here, too.")] = None,
    sets: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override one value")] = None,
) -> None:
    """Run a graph for long and tell what grows in its processes. Exit status 1 where something does, beyond the limits.

    It grows where the slope's 95 % interval lies above 0 and its middle above the limit.
    """
    import json
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table

    from clownfish import log
    from clownfish.config import load_config
    from clownfish.lab.folder import run_folder
    from clownfish.lab.soak import SoakOptions, soak

    log.configure("soak", "console", "warning")
    options = SoakOptions(minutes, every, settle, memory, handles)
    with run_folder() as folder, Console(stderr=True).status("") as status:
        settings = load_config(config, [*(sets or ()), f'graph.run_dir="{folder / "run"}"'])
        found = soak(settings, folder / "logs", options, status.update)
    table = Table(title=f"{minutes:g} minutes, a sample each {every:g} s; growth per hour with its 95 % interval")
    for name in ("process", "what", "first", "last", "most", "per hour", "from", "to", ""):
        table.add_column(name, justify="left" if name in ("process", "what", "") else "right")
    for each in found:
        numbers = (each.first, each.last, each.most, each.per_h.slope, each.per_h.low, each.per_h.high)
        table.add_row(each.process, each.measure, *(f"{n:.2f}" for n in numbers), "GROWS" if each.too_much else "")
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)  # in a file or a pipe nothing needs folding
    console.print(table)
    if json_file is not None:
        grown = [{**asdict(each), "too_much": each.too_much} for each in found]
        text = json.dumps({"options": asdict(options), "grown": grown}, indent=2)
        json_file.write_text(text + "\n", encoding="utf-8")
    raise typer.Exit(1 if any(each.too_much for each in found) else 0)
