"""`clownfish train local|remote|siminet` and `clownfish train score`: thin, the work is in the modules beside this
one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clownfish.training.config import ClassifierConfig, SimiNetConfig, dataset_of, load_config

train_app = typer.Typer(
    no_args_is_help=True,
    help="Train the model pair and SimiNet, each from one TOML file; runs resume where they stopped.",
)

Config = Annotated[Path, typer.Option("--config", help="TOML file, see configs/train/.")]
Threads = Annotated[int, typer.Option(min=1, help="torch threads.")]


def _classifier(role: str, config: Path, threads: int) -> None:
    import torch

    from clownfish.datasets.drawn import DRAWN
    from clownfish.training.card import write_classifier_card
    from clownfish.training.classifier import train_classifier
    from clownfish.training.drawn import DrawnConfig, train_drawn

    torch.set_num_threads(threads)
    if dataset_of(config) in DRAWN:
        drawn = load_config(config, DrawnConfig)
        write_classifier_card(drawn, config, role, train_drawn(drawn, typer.echo))
    else:
        settings = load_config(config, ClassifierConfig)
        write_classifier_card(settings, config, role, train_classifier(settings, typer.echo))


@train_app.command()
def local(config: Config = Path("configs/train/ucf9-local.toml"), threads: Threads = 1) -> None:
    """Train the edge's small model."""
    _classifier("local", config, threads)


@train_app.command()
def remote(config: Config = Path("configs/train/ucf9-remote.toml"), threads: Threads = 1) -> None:
    """Train the cloud's large model."""
    _classifier("remote", config, threads)


@train_app.command()
def siminet(config: Config = Path("configs/train/ucf9-siminet.toml"), threads: Threads = 1) -> None:
    """Train SimiNet on the features of a trained local model."""
    import torch

    from clownfish.datasets.drawn import DRAWN
    from clownfish.training.card import write_siminet_card
    from clownfish.training.drawn_siminet import DrawnSimiNetConfig, train_drawn_siminet
    from clownfish.training.siminet import train_siminet

    torch.set_num_threads(threads)
    if dataset_of(config) in DRAWN:
        drawn = load_config(config, DrawnSimiNetConfig)
        write_siminet_card(drawn, config, train_drawn_siminet(drawn, typer.echo))
    else:
        settings = load_config(config, SimiNetConfig)
        write_siminet_card(settings, config, train_siminet(settings, typer.echo))


@train_app.command()
def score(
    root: Annotated[Path, typer.Option(help="Folder of the data set.")] = Path("../shared/data/ucf9"),
    dataset: Annotated[str, typer.Option(help="Data set plug-in.")] = "ucf9",
    local: Annotated[str, typer.Option(help="Local model.")] = "zoo:ucf9/local",
    remote: Annotated[str, typer.Option(help="Remote model.")] = "zoo:ucf9/remote",
    siminet: Annotated[str, typer.Option(help="SimiNet; empty for none.")] = "zoo:ucf9/siminet",
    width: Annotated[int, typer.Option(help="Frames are first resized to this, as capture does.")] = 172,
    height: Annotated[int, typer.Option()] = 128,
) -> None:
    """Measure the trained models on the data set's labelled streams."""
    from clownfish.training.score import score_table

    for line in score_table(dataset, root, local, remote, siminet, (width, height)):
        typer.echo(line)
