"""The paper's claims (§VI), each with yes or no here, how far, and how sure; decided from numbers alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from clownfish.evaluation.paper.sweep import Score

Answer = Literal["yes", "no", "open"]

NEAR = 0.02
"""What the paper calls comparable: two points of accuracy."""
LITTLE = 0.01
"""A small loss: one point."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One claim here."""

    claim: str
    """In our words, with its section."""
    holds: bool | None
    """None: not decided here, for what `found` says."""
    sure: bool
    """Whether the 95 % interval lies wholly on one side of the bound."""
    found: str
    """What was measured, in a sentence."""
    reason: str = ""
    """Where it fails: why, from the same data."""

    @property
    def answer(self) -> str:
        """For a page: yes, no, or either with a doubt."""
        return self.word if self.sure else f"{self.word}, but the interval crosses the bound"

    @property
    def word(self) -> Answer:
        """Without the doubt."""
        return "open" if self.holds is None else "yes" if self.holds else "no"


@dataclass(frozen=True, slots=True)
class At:
    """A measured difference, and where."""

    where: str
    score: Score


def points(score: Score) -> str:
    """`−1.3 points (−2.0 … −0.4)`."""
    return f"{_signed(score.value)} points ({_signed(score.low)} … {_signed(score.high)})"


def _signed(share: float) -> str:
    number = round(100 * share, 1) + 0.0  # no negative zero
    return f"{'−' if number < 0 else '+' if number > 0 else ''}{abs(number):.1f}"


def above(bound: float, score: Score) -> tuple[bool, bool]:
    """(whether the value reaches the bound, whether its interval lies on the same side)."""
    if any(math.isnan(number) for number in (score.value, score.low, score.high)):
        raise ValueError(f"{score} is no measurement: no claim can be decided from it")
    holds = score.value >= bound
    return holds, score.low >= bound if holds else score.high < bound


def at_all(claim: str, gains: Sequence[At], bound: float) -> Verdict:
    """The claim that every gain reaches `bound`: the worst decides. Raises ValueError without gains."""
    worst = min(gains, key=lambda each: each.score.value, default=None)
    if worst is None:
        raise ValueError(f"{claim}: nothing was measured")
    holds, sure = above(bound, worst.score)
    kept = sum(each.score.value >= bound for each in gains)
    found = f"Worst {points(worst.score)}, at {worst.where}; within the bound at {kept} of {len(gains)} settings."
    return Verdict(claim, holds, sure, found)


def at_one(claim: str, gain: Score, where: str, bound: float) -> Verdict:
    """The claim that one gain reaches `bound`."""
    holds, sure = above(bound, gain)
    return Verdict(claim, holds, sure, f"{points(gain)} {where}.")


def undecided(claim: str, why: str) -> Verdict:
    """This data set cannot say."""
    return Verdict(claim, None, True, why)


def on_average(claim: str, gain: Score, gains: Sequence[At], bound: float) -> Verdict:
    """The claim that the mean gain reaches `bound`; single ones are counted."""
    holds, sure = above(bound, gain)
    kept = sum(each.score.value >= bound for each in gains)
    found = f"Mean {points(gain)}; at {kept} of {len(gains)} settings."
    return Verdict(claim, holds, sure, found)
