"""`clownfish eval methods`: fusion methods beside the paper's, on the same streams and windows sent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clownfish.pair import DEFAULT, read_pair

if TYPE_CHECKING:
    from clownfish.evaluation.beyond.methods import Row, Stream


def methods(
    sources: Annotated[list[str], typer.Argument(metavar="SOURCE...", help="Labelled streams, as of `eval streams`.")],
    method: Annotated[
        list[str], typer.Option(metavar="KIND[,OPTION=VALUE...]", help="recurrent,weights=zoo:… ; repeatable.")
    ],
    output: Annotated[Path, typer.Option(help="Folder for methods.csv and methods.png.")] = Path("runs/methods"),
    pair: Annotated[str, typer.Option(help="Models: zoo:SET, or a .toml file.")] = DEFAULT,
    remote: Annotated[str, typer.Option(help="Remote model, in place of the pair's.")] = "",
    n_w: Annotated[str, typer.Option("--n-w", help="Filter intervals.")] = "6,20",
    lags: Annotated[str, typer.Option(help="Lags in windows.")] = "0,1,2,3,4,5,6,7,8",
    policy: Annotated[str, typer.Option(metavar="KIND[,OPTION=VALUE...]", help="What chooses.")] = "context_aware",
    dumps: Annotated[Path, typer.Option(help="Folder where the models' answers are kept.")] = Path("runs/dumps"),
) -> None:
    """Live and final accuracy of fusion methods by lag and interval, with paired intervals against the paper's."""
    from rich.console import Console

    from clownfish.config import parse_value
    from clownfish.evaluation.beyond.methods import compute, draw, write_csv
    from clownfish.evaluation.cli.options import plugin
    from clownfish.settings import FusionSection

    streams = _streams(sources, pair, remote, dumps)
    section = FusionSection(**read_pair(pair).get("fusion", {}))
    with Console(stderr=True).status("") as status:
        rows = compute(
            streams,
            section,
            [plugin(each) for each in method],
            intervals=[int(parse_value(each)) for each in n_w.split(",")],
            lags=[int(parse_value(each)) for each in lags.split(",")],
            policy=plugin(policy),
            said=status.update,
        )
    write_csv(output / "methods.csv", rows)
    draw(rows).savefig(output / "methods.png")
    _show(rows)


def _streams(sources: list[str], pair: str, remote: str, dumps: Path) -> list[Stream]:
    from clownfish.errors import DatasetError
    from clownfish.evaluation.beyond.methods import Stream
    from clownfish.evaluation.recorder import Recorder, RecordSettings
    from clownfish.evaluation.replay import rhos
    from clownfish.settings import Capture, Plugin
    from clownfish.similarity import SIMILARITIES
    from clownfish.sources import truth_of

    tree = read_pair(pair)
    capture = Capture(**tree.get("capture", {}))
    settings = RecordSettings(
        local=tree["local"]["model"],
        remote=remote or tree["worker"]["model"],
        width=capture.width,
        height=capture.height,
    )
    recorder = Recorder(settings, dumps)
    similarity = Plugin.from_table(tree["local"].get("similarity", {"kind": "cosine"})).build(SIMILARITIES)
    streams = []
    for source in sources:
        truth = truth_of(source)
        if truth is None:
            raise DatasetError(f"{source}: has no ground truth; put a .csv beside it")
        dump = recorder.dump(source)
        streams.append(Stream(dump, truth, rhos(dump, similarity)))
    return streams


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
