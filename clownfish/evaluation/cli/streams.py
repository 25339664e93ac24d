"""`clownfish eval streams`: the comparison of methods; thin, the work is in the modules of `evaluation`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clownfish.evaluation.cli.options import one_of, plugin, streams_of
from clownfish.pair import DEFAULT, read_pair

if TYPE_CHECKING:
    from rich.status import Status

    from clownfish.evaluation.dump import OnWindow


def streams(
    videos: Annotated[
        list[str] | None,
        typer.Argument(metavar="[VIDEO...]", help="Video files (truth in the .csv beside), or shapes:…, puppets:…"),
    ] = None,
    dataset: Annotated[str, typer.Option(help="A data set, all of whose streams are taken, too.")] = "",
    root: Annotated[Path | None, typer.Option(help="Its folder.")] = None,
    option: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Option of the data set; repeatable.")
    ] = None,
    pair: Annotated[str, typer.Option(help="Models: zoo:SET, or a .toml file.")] = DEFAULT,
    local: Annotated[str, typer.Option(help="Local model, in place of the pair's.")] = "",
    remote: Annotated[str, typer.Option(help="Remote model, in place of the pair's.")] = "",
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
    confusion: Annotated[bool, typer.Option("--confusion", help="Say of each class what it is taken for.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the numbers here, too.")] = None,
) -> None:
    """Edge-only, cloud-only and fused answers on labelled streams: accuracy, windows sent, bytes."""
    import json

    from rich.console import Console

    from clownfish.errors import ConfigError
    from clownfish.evaluation.compare import Settings, compare
    from clownfish.evaluation.confusions import calibration_errors, confusion_table
    from clownfish.evaluation.recorder import DEVICES, PRECISIONS, Recorder, RecordSettings
    from clownfish.evaluation.report import comparison_numbers, comparison_tables, settings_line
    from clownfish.models.description import check_siminet, read_description, read_siminet_description
    from clownfish.settings import Capture, FusionSection, Plugin
    from clownfish.sources import truth_of

    tree = read_pair(pair)
    capture = Capture(**tree.get("capture", {}))
    local, remote = local or tree["local"]["model"], remote or tree["worker"]["model"]
    truths = {source: truth_of(source) for source in videos or ()}
    if dataset:
        truths |= streams_of(dataset, root, option or ())
    if not truths:
        raise ConfigError("nothing to measure on: name videos, or a data set with --dataset and --root")
    chosen = plugin(similarity)
    weights = tree["local"].get("similarity", {}).get("weights")
    if chosen.kind == "siminet" and "weights" not in chosen.options and weights:
        chosen = Plugin("siminet", {**chosen.options, "weights": weights})
    settings = Settings(
        policy=Plugin("context_aware", {"n_w": n_w}),
        similarity=chosen,
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
            width=capture.width,
            height=capture.height,
            device=one_of("--device", device, DEVICES),
            precision=one_of("--precision", precision, PRECISIONS),
        ),
        dumps,
    )
    found, dumped = [], []
    with Console(stderr=True).status("") as status:
        for source in truths:
            recorder.header(source)  # a source that cannot be used shows before the models' minutes on the others
        for source, truth in truths.items():
            dump = recorder.dump(source, _shown_in(status, source))
            found.append((dump.header, compare(dump, truth, settings)))
            dumped.append((dump, truth))
    console = Console()
    console.print(settings_line(settings), highlight=False, soft_wrap=True)
    for table in comparison_tables(found):
        console.print("", table)
    errors = calibration_errors(dumped)
    if errors is not None:
        console.print(f"\nexpected calibration error: edge {100 * errors[0]:.1f} %, cloud {100 * errors[1]:.1f} %")
    if confusion:
        console.print("", confusion_table([rows for _, rows in found], dumped[0][0].header.classes))
    if json_file is not None:
        json_file.write_text(json.dumps(comparison_numbers(found, settings), indent=2) + "\n", encoding="utf-8")


def _shown_in(status: Status, source: str) -> OnWindow:
    return lambda t: status.update(f"{source}: both models, window {t}")
