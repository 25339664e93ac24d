"""`clownfish eval streams`: thin, the work is in the modules beside this one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from rich.status import Status

    from clownfish.evaluation.dump import OnWindow
    from clownfish.settings import Plugin

T = TypeVar("T", bound=str)

eval_app = typer.Typer(
    no_args_is_help=True,
    help="Measure on labelled video: both models run once, methods are replayed over their answers.",
)


@eval_app.callback()
def _group() -> None:
    """Keeps `streams` a word of its own while it is the only command."""


@eval_app.command()
def streams(
    videos: Annotated[
        list[str],
        typer.Argument(metavar="VIDEO...", help="Video files (truth in the .csv beside), or shapes:…, puppets:…"),
    ],
    local: Annotated[str, typer.Option(help="Local model.")] = "zoo:ucf9/local",
    remote: Annotated[str, typer.Option(help="Remote model.")] = "zoo:ucf9/remote",
    similarity: Annotated[
        str, typer.Option(metavar="KIND[,OPTION=VALUE...]", help="siminet, cosine, euclidean, constant, oracle …")
    ] = "siminet",
    n_w: Annotated[int, typer.Option("--n-w", min=1, help="Filter interval, in windows.")] = 6,
    lag: Annotated[int, typer.Option(help="Of every remote result, in windows; −1: the cloud never answers.")] = 1,
    theta: Annotated[float, typer.Option(min=0, max=1, help="θ, below which β no longer counts.")] = 0.5,
    alpha: Annotated[float, typer.Option(min=0, max=1, help="α of FixMA.")] = 0.5,
    codec: Annotated[str, typer.Option(metavar="KIND[,OPTION=VALUE...]", help="raw, png, jpeg.")] = "jpeg",
    dumps: Annotated[Path, typer.Option(help="Folder where the models' answers are kept.")] = Path("runs/dumps"),
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help="fp32, bf16 or fp16.")] = "fp32",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the numbers here, too.")] = None,
) -> None:
    """Edge-only, cloud-only and fused answers on labelled streams: accuracy, windows sent, bytes."""
    import json

    from rich.console import Console

    from clownfish.evaluation.compare import Settings, compare
    from clownfish.evaluation.recorder import DEVICES, PRECISIONS, Recorder, RecordSettings
    from clownfish.evaluation.report import comparison_numbers, comparison_tables, settings_line
    from clownfish.models.description import check_siminet, read_description, read_siminet_description
    from clownfish.settings import FusionSection, Plugin
    from clownfish.sources import truth_of

    settings = Settings(
        policy=Plugin("context_aware", {"n_w": n_w}),
        similarity=plugin(similarity),
        fusion=FusionSection(theta=theta),
        lag=None if lag == -1 else lag,
        fix_ma_alpha=alpha,
    )
    if settings.similarity.kind == "siminet":
        weights = settings.similarity.options.get("weights", "zoo:ucf9/siminet")
        check_siminet(read_siminet_description(weights), read_description(local))
    recorder = Recorder(
        RecordSettings(
            local=local,
            remote=remote,
            codec=plugin(codec),
            device=_one_of("--device", device, DEVICES),
            precision=_one_of("--precision", precision, PRECISIONS),
        ),
        dumps,
    )
    found = []
    with Console(stderr=True).status("") as status:
        for source in videos:
            recorder.header(source)  # a source that cannot be used shows before the models' minutes on the others
        for source in videos:
            dump = recorder.dump(source, _shown_in(status, source))
            found.append((dump.header, compare(dump, truth_of(source), settings)))
    console = Console()
    console.print(settings_line(settings), highlight=False, soft_wrap=True)
    for table in comparison_tables(found):
        console.print("", table)
    if json_file is not None:
        json_file.write_text(json.dumps(comparison_numbers(found, settings), indent=2) + "\n", encoding="utf-8")


def _shown_in(status: Status, source: str) -> OnWindow:
    return lambda t: status.update(f"{source}: both models, window {t}")


def plugin(text: str) -> Plugin:
    """`jpeg,quality=90` → the plug-in `jpeg` with that option. Raises ConfigError where an option has no value."""
    from clownfish.config import parse_value
    from clownfish.errors import ConfigError
    from clownfish.settings import Plugin

    kind, *options = text.split(",")
    values = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals or not name:
            raise ConfigError(f"{text!r}: option {option!r}; expected KIND,OPTION=VALUE, for example jpeg,quality=90")
        values[name.strip()] = parse_value(value.strip())
    return Plugin(kind, values)


def _one_of(option: str, read: str, allowed: tuple[T, ...]) -> T:
    from clownfish.errors import ConfigError

    for value in allowed:
        if value == read:
            return value
    raise ConfigError(f"{option} is {read!r}; expected {', '.join(allowed)}")
