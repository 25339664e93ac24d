"""`clownfish bench`: thin, the work is in the modules beside this one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PARTS = ("fusion", "replay", "graph", "streams")
ON_REQUEST = ("hostile", "router", "pool", "page", "cameras")
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
