"""`clownfish eval figure`, `table` and `paper`: the paper's evaluation; thin, the work is in `evaluation.paper`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clownfish.evaluation.cli.options import Data, DeviceName, DumpFolder, Pair, Root, one_of

if TYPE_CHECKING:
    from clownfish.evaluation.paper.base import Exhibit
    from clownfish.evaluation.paper.context import Context

Out = Annotated[Path | None, typer.Option(help="Folder for what is made. Default: runs/paper/DATA.")]
Local2 = Annotated[str, typer.Option(help="Another local model, for Figure 9. Default: the pair's, given less to see.")]
SimiNet2 = Annotated[str, typer.Option(help="The SimiNet that was trained on --local2.")]
Engines = Annotated[str, typer.Option(help="Of Figure 1: names, with commas.")]
Lab = Annotated[
    Path | None,
    typer.Option(
        help="What `clownfish lab run --json` wrote, a file or a folder of them: for Figures 11 to 15 and Table II. "
        "Default: runs/lab/DATA."
    ),
]
Processes = Annotated[int, typer.Option(min=0, help="That replay at once; 0: one a core.")]


def figure(
    number: Annotated[str, typer.Argument(help="1, 2, 7 to 15; or discard, contexts, moments, networks.")],
    data: Data = "puppets",
    root: Root = None,
    out: Out = None,
    pair: Pair = "",
    local2: Local2 = "",
    siminet2: SimiNet2 = "",
    engines: Engines = "all",
    dumps: DumpFolder = Path("runs/dumps"),
    lab: Lab = None,
    processes: Processes = 0,
    device: DeviceName = "auto",
) -> None:
    """One figure of the paper as picture and numbers (PNG, CSV)."""
    exhibit = _named("figure", f"fig{number}" if number.isdigit() else number)
    _one(
        exhibit,
        out or _folder(data),
        _context(data, root, pair, local2, siminet2, engines, dumps, lab, processes, device, not exhibit.recorded),
    )


def table(
    number: Annotated[str, typer.Argument(help="2 or 3.")],
    data: Data = "puppets",
    root: Root = None,
    out: Out = None,
    pair: Pair = "",
    dumps: DumpFolder = Path("runs/dumps"),
    lab: Lab = None,
    processes: Processes = 0,
    device: DeviceName = "auto",
) -> None:
    """One table of the paper, printed, and as picture and numbers (PNG, CSV)."""
    exhibit = _named("table", f"table{number}")
    _one(
        exhibit,
        out or _folder(data),
        _context(data, root, pair, "", "", "all", dumps, lab, processes, device, not exhibit.recorded),
    )


def paper(
    data: Data = "puppets",
    root: Root = None,
    out: Out = None,
    pair: Pair = "",
    local2: Local2 = "",
    siminet2: SimiNet2 = "",
    engines: Engines = "all",
    dumps: DumpFolder = Path("runs/dumps"),
    lab: Lab = None,
    processes: Processes = 0,
    device: DeviceName = "auto",
) -> None:
    """The paper's whole evaluation as one page: every figure and table, and which of its claims hold here."""
    import shlex
    import sys

    from rich.console import Console

    from clownfish.evaluation.paper.report import paper as make_paper

    folder = out or _folder(data)
    command = "clownfish " + " ".join(map(shlex.quote, sys.argv[1:]))
    with _context(data, root, pair, local2, siminet2, engines, dumps, lab, processes, device) as context:
        written = make_paper(context, folder, command)
    Console().print(f"{written}", highlight=False, soft_wrap=True)


def _folder(data: str) -> Path:
    return Path("runs/paper") / data


def _named(kind: str, name: str) -> Exhibit[Any]:
    """Raises ConfigError where there is none, and says which there are."""
    from clownfish.errors import ConfigError
    from clownfish.evaluation.paper import EXHIBITS

    known = [each for each in EXHIBITS.names() if each.startswith("table") == (kind == "table")]
    if name not in known:
        said = sorted((each.removeprefix("fig").removeprefix("table") for each in known), key=lambda n: (len(n), n))
        raise ConfigError(f"{kind} {name.removeprefix('fig').removeprefix('table')!r}: there are {', '.join(said)}")
    return EXHIBITS.get(name)


def _one(exhibit: Exhibit[Any], out: Path, context: AbstractContextManager[Context]) -> None:
    from rich.console import Console
    from rich.table import Table

    from clownfish.evaluation.paper.report import make

    with context as opened:
        made = make(opened, exhibit.name, out)
    console = Console()
    if made.table is not None:
        shown = Table(show_edge=False, pad_edge=False)
        for n, column in enumerate(made.table.columns):
            shown.add_column(column, justify="right" if n else "left")
        for row in made.table.rows:
            shown.add_row(*row)
        console.print(shown)
    console.print(f"{made.png}, {made.csv}", highlight=False, soft_wrap=True)


@contextmanager
def _context(
    data: str,
    root: Path | None,
    pair: str,
    local2: str,
    siminet2: str,
    engines: str,
    dumps: Path,
    lab: Path | None,
    processes: int,
    device: str,
    read: bool = True,
) -> Iterator[Context]:
    """What the figures share; says on the terminal what is going on. Not to be `read`: the data set has no streams."""
    from rich.console import Console

    from clownfish.errors import ConfigError
    from clownfish.evaluation.paper.context import Context, all_cores
    from clownfish.evaluation.paper.data import data_set
    from clownfish.evaluation.recorder import DEVICES
    from clownfish.evaluation.sets import pair_settings
    from clownfish.models.engines import ENGINES

    if bool(local2) != bool(siminet2):
        raise ConfigError("--local2 and --siminet2 go together: a SimiNet belongs to the model that it was trained on")
    named = () if engines == "all" else tuple(engines.split(","))
    if lab is not None and not lab.exists():
        raise ConfigError(f"--lab {lab}: no such file or folder; expected what `clownfish lab run --json` wrote")
    for engine in named:
        if engine not in ENGINES.names():
            raise ConfigError(f"unknown engine {engine!r}; known: {', '.join(ENGINES.names())}")
    chosen = data_set(data, root, pair, read)
    with Console(stderr=True).status("") as status:
        yield Context(
            chosen,
            pair_settings(chosen.pair, device=one_of("--device", device, DEVICES)),
            dumps,
            dumps / "models",
            processes or all_cores(),
            status.update,
            local2,
            siminet2,
            named,
            lab or Path("runs/lab") / data,
        )
