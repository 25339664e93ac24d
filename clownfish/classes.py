"""How two models' class lists differ, in words for people: answers of unlike lists are never fused (DESIGN §7)."""

from __future__ import annotations

from collections.abc import Sequence


def difference(here: Sequence[str], there: Sequence[str]) -> str | None:
    """A clause about `there` ("lacks 'run'"), or None where both lists are the same, in the same order."""
    lacks = [name for name in here if name not in there]
    adds = [name for name in there if name not in here]
    if lacks or adds:
        words = [f"lacks {_some(lacks)}"] if lacks else []
        return " and ".join([*words, f"adds {_some(adds)}"] if adds else words)
    for place, (mine, theirs) in enumerate(zip(here, there)):  # noqa: B905 - unequal lengths are told below
        if mine != theirs:
            return f"has the classes in another order: class {place} is {theirs!r} there and {mine!r} here"
    if len(here) != len(there):
        return f"has {len(there)} classes where here are {len(here)}: a name is repeated"
    return None


def _some(names: list[str]) -> str:
    return ", ".join(map(repr, names[:3])) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
