"""`clownfish eval adaptive`, and `clownfish tune --ladder`: how adaptive sending compares, and what it chooses from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clownfish.evaluation.cli.options import (
    Data,
    DatasetName,
    DatasetOption,
    DeviceName,
    DumpFolder,
    Pair,
    Part,
    Root,
    Videos,
    chosen_set,
    settings_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from clownfish.evaluation.adaptive import Row
    from clownfish.evaluation.ladders import Views
    from clownfish.evaluation.paper.sweep import Stream
    from clownfish.evaluation.replay import Floats
    from clownfish.evaluation.sets import EvaluationSet, PairSettings

Streams = Annotated[int, typer.Option("--streams", min=0, help="Only so many, the first; 0: all.")]


def learn_ladder(chosen: EvaluationSet, settings: PairSettings, count: int, dumps: Path, out: Path) -> None:
    """What `clownfish tune --ladder` does: what each codec, resolution and pace costs and brings on these streams."""
    import shlex
    import sys

    from rich.console import Console

    from clownfish.evaluation.ladders import learn, write_ladder

    with Console(stderr=True).status("") as status:
        labelled, rho, views = _views(chosen, settings, count, dumps, status.update)
        learnt = learn(labelled, rho, views, settings.fusion, say=status.update)
    command = "clownfish " + " ".join(map(shlex.quote, sys.argv[1:]))
    write_ladder(out, learnt, f"{command}: {len(labelled)} streams")
    Console().print(f"{out}: {len(learnt.rungs)} settings", highlight=False, soft_wrap=True)


def adaptive(
    videos: Videos = None,
    data: Data = "",
    part: Part = "",
    dataset: DatasetName = "",
    root: Root = None,
    option: DatasetOption = None,
    pair: Pair = "",
    ladder: Annotated[str, typer.Option(help="zoo:SET/ladder, or a file.")] = "zoo:puppets/ladder",
    profile: Annotated[list[str] | None, typer.Option(help="Of configs/network; repeatable.")] = None,
    price: Annotated[list[float] | None, typer.Option(help="Accuracy that a Mbit/s must bring; repeatable.")] = None,
    mbit_s: Annotated[list[float] | None, typer.Option(help="An allowance as well; repeatable.")] = None,
    cameras: Annotated[list[int] | None, typer.Option(min=1, help="That share the link; repeatable.")] = None,
    streams: Streams = 0,
    dumps: DumpFolder = Path("runs/dumps"),
    output: Annotated[Path, typer.Option("--out", help="Folder for adaptive.csv and adaptive.png.")] = Path("runs"),
    device: DeviceName = "auto",
) -> None:
    """Replay adaptive sending and every fixed setting over links that change: accuracy over bytes, and lags."""
    from rich.console import Console

    from clownfish.adaptation import read_ladder
    from clownfish.evaluation.adaptive import PROFILES, Adapting, Row, compute, draw
    from clownfish.evaluation.paper.rows import write_rows
    from clownfish.evaluation.paper.style import save

    chosen = chosen_set(videos, data, part, dataset, root, option or (), pair)
    settings = settings_of(chosen, "", "", "", "jpeg", device, "fp32")
    learnt = read_ladder(ladder)
    prices = price or [Adapting().price]
    adapting = [*(Adapting(each) for each in prices), *(Adapting(prices[0], each) for each in mbit_s or ())]
    with Console(stderr=True).status("") as status:
        labelled, rho, views = _views(chosen, settings, streams, dumps, status.update)
        profiles = profile or list(PROFILES)
        rows = compute(
            labelled, rho, views, learnt, settings.fusion, profiles, adapting, cameras=cameras or [1], say=status.update
        )
    write_rows(output / "adaptive.csv", Row, rows)
    save(draw(rows), output / "adaptive.png")
    _show(rows)
    Console().print(f"{output / 'adaptive.csv'}, {output / 'adaptive.png'}", highlight=False, soft_wrap=True)


def _views(
    chosen: EvaluationSet, settings: PairSettings, count: int, folder: Path, say: Callable[[str], None]
) -> tuple[list[Stream], list[Floats], Views]:
    """Labelled streams, ρ of each, and their views: made where they are not there yet."""
    from dataclasses import replace

    from clownfish.evaluation.compare import Settings
    from clownfish.evaluation.ladders import WAYS
    from clownfish.evaluation.paper.sweep import Stream
    from clownfish.evaluation.recorder import Recorder
    from clownfish.evaluation.replay import rhos
    from clownfish.evaluation.views import views
    from clownfish.settings import Plugin

    sources = dict(list(chosen.sources.items())[: count or None])
    recorder = Recorder(replace(settings.record, discard=""), folder)
    labelled = [Stream(*each) for each in recorder.labelled(sources, say)]
    similarity = Plugin("siminet", {"weights": settings.siminet}) if settings.siminet else Plugin("overlap")
    built = Settings(similarity=similarity)
    rho = [rhos(each.dump, built.build_similarity(each.dump, each.truth)) for each in labelled]
    seen = {}
    for each in labelled:
        say(f"{each.source}: as it is seen in {len(WAYS)} ways")
        name = each.dump.header.stream
        seen[name] = views(each.source, each.dump, WAYS, lambda: recorder.models()[1], folder)
    return labelled, rho, seen


def _show(rows: Sequence[Row]) -> None:
    """The front of each link, and adaptive sending."""
    from rich.console import Console
    from rich.table import Table

    from clownfish.evaluation.adaptive import ADAPTIVE

    table = Table(show_edge=False, pad_edge=False)
    for n, name in enumerate(("link", "setting", "Mbit/s", "live", "final", "lag p50", "p95", "front", "ahead (95 %)")):
        table.add_column(name, justify="right" if n > 1 else "left")
    for row in sorted(rows, key=lambda each: (each.profile, each.cameras, each.mbit_s)):
        front = ", ".join(what for what in ("live", "final") if getattr(row, f"front_{what}"))
        if front or row.setting.startswith(ADAPTIVE):
            table.add_row(
                row.profile if row.cameras == 1 else f"{row.profile} ÷ {row.cameras}",
                row.setting,
                f"{row.mbit_s:.3f}",
                f"{100 * row.live:.1f}",
                f"{100 * row.final:.1f}",
                f"{row.lag_p50:.0f}",
                f"{row.lag_p95:.0f}",
                front,
                f"{100 * row.ahead:+.1f} ({100 * row.ahead_low:+.1f} … {100 * row.ahead_high:+.1f})",
            )
    Console(width=150).print(table)
