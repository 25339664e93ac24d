"""What the paper's figures are made on: an evaluation set, and what Figures 9 and 10 need beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from clownfish.evaluation.sets import evaluation_set
from clownfish.sources import truth_of
from clownfish.sources.truth import Truth


@dataclass(frozen=True, slots=True)
class DataSet:
    """Streams and the pair that answers for them."""

    name: str
    title: str
    pair: str
    sources: Mapping[str, Truth | None]
    cross_view: tuple[str, ...] = ()
    """The same performances from a camera that training has not seen; empty where there are none."""
    weaker: Mapping[str, int] = field(default_factory=dict)
    """Another local model (§VI-F): what of the local model's input is changed for it; empty where there is none."""

    def from_the_side(self) -> DataSet:
        """The cross-view streams as a set of their own."""
        return DataSet(
            f"{self.name}, cross-view",
            f"{self.title}; from the left",
            self.pair,
            {source: truth_of(source) for source in self.cross_view},
            weaker=self.weaker,
        )


_TITLES: Mapping[str, str] = {
    "puppets": "Puppets, test streams 0 to 11: idle and fourteen actions, drawn; subjects that training never saw",
    "ucf9": "Nine classes of UCF-101: six streams of real clips joined; groups that training never saw",
}

_WEAKER: Mapping[str, Mapping[str, int]] = {
    "puppets": {"frame_step": 16},  # one frame a window: nothing that moves is seen to move
    "ucf9": {"width": 48, "height": 36},
}


def data_set(name: str, root: Path | None = None, pair: str = "", read: bool = True) -> DataSet:
    """The evaluation set of that name, answered by `pair` or its own; without its streams unless it is to be read.

    Raises ConfigError, DatasetError.
    """
    found = evaluation_set(name, "test", root, read)
    return DataSet(
        name,
        _TITLES.get(name, name),
        pair or found.pair,
        found.sources,
        tuple(f"{source}/left" for source in found.sources) if name == "puppets" else (),
        _WEAKER.get(name, {}),
    )
