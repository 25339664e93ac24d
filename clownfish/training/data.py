"""From the `[data]` of a training configuration to clips that can be trained on: listed, looked into, decoded, parted.

All that can be wrong with a data set shows here, before training starts: what can be spared is skipped and counted, and
the rest is an error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clownfish.config import parse_value
from clownfish.datasets import open_dataset
from clownfish.datasets.base import Clip, Dataset, Skipped
from clownfish.datasets.probe import Probe
from clownfish.datasets.split import split
from clownfish.errors import ConfigError, DatasetError
from clownfish.training.cache import SKIP_SHARE, FrameCache, open_cache
from clownfish.training.config import Data

Say = Callable[[str], None]

INDEX = "videos.json"
"""In the cache folder: what `Probe` knows of the videos."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Clips whose frames lie in `cache`."""

    classes: tuple[str, ...]
    cache: FrameCache
    train: list[Clip]
    validation: list[Clip]


def options_of(items: Iterable[str]) -> dict[str, Any]:
    """Options of a data set from KEY=VALUE on a command line. Raises ConfigError."""
    options = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--option {item!r}: expected KEY=VALUE, for example split=cross-view")
        options[key.strip()] = parse_value(value.strip())
    return options


def opened(data: Data, say: Say = lambda line: None) -> Dataset:
    """The data set that `data` names. Raises ConfigError or DatasetError."""
    return open_dataset(data.dataset, data.root, Probe(data.cache / INDEX, say), data.options)


def prepared(data: Data, every: int, window_size: int, say: Say) -> Prepared:
    """List, decode where that has not been done, and part; says what was skipped.

    Raises ConfigError or DatasetError where a table is wrong, more than a tenth of the videos is, a class has no clip
    left, or a part lacks one.
    """
    dataset = opened(data, say)
    listed = dataset.clips()
    _report(dataset.skipped, len(listed), data.cache / f"{data.dataset}-skipped.txt", say)
    clips = [clip for clip in listed if clip.frames >= window_size]
    if len(clips) < len(listed):
        short = [clip for clip in listed if clip.frames < window_size]
        say(
            f"skipped {len(short)} of {len(listed)} clips that are shorter than a window of {window_size} frames; "
            f"the first: {short[0].key}, {short[0].frames} frames"
        )
    _check_classes(dataset.classes, clips, data.root)

    def progress(done: int, total: int) -> None:
        if done % 100 == 0 or done == total:
            say(f"decoded {done} of {total} clips")

    cache = open_cache(data.cache, data.dataset, clips, (data.cache_width, data.cache_height), every, progress)
    if cache.broken:
        first = next(iter(cache.broken.values()))
        say(f"skipped {len(cache.broken)} of {len(clips)} clips that cannot be decoded; the first: {first}")
    held = cache.held(clips)
    _check_classes(dataset.classes, held, data.root)
    train, validation = split(held, data.validation_groups, data.validation_share, data.split_seed)
    counts = Counter(clip.label for clip in held)
    say(
        f"{len(train)} clips to train on, {len(validation)} to validate on, of {len(dataset.classes)} classes "
        f"({min(counts.values())} to {max(counts.values())} clips each)"
    )
    return Prepared(dataset.classes, cache, train, validation)


def _report(skipped: Sequence[Skipped], used: int, listing: Path, say: Say) -> None:
    """Say how many videos and intervals are not used and write which. Raises DatasetError for too many."""
    if not skipped:
        return
    listing.parent.mkdir(parents=True, exist_ok=True)
    listing.write_text("".join(f"{each.what}: {each.why}\n" for each in skipped), encoding="utf-8")
    missing = sum(each.why == "missing" for each in skipped)
    first = f"the first: {skipped[0].what}: {skipped[0].why}; all are named in {listing}"
    if len(skipped) - missing > SKIP_SHARE * (used + len(skipped)):
        raise DatasetError(f"{len(skipped)} of {used + len(skipped)} videos or intervals cannot be used; {first}")
    say(f"skipped {len(skipped)} of {used + len(skipped)} videos and intervals; {first}")


def _check_classes(classes: Sequence[str], clips: Sequence[Clip], root: Path) -> None:
    without = sorted(set(classes) - {clip.label for clip in clips})
    if without:
        raise DatasetError(f"{root}: no clips of {', '.join(without)} can be used; every class needs some")
