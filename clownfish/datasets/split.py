"""Clips parted in training and validation: by the groups that are named, by the data set's own parts, or by a share of
the groups drawn at random. A group never crosses parts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from clownfish.datasets.base import Clip, Group
from clownfish.errors import DatasetError


def split(clips: list[Clip], groups: Sequence[Group] | None, share: float, seed: int) -> tuple[list[Clip], list[Clip]]:
    """(train, validation). Named `groups` decide; else the parts that the data set has; else `share` of each class.

    Raises DatasetError where a class would be missing from either, or a group be in both.
    """
    if groups is not None:
        return split_by_group(clips, groups)
    if any(clip.part == "validation" for clip in clips):
        return _split_by_part(clips)
    return split_by_group(clips, draw_groups(clips, share, seed))


def split_by_group(clips: list[Clip], validation_groups: Sequence[Group]) -> tuple[list[Clip], list[Clip]]:
    """(train, validation), split by group. Raises DatasetError where a class would be missing from either."""
    held_out = set(validation_groups)
    train = [clip for clip in clips if clip.group not in held_out]
    validation = [clip for clip in clips if clip.group in held_out]
    _check(clips, train, validation, f"groups {_few(held_out)} validate; groups there are: {_few(_groups(clips))}")
    return train, validation


def _split_by_part(clips: list[Clip]) -> tuple[list[Clip], list[Clip]]:
    train = [clip for clip in clips if clip.part != "validation"]
    validation = [clip for clip in clips if clip.part == "validation"]
    both = _groups(train) & _groups(validation)
    if both:
        raise DatasetError(
            f"groups {_few(both)} are in the training and in the validation part; scores would be too good: "
            "give each group one part"
        )
    _check(clips, train, validation, "the data set's own validation part is taken")
    return train, validation


def draw_groups(clips: list[Clip], share: float, seed: int) -> list[Group]:
    """Groups that hold about `share` of each class, at least one clip of it; the same for the same clips and seed.

    Raises DatasetError where a class has a single group, which cannot be in both parts.
    """
    by_group: dict[Group, Counter[str]] = defaultdict(Counter)
    for clip in clips:
        by_group[clip.group][clip.label] += 1
    of_class = Counter(clip.label for clip in clips)
    groups_of = Counter(label for labels in by_group.values() for label in labels)
    alone = sorted(label for label, count in groups_of.items() if count < 2)
    if alone:
        raise DatasetError(
            f"all clips of {', '.join(alone)} are of one group, and a group cannot train and validate: add clips of "
            "another scene, or name groups otherwise"
        )
    missing = {label: max(1.0, share * count) for label, count in of_class.items()}
    names = sorted(by_group, key=str)
    chosen: list[Group] = []
    for i in np.random.default_rng(seed).permutation(len(names)):
        labels = by_group[names[i]]
        wanted = sum(min(count, missing[label]) for label, count in labels.items() if missing[label] > 0)
        last = any(groups_of[label] == 1 for label in labels)  # of a class in what is left to train on
        if last or wanted < 0.5 * sum(labels.values()):
            continue
        chosen.append(names[i])
        for label, count in labels.items():
            missing[label] -= count
            groups_of[label] -= 1
    for label in sorted(of_class):  # a class of few large groups: the smallest will do
        if not any(label in by_group[name] for name in chosen):
            spare = [n for n in names if label in by_group[n] and all(groups_of[each] > 1 for each in by_group[n])]
            if spare:
                chosen.append(min(spare, key=lambda name: by_group[name].total()))
                groups_of.subtract(dict.fromkeys(by_group[chosen[-1]], 1))
    return chosen


def _check(clips: list[Clip], train: list[Clip], validation: list[Clip], how: str) -> None:
    wanted = {clip.label for clip in clips}
    for part, chosen in (("train", train), ("validation", validation)):
        missing = wanted - {clip.label for clip in chosen}
        if missing:
            raise DatasetError(f"no {part} clips of {', '.join(sorted(missing))} when {how}")


def _groups(clips: list[Clip]) -> set[Group]:
    return {clip.group for clip in clips}


def _few(groups: set[Group]) -> str:
    names = [str(group) for group in sorted(groups, key=lambda group: (isinstance(group, str), group))]
    return f"[{', '.join(names[:12])}{f', and {len(names) - 12} more' if len(names) > 12 else ''}]"
