"""`clownfish eval streams`: the comparison of methods; thin, the work is in the modules of `evaluation`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clownfish.evaluation.cli.options import (
    CodecName,
    Data,
    DatasetName,
    DatasetOption,
    DeviceName,
    Discard,
    DumpFolder,
    Local,
    Pair,
    Part,
    PrecisionName,
    Remote,
    Root,
    Videos,
    chosen_set,
    plugin,
    settings_of,
)

if TYPE_CHECKING:
    from rich.status import Status

    from clownfish.evaluation.recording import OnWindow


def streams(
    videos: Videos = None,
    data: Data = "",
    part: Part = "",
    dataset: DatasetName = "",
    root: Root = None,
    option: DatasetOption = None,
    pair: Pair = "",
    local: Local = "",
    remote: Remote = "",
    discard: Discard = "",
    similarity: Annotated[
        str, typer.Option(metavar="KIND[,OPTION=VALUE...]", help="siminet, cosine, euclidean, constant, oracle …")
    ] = "siminet",
    n_w: Annotated[int, typer.Option("--n-w", min=1, help="Filter interval, in windows.")] = 6,
    lag: Annotated[int, typer.Option(help="Of every remote result, in windows; −1: the cloud never answers.")] = 1,
    theta: Annotated[
        float | None, typer.Option(min=0, max=1, help="θ, below which β no longer counts.", show_default="the pair's")
    ] = None,
    alpha: Annotated[float, typer.Option(min=0, max=1, help="α of FixMA.")] = 0.5,
    codec: CodecName = "jpeg",
    dumps: DumpFolder = Path("runs/dumps"),
    device: DeviceName = "auto",
    precision: PrecisionName = "fp32",
    confusion: Annotated[bool, typer.Option("--confusion", help="Say of each class what it is taken for.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the numbers here, too.")] = None,
) -> None:
    """Edge-only, cloud-only and fused answers on labelled streams: accuracy, windows sent, bytes."""
    import dataclasses
    import json

    from rich.console import Console

    from clownfish.evaluation.compare import Settings, compare
    from clownfish.evaluation.confusions import calibration_errors, confusion_table
    from clownfish.evaluation.recorder import Recorder
    from clownfish.evaluation.report import comparison_numbers, comparison_tables, settings_line
    from clownfish.models.description import check_siminet, read_description, read_siminet_description
    from clownfish.settings import Plugin

    named = chosen_set(videos, data, part, dataset, root, option or (), pair)
    pair_said = settings_of(named, local, remote, discard, codec, device, precision)
    chosen = plugin(similarity)
    if chosen.kind == "siminet" and "weights" not in chosen.options and pair_said.siminet:
        chosen = Plugin("siminet", {**chosen.options, "weights": pair_said.siminet})
    settings = Settings(
        policy=Plugin("context_aware", {"n_w": n_w}),
        similarity=chosen,
        fusion=pair_said.fusion if theta is None else dataclasses.replace(pair_said.fusion, theta=theta),
        lag=None if lag == -1 else lag,
        fix_ma_alpha=alpha,
    )
    if settings.similarity.kind == "siminet":
        weights = settings.similarity.options.get("weights", "zoo:ucf9/siminet")
        check_siminet(read_siminet_description(weights), read_description(pair_said.record.local))
    recorder = Recorder(pair_said.record, dumps)
    found, dumped = [], []
    with Console(stderr=True).status("") as status:
        for source, truth in named.sources.items():
            recorder.check(source, truth)  # a source that cannot be used shows before the models' minutes on the others
        for source, truth in named.sources.items():
            dump = recorder.dump(source, _shown_in(status, source), truth)
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
