"""`clownfish eval join`: clips of held-back groups as labelled streams to choose by."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def join(
    output: Annotated[Path, typer.Argument(help="Folder for joined00.mp4, joined00.csv …")],
    dataset: Annotated[str, typer.Option(help="A data set of clips.")],
    root: Annotated[Path, typer.Option(help="Its folder.")],
    groups: Annotated[str, typer.Option(help="Groups whose clips are joined: 10,16,22.")],
    option: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Option of the data set; repeatable.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often each clip is used, cut and placed anew.")] = 1,
    seed: Annotated[int, typer.Option(help="Of cuts and order.")] = 0,
) -> None:
    """Make labelled streams of clips, to choose n_w, θ, policies and fusers by: the streams that the data set holds
    back are for measuring. The models must not have been trained on these groups."""
    from rich.console import Console

    from clownfish.config import parse_value
    from clownfish.datasets import open_dataset
    from clownfish.datasets.probe import Probe
    from clownfish.evaluation.join import join_streams
    from clownfish.training.data import options_of

    clips = open_dataset(dataset, root, Probe(), options_of(option or ())).clips()
    console = Console()
    join_streams(
        clips,
        [parse_value(name.strip()) for name in groups.split(",")],
        output,
        rounds=rounds,
        seed=seed,
        on_stream=lambda path, frames: console.print(f"{path}: {frames} frames", highlight=False, soft_wrap=True),
    )
