"""`clownfish train init`: from a user's clips to the configurations of a pair (`recipes`), so that nothing has to be
written by hand. Looks at what there is, how it is shaped, and by which groups validation is parted from training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from clownfish.datasets.base import Clip
from clownfish.datasets.probe import Probe
from clownfish.datasets.split import split
from clownfish.errors import ConfigError, DatasetError
from clownfish.training.config import Data
from clownfish.training.data import INDEX, Say, opened
from clownfish.training.recipes import PIXELS, sized, texts

SHAPES_AS_THEY_ARE = (1.0, 2.0)
"""Width ÷ height that is squeezed into 172×128 without harm, as capture does by default."""
FEWEST_GROUPS = 4
"""Of a class, below which names' prefixes are not taken for groups."""
VALIDATION_CLIPS = 4
"""Of a class, which are wanted at least; but never more than two of five."""
LOOKED_AT = 200
"""Videos whose size decides the shape."""

ROLES = ("local", "remote", "siminet", "pair")


@dataclass(frozen=True, slots=True)
class Begun:
    """What was found and decided."""

    data: Data
    clips: int
    classes: tuple[str, ...]
    files: dict[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command was told."""

    root: Path
    output: Path
    dataset: str = "folder"
    options: dict[str, Any] = field(default_factory=dict)
    validation_share: float | None = None
    """None: a fifth, of few clips more."""
    seed: int = 1
    quick: bool = False
    """A first pair within minutes: a smaller remote model, fewer steps."""
    force: bool = False


def begin(wanted: Wanted, say: Say) -> Begun:
    """Look at the data and write local.toml, remote.toml, siminet.toml and pair.toml into the folder `output`.

    Raises ConfigError where they are there already, DatasetError where the clips cannot be parted, and what
    `training.data.opened` raises.
    """
    if wanted.output.resolve().is_relative_to(wanted.root.resolve()):
        raise ConfigError(f"{wanted.output} lies in the folder of the clips; say --output with a folder elsewhere")
    files = {role: wanted.output / f"{role}.toml" for role in ROLES}
    there = [path for path in files.values() if path.exists()]
    if there and not wanted.force:
        raise ConfigError(f"{there[0]} is there already; write to another folder, or say --force to write it anew")
    data = Data(
        dataset=wanted.dataset,
        root=wanted.root,
        options=wanted.options,
        cache=wanted.output / "cache",
        cache_width=172,
        cache_height=128,
    )
    clips, data = _look(data, say)
    share = wanted.validation_share or _share(min(Counter(clip.label for clip in clips).values(), default=1))
    data = data.model_copy(update={"validation_share": share})
    classes = opened(data).classes
    width, height = _shape(clips, Probe(data.cache / INDEX))
    data = data.model_copy(update={"cache_width": width, "cache_height": height})
    train, validation = _summary(clips, classes, data, say)
    for role, text in texts(wanted.output, data, train, validation, wanted.seed, wanted.quick).items():
        wanted.output.mkdir(parents=True, exist_ok=True)
        files[role].write_text(text, encoding="utf-8")
    return Begun(data, len(clips), classes, files)


def _look(data: Data, say: Say) -> tuple[list[Clip], Data]:
    """(all clips, the data with the way of grouping that suits them)."""
    dataset = opened(data, say)
    clips = dataset.clips()
    for each in dataset.skipped[:5]:
        say(f"skipped {each.what}: {each.why}")
    if len(dataset.skipped) > 5:
        say(f"… and {len(dataset.skipped) - 5} more")
    own_groups = len({clip.group for clip in clips}) < len(clips)
    if data.dataset != "folder" or "group" in data.options or own_groups:
        return clips, data
    by_prefix = data.model_copy(update={"options": {**data.options, "group": "prefix"}})
    grouped = opened(by_prefix).clips()
    scenes = {(clip.label, clip.group) for clip in grouped}
    if min(Counter(label for label, _ in scenes).values()) < FEWEST_GROUPS or len(scenes) == len(clips):
        return clips, data
    example = grouped[0]
    say(
        f"clips whose names begin alike are taken as one scene ({example.path.name}: {example.group}), and never train "
        "and validate; if they are not, say --option group=clip"
    )
    return grouped, by_prefix


def _share(fewest: int) -> float:
    """Of a class of so few clips: a temperature that is chosen on one or two clips of each class is worth nothing."""
    return min(max(0.2, round(VALIDATION_CLIPS / fewest, 2)), 0.4)


def _shape(clips: Sequence[Clip], probe: Probe) -> tuple[int, int]:
    """(width, height) of frames: what capture makes of every video, unless that would squeeze these too hard."""
    paths = list(islice(dict.fromkeys(clip.path for clip in clips), LOOKED_AT))
    seen = [each for each in probe.many(paths).values() if each.width and each.height]
    if not seen:
        return 172, 128
    ratio = sorted(each.width / each.height for each in seen)[len(seen) // 2]
    if SHAPES_AS_THEY_ARE[0] <= ratio <= SHAPES_AS_THEY_ARE[1]:
        return 172, 128
    return sized(PIXELS, ratio)


def _summary(clips: Sequence[Clip], classes: Sequence[str], data: Data, say: Say) -> tuple[int, int]:
    """Say what is there, and how many clips train and validate. Raises DatasetError where they cannot be parted."""
    counts = Counter(clip.label for clip in clips)
    empty = [name for name in classes if name not in counts]
    if empty:
        raise DatasetError(f"{data.root}: no clips of {', '.join(empty)}; every class needs some")
    train, validation = split(list(clips), data.validation_groups, data.validation_share, data.split_seed)
    say(f"{len(clips)} clips of {len(classes)} classes: " + ", ".join(f"{name} {counts[name]}" for name in classes))
    say(f"{len(train)} of them to train on, {len(validation)} to validate on")
    few = [name for name in classes if counts[name] < 10]
    if few:
        say(f"few clips: {', '.join(few)}; from about 20 clips of different scenes on, a class is learned well")
    return len(train), len(validation)
