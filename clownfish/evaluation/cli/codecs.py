"""`clownfish eval codecs`: what each codec costs over the link, and the remote model in accuracy, on real windows."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clownfish.evaluation.cli.options import (
    Data,
    DatasetName,
    DatasetOption,
    DeviceName,
    Pair,
    Part,
    PrecisionName,
    Remote,
    Root,
    Videos,
    chosen_set,
    numbers,
    plugin,
    settings_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clownfish.evaluation.uplink_codecs import Row


def codecs(
    videos: Videos = None,
    data: Data = "",
    part: Part = "",
    dataset: DatasetName = "",
    root: Root = None,
    option: DatasetOption = None,
    pair: Pair = "",
    remote: Remote = "",
    codec: Annotated[
        list[str] | None, typer.Option(metavar="KIND[,OPTION=VALUE...]", help="In place of those tried; repeatable.")
    ] = None,
    n_w: Annotated[str, typer.Option("--n-w", help="Filter intervals; the model is asked at the last.")] = "1,6",
    seconds: Annotated[float, typer.Option(min=1, help="Of each stream, from its beginning.")] = 60,
    every: Annotated[int, typer.Option(min=1, help="The model sees each such window of those sent.")] = 2,
    output: Annotated[Path, typer.Option(help="The table as CSV.")] = Path("runs/codecs.csv"),
    kept: Annotated[Path, typer.Option(help="Folder of what is measured: a run that was killed goes on.")] = Path(
        "runs/codecs"
    ),
    device: DeviceName = "auto",
    precision: PrecisionName = "fp32",
) -> None:
    """Bytes, times, likeness and remote accuracy of codecs, on windows sent as the live graph sends them."""
    from rich.console import Console

    from clownfish.errors import DatasetError
    from clownfish.evaluation.paper.rows import write_rows
    from clownfish.evaluation.recorder import Recorder
    from clownfish.evaluation.uplink_codecs import DEFAULT, Row, Stream, measure
    from clownfish.evaluation.uplink_tallies import Tallies
    from clownfish.models.load import load_model
    from clownfish.sources import open_source

    named = chosen_set(videos, data, part, dataset, root, option or (), pair)
    said = settings_of(named, "", remote, "", "raw", device, precision).record
    plugins = [plugin(each) for each in codec] if codec else list(DEFAULT)
    intervals = numbers("--n-w", n_w, 1)
    recorder, streams = Recorder(said), []
    for source, truth in named.sources.items():
        if truth is None:
            raise DatasetError(f"{source}: has no ground truth; put a .csv beside it")
        header, truth = recorder.check(source, truth)
        assert truth is not None
        streams.append(Stream(header, truth, partial(open_source, source), round(seconds * header.fps)))
    with Console(stderr=True).status("") as status:
        model = load_model(said.remote, said.device, said.precision)
        rows = measure(streams, model, plugins, intervals, every, status.update, Tallies(kept))
    write_rows(output, Row, rows)
    _show(rows)
    print(output)


def _show(rows: Sequence[Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    from clownfish.evaluation.uplink_codecs import chosen

    table = Table(show_edge=False, pad_edge=False)
    names = (
        "codec",
        "n_w",
        "bytes a window",
        "kbit/s",
        "encode ms",
        "decode ms",
        "PSNR dB",
        "right",
        "changed",
        "change",
        "95 %",
    )
    for n, name in enumerate(names):
        table.add_column(name, justify="right" if n else "left", no_wrap=n == 0)
    for row in rows:
        asked = row.accuracy is not None
        table.add_row(
            row.codec,
            str(row.n_w),
            f"{row.window_bytes:,.0f}",
            f"{row.kbit_s:.1f}",
            f"{row.encode_ms:.1f}",
            f"{row.decode_ms:.1f}",
            f"{row.psnr_db:.1f}",
            f"{100 * (row.accuracy or 0):.1f}" if asked else "",
            f"{100 * (row.changed or 0):.1f}" if asked else "",
            f"{100 * (row.change or 0):+.2f}" if asked else "",
            f"{100 * (row.change_low or 0):+.2f} … {100 * (row.change_high or 0):+.2f}" if asked else "",
        )
    console = Console(width=150)
    console.print(table)
    best = chosen(rows)
    if best is not None:
        console.print(
            f"cheapest that loses less than half a point, as measured: {best.codec}, {best.kbit_s:.0f} kbit/s"
        )
