"""`clownfish train init|local|remote|siminet` and `clownfish train score`: thin, the work is in the modules beside this
one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clownfish.pair import DEFAULT, read_pair
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


@train_app.command("init")
def init_command(
    root: Annotated[Path, typer.Argument(help="Folder of your clips: a folder for each class.")],
    output: Annotated[Path, typer.Option(help="Folder for configurations and, later, the models.")] = Path("my-pair"),
    dataset: Annotated[str, typer.Option(help="Data set plug-in: folder, csv, ucf101 …")] = "folder",
    option: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Option of the data set; repeatable.")
    ] = None,
    validation_share: Annotated[
        float | None, typer.Option(min=0.05, max=0.5, help="Of each class; without it a fifth, of few clips more.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 1,
    quick: Annotated[bool, typer.Option("--quick", help="A first pair within minutes, not as good.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over configurations that are there.")] = False,
) -> None:
    """Look at your clips and write what the other commands need."""
    from clownfish.training.begin import Wanted, begin
    from clownfish.training.data import options_of

    options = options_of(option or ())
    begun = begin(Wanted(root, output, dataset, options, validation_share, seed, quick, force), typer.echo)
    typer.echo(f"written: {', '.join(path.as_posix() for path in begun.files.values())}. Now, one after the other:")
    for role in ("remote", "local", "siminet"):
        typer.echo(f"  clownfish train {role} --config {begun.files[role].as_posix()}")
    typer.echo(f"  clownfish run VIDEO --pair {begun.files['pair'].as_posix()}")


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
    option: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Option of the data set; repeatable.")
    ] = None,
    pair: Annotated[str, typer.Option(help="Models: zoo:SET, or a .toml file.")] = DEFAULT,
    local: Annotated[str, typer.Option(help="Local model, in place of the pair's.")] = "",
    remote: Annotated[str, typer.Option(help="Remote model, in place of the pair's.")] = "",
    siminet: Annotated[str, typer.Option(help="SimiNet, in place of the pair's; none for none.")] = "",
    width: Annotated[int, typer.Option(help="Frames are first resized to this, as capture does; 0: the pair's.")] = 0,
    height: Annotated[int, typer.Option()] = 0,
) -> None:
    """Measure the trained models on the data set's labelled streams."""
    from clownfish.datasets import open_dataset
    from clownfish.datasets.probe import Probe
    from clownfish.settings import Capture
    from clownfish.training.data import INDEX, options_of
    from clownfish.training.score import score_table

    tree = read_pair(pair)
    capture = Capture(**tree.get("capture", {}))
    size = (width or capture.width, height or capture.height)
    if not siminet:
        siminet = tree["local"].get("similarity", {}).get("weights", "")
    opened = open_dataset(dataset, root, Probe(Path("runs/cache") / INDEX), options_of(option or ()))
    models = (local or tree["local"]["model"], remote or tree["worker"]["model"])
    for line in score_table(opened, *models, "" if siminet == "none" else siminet, size):
        typer.echo(line)
