"""Parts: groups never cross them, each class is in both, and the same seed parts alike."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clownfish.datasets.base import Clip, Part
from clownfish.datasets.split import split, split_by_group
from clownfish.errors import DatasetError


def clip(label: str, group: int | str, n: int = 0, part: Part = "") -> Clip:
    return Clip(Path(f"{group}{label}{n}"), label, group, 99, part=part)


def test_groups_never_cross_the_split() -> None:
    clips = [clip(label, group) for group in (1, 2, 3) for label in "ab"]
    train, validation = split(clips, (2,), 0.5, 0)
    assert {each.group for each in train} == {1, 3}
    assert {each.group for each in validation} == {2}


def test_a_split_that_leaves_a_class_without_clips_is_refused() -> None:
    with pytest.raises(DatasetError, match=r"no train clips of b when groups"):
        split_by_group([clip("a", 1), clip("b", 2)], (2,))


def test_the_data_sets_own_validation_part_is_taken() -> None:
    clips = [clip(label, n, part=part) for label in "ab" for n, part in enumerate(("train", "train", "validation"))]
    train, validation = split(clips, None, 0.2, 0)
    assert (len(train), len(validation)) == (4, 2)
    assert all(each.part == "validation" for each in validation)


def test_a_group_in_two_of_the_data_sets_own_parts_is_refused() -> None:
    with pytest.raises(DatasetError, match=r"groups \[anna\] are in the training and in the validation part"):
        split([clip("a", "anna", part="train"), clip("a", "anna", part="validation")], None, 0.2, 0)


@given(
    st.integers(0, 99),
    st.sampled_from([0.1, 0.2, 0.5]),
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), min_size=2, max_size=60),
)
def test_a_drawn_share_parts_by_group_with_each_class_in_both_or_says_why_not(
    seed: int, share: float, shown: list[tuple[str, int]]
) -> None:
    clips = [clip(label, group, n) for n, (label, group) in enumerate(shown)]
    try:
        train, validation = split(clips, None, share, seed)
    except DatasetError:
        groups = {label: {each.group for each in clips if each.label == label} for label, _ in shown}
        alone = any(len(own) == 1 for own in groups.values())
        entangled = any(len(groups[a] | groups[b]) < 4 for a in groups for b in groups if a != b)
        assert alone or entangled
        return
    assert sorted(train + validation, key=lambda each: each.path) == sorted(clips, key=lambda each: each.path)
    assert not {each.group for each in train} & {each.group for each in validation}
    labels = {each.label for each in clips}
    assert {each.label for each in train} == {each.label for each in validation} == labels
    assert split(clips, None, share, seed) == (train, validation)


@pytest.mark.parametrize("share", [0.1, 0.2, 0.4])
def test_clips_that_are_their_own_groups_are_parted_in_the_share_asked_for(share: float) -> None:
    clips = [clip(label, f"{label}{n}", n) for label in "abcd" for n in range(40)]
    _, validation = split(clips, None, share, 3)
    for label in "abcd":
        assert sum(each.label == label for each in validation) == round(share * 40)


def test_a_class_of_two_large_groups_gives_the_smaller_one() -> None:
    clips = [clip("a", "anna", n) for n in range(30)] + [clip("a", "ben", n) for n in range(9)]
    _, validation = split(clips, None, 0.1, 0)
    assert {each.group for each in validation} == {"ben"}


def test_a_class_of_one_group_is_named() -> None:
    with pytest.raises(DatasetError, match=r"all clips of b are of one group, and a group cannot train and validate"):
        split([clip("a", 1), clip("a", 2), clip("b", 2)], None, 0.2, 0)
