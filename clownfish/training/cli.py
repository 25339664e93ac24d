"""`clownfish train init|local|remote|siminet|discard|fuser|score` and `clownfish calibrate`: thin, the work is in the
modules beside this one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeVar

import typer

from clownfish.pair import DEFAULT, read_pair
from clownfish.training.config import (
    CalibrateConfig,
    ClassifierConfig,
    DiscardConfig,
    SimiNetConfig,
    dataset_of,
    load_config,
)
from clownfish.training.fuser_config import FuserConfig

C = TypeVar("C", bound=ClassifierConfig | SimiNetConfig | FuserConfig)

train_app = typer.Typer(
    no_args_is_help=True,
    help="Train the model pair and SimiNet, each from one TOML file; runs resume where they stopped.",
)

Config = Annotated[Path, typer.Option("--config", help="TOML file, see configs/train/.")]
Threads = Annotated[int, typer.Option(min=1, help="torch threads.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Start over where a checkpoint lies.")]
Sets = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override one value; repeatable.")]


def _settings(kind: type[C], config: Path, sets: list[str] | None, threads: int, fresh: bool) -> C:
    """The validated configuration; what can stop a run before it works does so here."""
    import torch

    from clownfish.atomic import check_writable
    from clownfish.training.checkpoint import forget

    torch.set_num_threads(threads)
    settings = load_config(config, kind, sets or ())
    run = settings.runs / settings.name
    check_writable("output", settings.output)
    check_writable("runs", run / "log.csv")
    if fresh:
        forget(run)
    return settings


def _classifier(role: str, config: Path, sets: list[str] | None, threads: int, fresh: bool) -> None:
    from clownfish.datasets.drawn import DRAWN
    from clownfish.training.card import write_classifier_card
    from clownfish.training.classifier import train_classifier
    from clownfish.training.drawn import DrawnConfig, train_drawn
    from clownfish.training.progress import reporter

    settings: ClassifierConfig
    if dataset_of(config) in DRAWN:
        settings = drawn = _settings(DrawnConfig, config, sets, threads, fresh)
        trained = train_drawn(drawn, reporter())
    else:
        settings = _settings(ClassifierConfig, config, sets, threads, fresh)
        trained = train_classifier(settings, reporter())
    write_classifier_card(settings, config, role, trained)


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
    seed: Annotated[int, typer.Option(min=0, help="Of all that is drawn by chance.")] = 1,
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
def local(
    config: Config = Path("configs/train/ucf9-local.toml"),
    threads: Threads = 1,
    fresh: Fresh = False,
    sets: Sets = None,
) -> None:
    """Train the edge's small model."""
    _classifier("local", config, sets, threads, fresh)


@train_app.command()
def remote(
    config: Config = Path("configs/train/ucf9-remote.toml"),
    threads: Threads = 1,
    fresh: Fresh = False,
    sets: Sets = None,
) -> None:
    """Train the cloud's large model."""
    _classifier("remote", config, sets, threads, fresh)


@train_app.command()
def siminet(
    config: Config = Path("configs/train/ucf9-siminet.toml"),
    threads: Threads = 1,
    fresh: Fresh = False,
    sets: Sets = None,
) -> None:
    """Train SimiNet on the features of a trained local model."""
    from clownfish.datasets.drawn import DRAWN
    from clownfish.training.card import write_siminet_card
    from clownfish.training.drawn_siminet import DrawnSimiNetConfig, train_drawn_siminet
    from clownfish.training.progress import reporter
    from clownfish.training.siminet import train_siminet

    settings: SimiNetConfig
    if dataset_of(config) in DRAWN:
        settings = drawn = _settings(DrawnSimiNetConfig, config, sets, threads, fresh)
        trained = train_drawn_siminet(drawn, reporter())
    else:
        settings = _settings(SimiNetConfig, config, sets, threads, fresh)
        trained = train_siminet(settings, reporter())
    write_siminet_card(settings, config, trained)


@train_app.command()
def discard(
    config: Config = Path("configs/train/ucf9-discard.toml"),
    threads: Threads = 1,
    fresh: Fresh = False,
    sets: Sets = None,
) -> None:
    """Train an early-discard model: is a window worth sending? The baseline that Clownfish is compared with."""
    from clownfish.datasets.drawn import DRAWN
    from clownfish.training.discard import DrawnDiscardConfig, train_discard
    from clownfish.training.discard_card import write_discard_card
    from clownfish.training.progress import reporter

    kind = DrawnDiscardConfig if dataset_of(config) in DRAWN else DiscardConfig
    settings = _settings(kind, config, sets, threads, fresh)
    write_discard_card(settings, config, train_discard(settings, reporter()))


@train_app.command()
def fuser(
    config: Config = Path("configs/train/puppets-fuser.toml"),
    threads: Threads = 1,
    fresh: Fresh = False,
    sets: Sets = None,
) -> None:
    """Learn how to fuse both models' answers, from streams that neither was trained on."""
    from clownfish.training.fuser import train_fuser
    from clownfish.training.progress import reporter

    train_fuser(_settings(FuserConfig, config, sets, threads, fresh), config, reporter())


def calibrate_command(
    config: Config = Path("configs/train/ucf9-calibrate.toml"),
    threads: Threads = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Measure, write nothing.")] = False,
    sets: Sets = None,
) -> None:
    """Fit a model's temperature to data that it was not trained on; say its calibration error before and after."""
    import torch

    from clownfish.datasets.drawn import DRAWN
    from clownfish.training.progress import reporter
    from clownfish.training.recalibrate import DrawnCalibrateConfig, calibrate

    torch.set_num_threads(threads)
    kind = DrawnCalibrateConfig if dataset_of(config) in DRAWN else CalibrateConfig
    calibrate(load_config(config, kind, sets or ()), not dry_run, reporter())


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
    height: Annotated[int, typer.Option(help="Likewise.")] = 0,
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
