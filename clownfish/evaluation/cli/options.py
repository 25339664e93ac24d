"""What the `clownfish eval` commands share: how words of the command line become settings."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from clownfish.pair import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clownfish.evaluation.sets import EvaluationSet, PairSettings
    from clownfish.settings import Plugin

T = TypeVar("T", bound=str)

Videos = Annotated[
    list[str] | None,
    typer.Argument(metavar="[VIDEO...]", help="Video files (truth in the .csv beside), or shapes:…, puppets:…"),
]
Data = Annotated[str, typer.Option(help="An evaluation set with its pair: puppets or ucf9.")]
Part = Annotated[str, typer.Option(help="Of the evaluation set: test; validation, to choose by.")]
DatasetName = Annotated[str, typer.Option("--dataset", help="A data set, all of whose streams are taken, too.")]
Root = Annotated[Path | None, typer.Option(help="Its folder, or the evaluation set's.")]
DatasetOption = Annotated[
    list[str] | None, typer.Option("--option", metavar="KEY=VALUE", help="Option of the data set; repeatable.")
]
Pair = Annotated[
    str, typer.Option(help="Models: zoo:SET, or a .toml file.", show_default=f"the evaluation set's, or {DEFAULT}")
]
Local = Annotated[str, typer.Option(help="Local model, in place of the pair's.")]
Remote = Annotated[str, typer.Option(help="Remote model, in place of the pair's.")]
Discard = Annotated[str, typer.Option(help="Early-discard model, in place of the pair's.")]
CodecName = Annotated[
    str, typer.Option("--codec", metavar="KIND[,OPTION=VALUE...]", help="raw, png, jpeg, webp, h264, hevc.")
]
DumpFolder = Annotated[Path, typer.Option("--dumps", help="Folder where the models' answers are kept.")]
DeviceName = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
PrecisionName = Annotated[str, typer.Option("--precision", help="fp32, bf16 or fp16.")]


def chosen_set(
    videos: Iterable[str] | None,
    data: str,
    part: str,
    dataset: str,
    root: Path | None,
    option: Iterable[str],
    pair: str,
) -> EvaluationSet:
    """What the words name: an evaluation set, or videos and a data set's streams. Raises ConfigError, DatasetError or
    SourceError; also for nothing at all."""
    from clownfish.errors import ConfigError
    from clownfish.evaluation.sets import EvaluationSet, evaluation_set, streams_of
    from clownfish.sources import truth_of

    if data:
        if videos or dataset:
            raise ConfigError(f"--data {data} is all that is measured on: leave out videos and --dataset")
        chosen = evaluation_set(data, part or "test", root)
        return dataclasses.replace(chosen, pair=pair) if pair else chosen
    if part:
        raise ConfigError(f"--part {part} is of an evaluation set: say --data, too")
    truths = {source: truth_of(source) for source in videos or ()}
    if dataset:
        truths |= streams_of(dataset, root, option)
    if not truths:
        raise ConfigError(
            "nothing to measure on: name videos, an evaluation set with --data, or a data set with --dataset and --root"
        )
    return EvaluationSet(pair or DEFAULT, truths)


def settings_of(
    chosen: EvaluationSet, local: str, remote: str, discard: str, codec: str, device: str, precision: str
) -> PairSettings:
    """The settings of the chosen pair, with what the command line puts in their place. Raises ConfigError."""
    from clownfish.evaluation.recorder import DEVICES, PRECISIONS
    from clownfish.evaluation.sets import pair_settings

    return pair_settings(
        chosen.pair,
        local=local,
        remote=remote,
        discard=discard,
        codec=plugin(codec),
        device=one_of("--device", device, DEVICES),
        precision=one_of("--precision", precision, PRECISIONS),
    )


def plugin(text: str) -> Plugin:
    """`jpeg,quality=90` → the plug-in `jpeg` with that option. Raises ConfigError where an option has no value."""
    from clownfish.config import parse_value
    from clownfish.errors import ConfigError
    from clownfish.settings import Plugin

    kind, *options = text.split(",")
    values = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals or not name:
            raise ConfigError(f"{text!r}: option {option!r}; expected KIND,OPTION=VALUE, for example jpeg,quality=90")
        values[name.strip()] = parse_value(value.strip())
    return Plugin(kind, values)


def one_of(option: str, read: str, allowed: tuple[T, ...]) -> T:
    """`read`, where it is among the `allowed`. Raises ConfigError that names `option` where it is not."""
    from clownfish.errors import ConfigError

    for value in allowed:
        if value == read:
            return value
    raise ConfigError(f"{option} is {read!r}; expected {', '.join(allowed)}")


def numbers(option: str, text: str, least: int) -> list[int]:
    """`1,6` → those numbers. Raises ConfigError that names `option` where one is none, or below `least`."""
    from clownfish.errors import ConfigError

    try:
        read = [int(word) for word in text.split(",")]
    except ValueError:
        read = [least - 1]
    if min(read) < least:
        raise ConfigError(f"{option} is {text!r}; expected whole numbers of at least {least}, commas between")
    return read
