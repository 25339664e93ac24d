"""Which processes are struck when: drawn from a seed before the run begins, so that a run can be had again. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

_CHANCES = {"worker": 0.35, "router": 0.15, "edge": 0.35, "roam": 0.15}


@dataclass(frozen=True)
class Strike:
    """At `at_s` of the run, `kind` happens to number `victim` of its kind.

    `worker`, `router`, `edge`: kill -9 of its process. `roam`: the edge's connections are cut, without a word to either
    end, and its next ones come from another address.
    """

    at_s: float
    kind: str
    victim: int


@dataclass(frozen=True)
class Roles:
    """Which edges may be struck how: the others live the whole run long, and are compared with each other."""

    mortal: tuple[int, ...]
    roaming: tuple[int, ...]
    steady: tuple[int, ...]


def roles(edges: int, seed: int) -> Roles:
    """A quarter of the edges is killed now and then, an eighth roams; one of each at least, where there are three."""
    order = random.Random(f"roles {seed}").sample(range(edges), edges)
    mortal, roaming = (max(1, edges // 4), max(1, edges // 8)) if edges >= 3 else (0, 0)
    return Roles(
        tuple(sorted(order[:mortal])),
        tuple(sorted(order[mortal : mortal + roaming])),
        tuple(sorted(order[mortal + roaming :])),
    )


def strikes(seconds: float, every_s: float, workers: int, who: Roles, seed: int) -> list[Strike]:
    """Strikes come by chance, `every_s` apart on average and a fifth of that at least, until `seconds` are over."""
    chance = random.Random(f"strikes {seed}")
    victims: dict[str, Sequence[int]] = {
        "worker": range(workers),
        "router": (0,),
        "edge": who.mortal,
        "roam": who.roaming,
    }
    kinds = [kind for kind in _CHANCES if victims[kind]]
    weights = [_CHANCES[kind] for kind in kinds]
    found: list[Strike] = []
    now = every_s
    while now < seconds:
        kind = chance.choices(kinds, weights)[0]
        found.append(Strike(now, kind, chance.choice(victims[kind])))
        now += every_s * (0.2 + chance.expovariate(1 / 0.8))
    return found
