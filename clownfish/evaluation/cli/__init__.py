"""`clownfish eval …`: one file a command, each with one line of registration here."""

from __future__ import annotations

import typer

from clownfish.evaluation.cli.adaptive import adaptive
from clownfish.evaluation.cli.codecs import codecs
from clownfish.evaluation.cli.dump import dump
from clownfish.evaluation.cli.join import join
from clownfish.evaluation.cli.methods import methods
from clownfish.evaluation.cli.paper import figure, paper, table
from clownfish.evaluation.cli.policies import policies
from clownfish.evaluation.cli.replay import replay
from clownfish.evaluation.cli.streams import streams

eval_app = typer.Typer(
    no_args_is_help=True,
    help="Measure on labelled video: both models run once, methods are replayed over their answers.",
)


for command in (streams, dump, join, replay, figure, table, paper, methods, policies, codecs, adaptive):
    eval_app.command()(command)
