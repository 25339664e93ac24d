"""`clownfish train puppets …`: thin, the work is in `puppets` and `puppets_siminet`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clownfish.training.config import load_config

puppets_app = typer.Typer(
    no_args_is_help=True, help="Train the pair for the embedded streams: local, remote, then siminet."
)

Config = Annotated[Path, typer.Option("--config", help="TOML file, see configs/train/.")]
Threads = Annotated[int, typer.Option(min=1, help="torch threads.")]


def _classifier(role: str, config: Path, threads: int) -> None:
    import torch

    from clownfish.training.puppets import PuppetsConfig, train_puppets
    from clownfish.training.puppets_card import write_classifier_card

    torch.set_num_threads(threads)
    settings = load_config(config, PuppetsConfig)
    trained = train_puppets(settings, typer.echo)
    write_classifier_card(settings, config, role, trained)


@puppets_app.command()
def local(config: Config = Path("configs/train/puppets-local.toml"), threads: Threads = 1) -> None:
    """Train the edge's small model."""
    _classifier("local", config, threads)


@puppets_app.command()
def remote(config: Config = Path("configs/train/puppets-remote.toml"), threads: Threads = 1) -> None:
    """Train the cloud's large model."""
    _classifier("remote", config, threads)


@puppets_app.command()
def siminet(config: Config = Path("configs/train/puppets-siminet.toml"), threads: Threads = 1) -> None:
    """Train SimiNet on the features of the trained local model."""
    import torch

    from clownfish.training.puppets_card import write_siminet_card
    from clownfish.training.puppets_siminet import PuppetsSimiNetConfig, train_puppets_siminet

    torch.set_num_threads(threads)
    settings = load_config(config, PuppetsSimiNetConfig)
    write_siminet_card(settings, config, train_puppets_siminet(settings, typer.echo))
