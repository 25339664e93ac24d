"""`clownfish model …`: what can be done with one model (layer 4)."""

from __future__ import annotations

import typer

from clownfish.cli.model_bench import model_bench

model_app = typer.Typer(help="Work with one model.", no_args_is_help=True)
model_app.command("bench")(model_bench)


@model_app.callback()
def _group() -> None:
    """Keeps its commands words of their own while there is only one."""
