"""`clownfish eval policies`: which filter policy spends given bytes best."""

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
    settings_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from clownfish.evaluation.beyond.policies import Row


def policies(
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
    codec: CodecName = "jpeg",
    dumps: DumpFolder = Path("runs/dumps"),
    output: Annotated[Path, typer.Option("--out", help="Folder for policies.csv and policies.png.")] = Path("runs"),
    tried: Annotated[bool, typer.Option(help="Also those that were tried and not kept.")] = True,
    device: DeviceName = "auto",
    precision: PrecisionName = "fp32",
) -> None:
    """Replay every filter policy at lags 0 to 8; compare it with the paper's at n_w = 6, with edge and with cloud."""
    from rich.console import Console

    from clownfish.errors import ModelError
    from clownfish.evaluation.beyond.policies import KEPT, NOT_KEPT, Row, compute, draw
    from clownfish.evaluation.paper.rows import write_rows
    from clownfish.evaluation.paper.style import save
    from clownfish.evaluation.recorder import Recorder
    from clownfish.models.description import check_siminet, read_description, read_siminet_description

    chosen = chosen_set(videos, data, part, dataset, root, option or (), pair)
    settings = settings_of(chosen, local, remote, discard, codec, device, precision)
    if not settings.siminet:
        raise ModelError(f"{chosen.pair} names no SimiNet, whose ρ the policies are compared with")
    check_siminet(read_siminet_description(settings.siminet), read_description(settings.record.local))
    recorder = Recorder(settings.record, dumps)
    console = Console()
    with Console(stderr=True).status("") as status:
        streams = [(dump, truth) for _, dump, truth in recorder.labelled(chosen.sources, status.update)]
        candidates = KEPT + NOT_KEPT if tried else KEPT
        rows = compute(streams, settings.fusion, settings.siminet, candidates, say=status.update)
    write_rows(output / "policies.csv", Row, rows)
    save(draw(rows), output / "policies.png")
    console.print(_table(rows))
    console.print(f"{output / 'policies.csv'}, {output / 'policies.png'}", highlight=False, soft_wrap=True)


def _table(rows: Sequence[Row]) -> Table:
    """In percent: bytes, final answers and how far they are ahead of the paper's, and live answers."""
    from rich.table import Table

    from clownfish.evaluation.beyond.policies import FINAL, REFERENCE, SHOWN

    table = Table(show_edge=False, pad_edge=False)
    columns = ["policy", "ρ", "bytes", *SHOWN.values()]
    columns.insert(columns.index(SHOWN[FINAL]) + 1, f"gain over {REFERENCE}, 95 %")
    for name in columns:
        table.add_column(name, justify="left" if name in ("policy", "ρ") else "right")
    shown: dict[tuple[str, str, str], dict[str, Row]] = {}
    for row in rows:
        if row.against == REFERENCE and row.lag in SHOWN:
            shown.setdefault((row.policy, row.options, row.similarity), {})[row.lag] = row
    for (policy, options, similarity), by_lag in shown.items():
        cells = [f"{100 * by_lag[lag].accuracy:.1f}" for lag in SHOWN]
        final = by_lag[FINAL]
        cells.insert(1, f"{100 * final.gain:+.1f} ({100 * final.gain_low:+.1f} to {100 * final.gain_high:+.1f})")
        table.add_row(f"{policy} {options}", similarity, f"{100 * final.bytes_share:.1f}", *cells)
    return table
