"""`clownfish model bench`: thin, the work is in `lab.engines` (layer 4)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from clownfish.models.engines.base import Device


def model_bench(
    model: Annotated[str, typer.Argument(help="zoo:SET/MODEL, or the path of a description")],
    source: Annotated[str, typer.Option(help="Real windows: a video file, or puppets:test/0, shapes:test/0")],
    engines: Annotated[str, typer.Option(help="Names, with commas; the command fails if one is of no use.")] = "all",
    windows: Annotated[int, typer.Option(min=1, max=2000, help="How many, spread over the source.")] = 200,
    max_changed: Annotated[
        float, typer.Option(min=0, max=1, help="Share of answers that a recommended engine may change.")
    ] = 0.01,
    calibration: Annotated[
        str, typer.Option(help="Source that torch-int8 is calibrated on. Default: other windows of --source.")
    ] = "",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "cpu",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the numbers here, too.")] = None,
) -> None:
    """Compare engines on real windows: latency, agreement with fp32. Recommends the fastest that answers alike."""
    import json

    from rich.console import Console

    from clownfish import log
    from clownfish.lab.engine_report import engine_numbers, engine_table, failures, verdict
    from clownfish.lab.engines import EngineBenchOptions, bench_engines

    log.configure("bench", "console", "warning")
    names = () if engines == "all" else tuple(each.strip() for each in engines.split(","))
    options = EngineBenchOptions(model, source, names, windows, max_changed, calibration, _device(device))
    with Console(stderr=True).status("") as status:
        result = bench_engines(options, status.update)
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)  # in a file or a pipe nothing needs folding
    console.print(engine_table(result))
    for line in verdict(result):
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    if json_file is not None:
        json_file.write_text(json.dumps(engine_numbers(result), indent=2) + "\n", encoding="utf-8")
    if failures(result):
        raise typer.Exit(1)


def _device(read: str) -> Device:
    from clownfish.errors import ConfigError

    devices: dict[str, Device] = {"auto": "auto", "cpu": "cpu", "cuda": "cuda"}
    if read not in devices:
        raise ConfigError(f"--device is {read!r}; expected auto, cpu or cuda")
    return devices[read]
