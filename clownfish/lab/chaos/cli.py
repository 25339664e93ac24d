"""`clownfish lab chaos`: thin, the work is in the modules beside this one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from clownfish.lab.chaos.run import Outcome

_SHOWN = 20
"""Faults that are printed; more are only counted."""


def chaos_command(
    edges: Annotated[int, typer.Option(min=1, help="Uplink processes")] = 50,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes")] = 4,
    seconds: Annotated[float, typer.Option(min=1, help="How long processes are killed")] = 600.0,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two strikes, on average")] = 3.0,
    seed: Annotated[int, typer.Option(help="Of strikes, victims and streams")] = 1,
    overload: Annotated[float, typer.Option(min=0.1, help="What edges ask for, over what workers can do")] = 1.5,
    deadline: Annotated[float, typer.Option(min=0.5, help="Seconds until an answer is of no use any more")] = 8.0,
) -> None:
    """Kill router, workers and edges at random, cut edges off, account for every window. Exit status 1 on a fault."""
    from rich.console import Console

    from clownfish import log
    from clownfish.lab.chaos.run import ChaosOptions, chaos

    log.configure("chaos", "console", "error")
    with Console(stderr=True).status("") as status:
        outcome = chaos(ChaosOptions(edges, workers, seconds, every, seed, overload, deadline), status.update)
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)  # in a file or a pipe nothing needs folding
    show(outcome, console)
    raise typer.Exit(1 if outcome.faults else 0)


def show(outcome: Outcome, console: Console) -> None:
    """Strikes, fates and fairness; then the faults."""
    import numpy as np
    from rich.table import Table

    total, options = outcome.fates.total(), outcome.options
    table = Table(
        title=f"{options.edges} edges, {options.workers} workers, {outcome.seconds:.0f} s, seed {options.seed}"
    )
    for name in ("what", "count", "share"):
        table.add_column(name, justify="left" if name == "what" else "right")
    for kind, count in sorted(outcome.strikes.items()):
        table.add_row(f"struck: {kind}", str(count), "")
    table.add_section()
    table.add_row("windows offered", str(total), "")
    for fate, count in outcome.fates.most_common():
        table.add_row(f"  {fate}", str(count), f"{count / max(total, 1):.2%}")
    table.add_section()
    steady = outcome.steady
    table.add_row("edges left alone", str(len(steady)), "")
    table.add_row(
        "  answers of each: least / mean / most", f"{min(steady)} / {np.mean(steady):.1f} / {max(steady)}", ""
    )
    judged = "farthest from the mean" + ("" if outcome.overloaded else " (no overload: not judged)")
    table.add_row(f"  {judged}", "", f"{outcome.deviation:.2%}")
    if outcome.latencies_s:
        p50, p99 = np.nanpercentile(outcome.latencies_s, (50, 99))
        table.add_row("  offer to answer, p50 / p99", f"{p50:.2f} / {p99:.2f} s", "")
    console.print(table)
    for fault in outcome.faults[:_SHOWN]:
        console.print(f"FAULT: {fault}", highlight=False, soft_wrap=True)
    console.print(
        f"{len(outcome.faults)} faults" if outcome.faults else "every window accounted for, none answered twice"
    )
