"""`clownfish lab run`: an experiment over an emulated network, for one or more methods and profiles (layer 4)."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from clownfish import log as logging
from clownfish.cli.experiment import METHODS, Method, Result, read_experiment, run_experiment
from clownfish.cli.tables import plain_table
from clownfish.errors import ConfigError
from clownfish.evaluation.cli.options import one_of
from clownfish.evaluation.metrics import accuracy
from clownfish.lab.net.capabilities import capabilities
from clownfish.lab.net.plan import plan
from clownfish.lab.net.profile import read_profile
from clownfish.lab.recorded import in_cloud


def lab_run_command(
    experiment: Annotated[str, typer.Argument(help="A .toml file as in configs/lab, or a source as for `run`")],
    profile: Annotated[list[str] | None, typer.Option(help="Network profile; repeatable, each is played")] = None,
    by: Annotated[str | None, typer.Option(help="What the profile goes on with: time, or each video")] = None,
    method: Annotated[list[str] | None, typer.Option(help=f"Of {', '.join(METHODS)}; repeatable")] = None,
    source: Annotated[list[str] | None, typer.Option(help="In place of the experiment's sources; repeatable")] = None,
    pair: Annotated[str | None, typer.Option(help="Models and settings: zoo:SET, or a .toml file")] = None,
    n_w: Annotated[int | None, typer.Option(help="Send every n_w-th window (and transitions)")] = None,
    codec: Annotated[str | None, typer.Option(help="Uplink codec: raw, png, jpeg, webp, h264, hevc")] = None,
    seconds: Annotated[float | None, typer.Option(help="Play only the beginning of each source")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the numbers here, too.")] = None,
    sets: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override one value")] = None,
) -> None:
    """Play sources through edge and cloud with a network in between, and sum up. Linux, as root."""
    logging.configure("lab", "console", "warning")
    asked = read_experiment(experiment)
    given: dict[str, Any] = {
        "sources": tuple(source) if source else None,
        "pair": pair,
        "n_w": n_w,
        "codec": codec,
        "seconds": seconds,
        "by": one_of("--by", by, ("time", "video")) if by is not None else None,
    }
    asked = replace(asked, **{name: value for name, value in given.items() if value is not None})
    asked = replace(asked, sets=(*asked.sets, *(sets or ())))
    methods = [_method(name) for name in method or ()] or [asked.method]
    profiles = [read_profile(name) for name in profile or [asked.profile]]
    for each in profiles:
        plan(each, capabilities())  # what this machine cannot make shows before minutes are spent
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)  # in a file or a pipe nothing needs folding
    results: list[Result] = []
    for network in profiles:
        for name in methods:
            if results and results[-1].interrupted:
                break
            console.print(f"{name}, {network.name} …", highlight=False)
            results.append(run_experiment(replace(asked, method=name), network, console))
            if json_file is not None:  # after each: the next may fail, and these took minutes
                numbers = [result.numbers() for result in results]
                json_file.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    console.print("", results_table(results))
    raise typer.Exit(130 if results[-1].interrupted else 0)


_COLUMNS = (
    "network", "method", "FPS in 5 s", "p50 / p99 ms", "lag 0 / 1 / more", "up Mbit/s", "edge / cloud CPU",
    "right live", "right final", "not answered",
)  # fmt: skip


def results_table(results: list[Result]) -> Table:
    """A line for each method in each network."""
    return plain_table(
        "by method and network",
        _COLUMNS,
        [_row(result) for result in results],
    )


def _row(result: Result) -> tuple[str, ...]:
    fps = f"{min(result.fps):.1f}–{max(result.fps):.1f}" if result.fps else "-"
    p50, p99 = (result.latency.percentile(q) for q in (50, 99))
    latency = "-" if p50 is None or p99 is None else f"{p50 / 1e6:.1f} / {p99 / 1e6:.1f}"
    lags = [result.lags.get("0", 0), result.lags.get("1", 0)]
    lags.append(sum(result.lags.values()) - sum(lags))
    edge, cloud = (
        sum(share for name, share in result.cpu.items() if name != "link" and in_cloud(name) is there)
        for there in (False, True)
    )
    rate_mbit = result.up_bytes * 8e-6 / result.seconds if result.seconds else 0.0
    lost = ", ".join(f"{name} {count}" for name, count in result.lost.items() if count)
    return (
        f"{result.profile} ({result.backend})",
        result.method,
        fps,
        latency,
        " / ".join(map(str, lags)),
        f"{rate_mbit:.2f}",
        f"{edge:.0%} / {cloud:.0%}",
        *(
            f"{accuracy(result.confusions[name]):.1%}" if name in result.confusions else "-"
            for name in ("live", "final")
        ),
        lost or "-",
    )


def _method(name: str) -> Method:
    for each in METHODS:
        if each == name:
            return each
    raise ConfigError(f"--method is {name!r}; expected {', '.join(METHODS)}")
