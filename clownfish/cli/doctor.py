"""`clownfish doctor`: looks for what is wrong before the graph finds out, and says what to do (layer 4)."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from clownfish.checkup.everything import examine, read
from clownfish.checkup.finding import Finding

ConfigFile = Annotated[
    Path | None,
    typer.Argument(help="The graph's TOML file; without, the machine alone is looked at", show_default=False),
]
Sets = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override one value; repeatable.")]

_COLOUR = {"ok": "green", "warning": "yellow", "fault": "red"}
_WIDTH = 24


def doctor_command(
    config: ConfigFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs")] = False,
    sets: Sets = None,
) -> None:
    """Check versions, camera, GPU, keys, clock, link, disk, and say what to do. Exit status 1 where one is broken."""
    settings, findings = (None, []) if config is None else read(config, sets or ())
    findings = [*findings, *asyncio.run(examine(settings))]
    faults = sum(finding.state == "fault" for finding in findings)
    if as_json:
        told = {"well": not faults, "findings": [dataclasses.asdict(finding) for finding in findings]}
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        _say(findings, faults)
    raise typer.Exit(1 if faults else 0)


def _say(findings: Sequence[Finding], faults: int) -> None:
    for finding in findings:
        state = typer.style(f"{finding.state:<8}", fg=_COLOUR[finding.state])
        typer.echo(f"{state}{finding.name:<{_WIDTH}} {' '.join(finding.said.split())}")
        if finding.advice:
            typer.echo(f"{'':<{8 + _WIDTH}} → {finding.advice}")
    warnings = sum(finding.state == "warning" for finding in findings)
    typer.echo(f"\n{len(findings)} looked at: {faults} broken, {warnings} to think about")
