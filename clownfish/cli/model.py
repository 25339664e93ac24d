"""`clownfish model …`: what can be done with one model (layer 4)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from clownfish.cli.model_bench import model_bench
from clownfish.errors import ModelError

model_app = typer.Typer(help="Bring a model from elsewhere, or compare engines for one.", no_args_is_help=True)
model_app.command("bench")(model_bench)


@model_app.command("import")
def import_command(
    checkpoint: Annotated[Path, typer.Argument(help="A .pth of 3D-ResNets-PyTorch or Efficient-3DCNNs, or alike")],
    output: Annotated[Path, typer.Option(help="Where to: .safetensors and .json are written")],
    classes: Annotated[Path | None, typer.Option(help="Class names: one a line, or JSON (a list, or `labels`)")] = None,
    arch: Annotated[str, typer.Option(help="Architecture, or module:factory, where the weights do not tell")] = "",
    option: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="Of that architecture")] = None,
    preprocess: Annotated[
        str,
        typer.Option(
            help="How pixels were scaled: activitynet, kinetics, zero, each alone, -std or -unit; kinetics-2020"
        ),
    ] = "activitynet",
    size: Annotated[int, typer.Option(min=1, help="Height and width that the network sees")] = 112,
    window_size: Annotated[int, typer.Option(min=1, help="Frames of a window")] = 16,
    frame_step: Annotated[int, typer.Option(min=1, help="Of which the network sees every n-th")] = 1,
) -> None:
    """Turn a checkpoint into weights and a description that a configuration can name."""
    from clownfish.models.importing import Wanted, import_checkpoint, read_class_names
    from clownfish.models.load import load_model

    if output.suffix in (".safetensors", ".json"):
        output = output.with_suffix("")
    names = read_class_names(classes) if classes else ()
    wanted = Wanted(arch, _options(option or []), names, preprocess, size, window_size, frame_step)
    description = import_checkpoint(checkpoint, output, wanted)
    load_model(f"{output}.safetensors", device="cpu")
    typer.echo(
        f"{output}.safetensors: {description.architecture} {description.options}, {len(description.classes)} classes"
        f"{'' if names else ' (numbered; name them with --classes)'}, {description.input.frames} frames of {size} x "
        f"{size}, pixels scaled as {preprocess!r}"
    )


def _options(pairs: list[str]) -> dict[str, Any]:
    options = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ModelError(f"--option {pair}: expected KEY=VALUE, as depth=18")
        try:
            options[key] = json.loads(value)
        except ValueError:
            options[key] = value
    return options
