"""`clownfish tune`: settings for a byte budget, chosen on validation streams; thin, the work is in `tuning`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clownfish.evaluation.cli.adaptive import learn_ladder
from clownfish.evaluation.cli.options import (
    CodecName,
    Data,
    DeviceName,
    DumpFolder,
    Local,
    Pair,
    Remote,
    Root,
    Videos,
    chosen_set,
    numbers,
    plugin,
    settings_of,
)

if TYPE_CHECKING:
    from clownfish.settings import Plugin


def tune_command(
    videos: Videos = None,
    data: Data = "",
    root: Root = None,
    pair: Pair = "",
    local: Local = "",
    remote: Remote = "",
    codec: CodecName = "jpeg",
    budget: Annotated[float, typer.Option(help="Bytes sent, in percent of sending every frame once.")] = 66.7,
    lag: Annotated[
        str, typer.Option(help="Of remote results, in windows: one, or several to be good at: 0,2,8.")
    ] = "1",
    final: Annotated[bool, typer.Option("--final", help="Choose by final answers, not by live ones.")] = False,
    method: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND,weights=NAME", help="A fusion method to try beside the pair's; repeatable."),
    ] = None,
    out: Annotated[Path, typer.Option(help="The file to write: a pair, for --pair.")] = Path("runs/tuned.toml"),
    ladder: Annotated[
        Path | None, typer.Option(help="Learn a ladder for uplink.adaptive instead, and write it here.")
    ] = None,
    streams: Annotated[int, typer.Option(min=0, help="Of a ladder: only so many, the first; 0: all.")] = 0,
    dumps: DumpFolder = Path("runs/dumps"),
    processes: Annotated[int, typer.Option(min=0, help="That replay at once; 0: one a core.")] = 0,
    device: DeviceName = "auto",
) -> None:
    """Choose policy, interval, θ, g and fusion method for a byte budget, on streams that nothing else is measured on.

    Take validation streams: --data puppets takes those; of a data set of clips, `clownfish eval join` makes some.
    """
    import datetime
    import shlex
    import sys

    from rich.console import Console

    from clownfish.evaluation.compare import Settings
    from clownfish.evaluation.paper.context import all_cores
    from clownfish.evaluation.paper.sweep import Bench, Stream
    from clownfish.evaluation.recorder import Recorder
    from clownfish.evaluation.replay import rhos
    from clownfish.evaluation.tuned import summary, table, write_csv, write_pair
    from clownfish.evaluation.tuning import Aim, tune
    from clownfish.pair import read_pair

    aim = Aim(budget / 100, tuple(numbers("--lag", lag, 0)), final)
    chosen = chosen_set(videos, data, "validation" if data else "", "", root, (), pair)
    settings = settings_of(chosen, local, remote, "", codec, device, "fp32")
    if ladder is not None:
        learn_ladder(chosen, settings, streams, dumps, ladder)
        return
    similarities = _similarities(settings.siminet)
    recorder = Recorder(settings.record, dumps)
    console = Console()
    with Console(stderr=True).status("") as status:
        labelled = [Stream(*each) for each in recorder.labelled(chosen.sources, status.update)]
        rho = {}
        for name, each in similarities.items():
            status.update(f"similarity of neighbours, {name} …")
            built = Settings(similarity=each)
            rho[name] = [rhos(one.dump, built.build_similarity(one.dump, one.truth)) for one in labelled]
        bench = Bench(labelled, rho, settings.fusion)
        methods = [plugin(each) for each in method or ()]
        tuned = tune(bench, aim, methods, processes or all_cores(), status.update)
    said = summary(tuned)
    command = "clownfish " + " ".join(map(shlex.quote, sys.argv[1:]))
    what = "final" if final else "live"
    note = f"{datetime.date.today()}, {command}\n{len(labelled)} streams, {what} answers, lag {lag}. {said}"
    tree = read_pair(chosen.pair)
    tree["local"]["model"], tree["worker"]["model"] = settings.record.local, settings.record.remote
    write_pair(out, tree, tuned, similarities, [note])
    write_csv(out.with_suffix(".csv"), tuned)
    console.print(table(tuned))
    console.print(said, highlight=False)
    console.print(f"{out}, {out.with_suffix('.csv')}", highlight=False, soft_wrap=True)


def _similarities(siminet: str) -> dict[str, Plugin]:
    """Those that are tried, the pair's first: SimiNet where it has one, and overlap alone and as SimiNet's factor."""
    from clownfish.settings import Plugin

    found = {"overlap": Plugin("overlap"), "cosine": Plugin("cosine")}
    if siminet:
        own = Plugin("siminet", {"weights": siminet})
        found = {"SimiNet": own, "overlap × SimiNet": Plugin("overlap", {"of": "siminet", "weights": siminet}), **found}
    return found
