"""The words for two models whose classes differ."""

from __future__ import annotations

import pytest

from clownfish.classes import difference


@pytest.mark.parametrize(
    ("there", "words"),
    [
        (("run", "jump", "swim"), None),
        (("run", "jump"), "lacks 'swim'"),
        (("run", "jump", "swim", "dive"), "adds 'dive'"),
        (("run", "jump", "dive"), "lacks 'swim' and adds 'dive'"),
        (("run", "swim", "jump"), "has the classes in another order: class 1 is 'swim' there and 'jump' here"),
        (("run", "jump", "swim", "swim"), "has 4 classes where here are 3: a name is repeated"),
        ((), "lacks 'run', 'jump', 'swim'"),
    ],
)
def test_the_difference_is_named(there: tuple[str, ...], words: str | None) -> None:
    assert difference(("run", "jump", "swim"), there) == words


def test_many_differences_are_cut_short() -> None:
    assert difference([], list("abcde")) == "adds 'a', 'b', 'c' and 2 more"
