"""What the evaluation runs on: a pair of models, and labelled streams that neither has seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clownfish.errors import ConfigError

UCF9_ROOT = Path("../shared/data/ucf9")


@dataclass(frozen=True, slots=True)
class DataSet:
    """Streams and the pair that answers for them."""

    name: str
    title: str
    pair: str
    sources: tuple[str, ...]
    cross_view: tuple[str, ...] = ()
    """The same performances from a camera that training has not seen; empty where there are none."""
    weaker: Mapping[str, int] | None = None
    """Another local model (§VI-F): what of the local model's input is changed for it."""


def data_set(name: str, root: Path | None = None) -> DataSet:
    """`puppets` needs no folder. Raises ConfigError, and DatasetError where the folder holds no streams."""
    if name == "puppets":
        sources = tuple(f"puppets:test/{n}" for n in range(12))
        return DataSet(
            name,
            "Puppets, test streams 0 to 11: idle and fourteen actions, drawn, subjects that training never saw",
            "zoo:puppets",
            sources,
            tuple(f"{source}/left" for source in sources),
            {"frame_step": 16},
        )
    if name == "ucf9":
        from clownfish.evaluation.cli.options import streams_of

        return DataSet(
            name,
            "Nine classes of UCF-101, six streams of real clips joined, groups that training never saw",
            "zoo:ucf9",
            tuple(streams_of("ucf9", root or UCF9_ROOT, ())),
            weaker={"width": 48, "height": 36},
        )
    raise ConfigError(f"--data is {name!r}; expected puppets or ucf9")
