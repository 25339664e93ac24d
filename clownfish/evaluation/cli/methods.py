"""`clownfish eval methods`: fusion methods beside the paper's, on the same streams and windows sent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clownfish.evaluation.cli.options import (
    Data,
    DatasetName,
    DatasetOption,
    DumpFolder,
    Pair,
    Part,
    Remote,
    Root,
    Videos,
    chosen_set,
    numbers,
    plugin,
    settings_of,
)

if TYPE_CHECKING:
    from clownfish.evaluation.beyond.methods import Row


def methods(
    method: Annotated[
        list[str], typer.Option(metavar="KIND[,OPTION=VALUE...]", help="recurrent,weights=zoo:… ; repeatable.")
    ],
    videos: Videos = None,
    data: Data = "",
    part: Part = "",
    dataset: DatasetName = "",
    root: Root = None,
    option: DatasetOption = None,
    pair: Pair = "",
    remote: Remote = "",
    output: Annotated[Path, typer.Option(help="Folder for methods.csv and methods.png.")] = Path("runs/methods"),
    n_w: Annotated[str, typer.Option("--n-w", help="Filter intervals.")] = "6,20",
    lags: Annotated[str, typer.Option(help="Lags in windows.")] = "0,1,2,3,4,5,6,7,8",
    policy: Annotated[str, typer.Option(metavar="KIND[,OPTION=VALUE...]", help="What chooses.")] = "context_aware",
    dumps: DumpFolder = Path("runs/dumps"),
) -> None:
    """Live and final accuracy of fusion methods by lag and interval, with paired intervals against the paper's."""
    from rich.console import Console

    from clownfish.evaluation.beyond.methods import Row, Stream, compute, draw
    from clownfish.evaluation.compare import Settings
    from clownfish.evaluation.paper.rows import write_rows
    from clownfish.evaluation.paper.style import save
    from clownfish.evaluation.recorder import Recorder
    from clownfish.evaluation.replay import rhos
    from clownfish.settings import Plugin

    named = chosen_set(videos, data, part, dataset, root, option or (), pair)
    said = settings_of(named, "", remote, "", "jpeg", "auto", "fp32")
    similarity = Plugin("siminet", {"weights": said.siminet}) if said.siminet else Plugin("cosine")
    with Console(stderr=True).status("") as status:
        streams = [
            Stream(dump, truth, rhos(dump, Settings(similarity=similarity).build_similarity(dump, truth)))
            for _, dump, truth in Recorder(said.record, dumps).labelled(named.sources, status.update)
        ]
        rows = compute(
            streams,
            said.fusion,
            [plugin(each) for each in method],
            intervals=numbers("--n-w", n_w, 1),
            lags=numbers("--lags", lags, 0),
            policy=plugin(policy),
            said=status.update,
        )
    write_rows(output / "methods.csv", Row, rows)
    save(draw(rows), output / "methods.png")
    _show(rows)


def _show(rows: list[Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(show_edge=False, pad_edge=False)
    for n, name in enumerate(("method", "n_w", "lag", "bytes", "live", "gain", "95 %", "final", "gain", "95 %")):
        table.add_column(name, justify="right" if n else "left", no_wrap=True)
    for row in rows:
        table.add_row(
            row.method,
            "" if row.n_w is None else str(row.n_w),
            "" if row.lag is None else str(row.lag),
            f"{100 * row.bytes_share:.1f}",
            f"{100 * row.live:.1f}",
            *_gain(row.live_gain, row.live_gain_low, row.live_gain_high),
            f"{100 * row.final:.1f}",
            *_gain(row.final_gain, row.final_gain_low, row.final_gain_high),
        )
    Console(width=120).print(table)


def _gain(value: float | None, low: float | None, high: float | None) -> tuple[str, str]:
    if value is None or low is None or high is None:
        return "", ""
    return f"{100 * value:+.1f}", f"{100 * low:+.1f} … {100 * high:+.1f}"
