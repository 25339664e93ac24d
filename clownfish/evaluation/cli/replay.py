"""`clownfish eval replay`: a recorded live run once more, bit for bit, or as it would have been."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clownfish.evaluation.cli.options import plugin

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console
    from rich.table import Table

    from clownfish.evaluation.dump import Dump
    from clownfish.evaluation.verify import Check
    from clownfish.evaluation.whatif import Numbers, Outcome
    from clownfish.records import Record
    from clownfish.sources.truth import Truth


def replay(
    records: Annotated[
        list[Path], typer.Argument(metavar="RECORD...", help="Files, or folders of files, that --record wrote.")
    ],
    policy: Annotated[
        str, typer.Option(metavar="KIND[,OPTION=VALUE...]", help="Another filter policy: periodic,n_w=10 …")
    ] = "",
    similarity: Annotated[
        str, typer.Option(metavar="KIND[,OPTION=VALUE...]", help="Another similarity: cosine, constant,value=0.9 …")
    ] = "",
    lag: Annotated[
        int | None, typer.Option(help="Every remote result so many windows late; −1: the cloud never answers.")
    ] = None,
    network: Annotated[
        str, typer.Option(metavar="KIND[,OPTION=VALUE...]", help="Another network: trace,path=FILE.csv,remote_ms=50 …")
    ] = "",
    theta: Annotated[float | None, typer.Option(min=0, max=1, help="Another θ.")] = None,
    dump: Annotated[
        Path | None, typer.Option(help="Dump (.npz) of the same video: the cloud's answers for the other windows.")
    ] = None,
    truth: Annotated[
        str, typer.Option(metavar="SOURCE", help="Its ground truth. Default: the recorded source's.")
    ] = "",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the numbers here, too.")] = None,
) -> None:
    """Play recorded live runs again.

    Without options: check that replay gives every answer of the live run, bit for bit and in order, and that the filter
    policy chooses the windows that were sent; exit status 1 and the first difference where not. With options: what if?
    """
    import json
    from dataclasses import asdict

    from rich.console import Console

    from clownfish.errors import ConfigError
    from clownfish.evaluation.whatif import Change, what_if
    from clownfish.records import read_record
    from clownfish.settings import Plugin

    if lag is not None and network:
        raise ConfigError("--lag and --network: give one of them")
    if lag is not None and lag < -1:
        raise ConfigError(f"--lag {lag}: expected 0 (on time) or more windows, or −1 for never")
    delayed = None
    if lag is not None:
        delayed = Plugin("never") if lag == -1 else Plugin("lag", {"windows": lag})
    change = Change(
        plugin(policy) if policy else None,
        plugin(similarity) if similarity else None,
        plugin(network) if network else delayed,
        theta,
    )
    if change.nothing and dump is not None:
        raise ConfigError("--dump: say what is to be other than it was, with --policy, --lag, …")
    console, tree, holds = Console(), [], True
    for path in _files(records):
        record = read_record(path)
        if record.cut_bytes:
            console.print(f"{path}: {record.cut_bytes} bytes after the last whole chunk are not read", soft_wrap=True)
        if change.nothing:
            checks = _verify(record, console)
            holds = holds and all(check.holds for check in checks.values())
            tree.append({"record": str(path), **{name: asdict(check) for name, check in checks.items()}})
            continue
        outcome = what_if(record, change, _load(dump), _truth(record, truth))
        console.print(f"{path}", soft_wrap=True)
        console.print(_table(outcome))
        if outcome.changed.unknown:
            console.print(
                f"{outcome.changed.unknown} windows sent were not answered live, and count as never answered; --dump "
                "FILE tells what the cloud would have said",
                soft_wrap=True,
            )
        tree.append({"record": str(path), **asdict(outcome)})
    if json_file is not None:
        json_file.write_text(json.dumps(tree, indent=2) + "\n", encoding="utf-8")
    if not holds:
        raise typer.Exit(1)


def _files(paths: list[Path]) -> list[Path]:
    """The records named, and those in folders named. Raises ConfigError where there are none."""
    from clownfish.errors import ConfigError
    from clownfish.records import SUFFIX

    found: list[Path] = []
    for path in paths:
        inside = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
        if not inside:
            raise ConfigError(
                f"{path}: no {SUFFIX} file in this folder; `clownfish run SOURCE --record {path}` makes one"
            )
        found += inside
    return found


def _verify(record: Record, console: Console) -> dict[str, Check]:
    from clownfish.evaluation.verify import verify_fusion, verify_gate

    console.print(f"{record.path}", soft_wrap=True)
    checks = {"fusion": verify_fusion(record)}
    _say(console, checks["fusion"], "bit-identical")
    gate = verify_gate(record)
    if gate is not None:
        checks["filter"] = gate
        _say(console, gate, "as the policy chooses")
    return checks


def _say(console: Console, check: Check, claim: str) -> None:
    if check.holds:
        console.print(f"  [green]{claim}[/]: {check.what}", highlight=False, soft_wrap=True)
        return
    console.print(f"  [red]not {claim}[/]: {check.what}", highlight=False, soft_wrap=True)
    for clause in (check.refused, check.difference):
        if clause:
            console.print(f"  {clause}", highlight=False, markup=False, soft_wrap=True)


def _load(path: Path | None) -> Dump | None:
    from clownfish.evaluation.dump import load_dump

    return None if path is None else load_dump(path)


def _truth(record: Record, source: str) -> Truth | None:
    from clownfish.errors import ClownfishError
    from clownfish.sources import truth_of

    if source:
        return truth_of(source)
    try:
        recorded = record.header.settings.get("stream", {}).get("source")
        return truth_of(recorded) if recorded else None
    except ClownfishError:  # recorded elsewhere: the file is not here
        return None


def _table(outcome: Outcome) -> Table:
    from rich.table import Table

    from clownfish.evaluation.report import percent

    table = Table(show_edge=False, pad_edge=False)
    for n, name in enumerate(("", "live", "what if")):
        table.add_column(name, justify="right" if n else "left", no_wrap=True)
    rows: dict[str, Callable[[Numbers], str]] = {
        "windows answered": lambda each: f"{each.windows}",
        "windows sent": lambda each: f"{each.sent} ({percent(each.sent / each.windows)} %)",
        "remote answers applied": lambda each: f"{each.answered}",
        "their lag, median, windows": lambda each: f"{each.lag:g}" if each.answered else "-",
        "dropped by the network": lambda each: f"{each.dropped}",
        "answers corrected": lambda each: f"{each.corrected}",
        "bytes, MB": lambda each: f"{each.wire_bytes / 1e6:.2f}",
        "accuracy live, %": lambda each: percent(each.accuracy_live),
        "accuracy final, %": lambda each: percent(each.accuracy_final),
    }
    for name, value in rows.items():
        table.add_row(name, value(outcome.live), value(outcome.changed))
    table.add_row("other live answers", "", f"{outcome.live_differ}")
    table.add_row("other final answers", "", f"{outcome.final_differ}")
    return table
