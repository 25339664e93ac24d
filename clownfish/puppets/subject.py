"""Who performs: build, clothes, tempo and style of a subject, drawn from its number; and which numbers each split owns.

Subjects of train, validation and test never meet (cross-subject, as in PKU-MMD).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np

from clownfish.errors import DatasetError
from clownfish.puppets.difficulty import Difficulty
from clownfish.puppets.names import Split

Colour = tuple[int, int, int]

SUBJECTS = {"train": 240, "validation": 16, "test": 32}
"""How many subjects each split has (PKU-MMD: 66 in all)."""

_SEED = 0x50E7  # of everything that depends on the subject alone
_SKINS: tuple[Colour, ...] = ((241, 204, 177), (224, 172, 138), (198, 134, 96), (141, 85, 54), (96, 60, 40))
_HAIRS: tuple[Colour, ...] = ((30, 24, 22), (70, 45, 28), (120, 84, 46), (196, 160, 92), (150, 60, 34), (170, 170, 168))


@dataclass(frozen=True, slots=True)
class Body:
    """Lengths and radii in metres."""

    thigh: float
    shank: float
    foot: float
    torso: float
    shoulder: float
    """Half the distance between the shoulders, as `hip` between the hip joints."""
    hip: float
    upper_arm: float
    forearm: float
    neck: float
    head: float
    arm_radius: float
    leg_radius: float
    torso_radius: float


@dataclass(frozen=True, slots=True)
class Clothes:
    """RGB."""

    shirt: Colour
    trousers: Colour
    shoes: Colour
    skin: Colour
    hair: Colour
    long_sleeves: bool
    long_trousers: bool
    long_hair: bool


@dataclass(frozen=True, slots=True)
class Style:
    """How a subject moves."""

    tempo: float
    amplitude: float
    ease: float
    """Exponent of the speed profile: 1.4 flowing, 2.1 abrupt."""
    left_handed: float
    """Probability of using the left hand or leg."""
    sway: float
    stoop: float
    stance: float
    arms_out: float
    arms_forward: float


@dataclass(frozen=True, slots=True)
class Subject:
    split: Split
    number: int
    body: Body
    clothes: Clothes
    style: Style


def check_split(split: str) -> Split:
    """The same word. Raises DatasetError with the known splits."""
    if split not in SUBJECTS:
        raise DatasetError(f"unknown puppets split {split!r}; known: {', '.join(SUBJECTS)}")
    return split  # type: ignore[return-value]


def split_number(split: Split) -> int:
    return get_args(Split).index(split)


def make_subject(split: Split, number: int, difficulty: Difficulty) -> Subject:
    """Subject `number` of `split`, the same on every call."""
    rng = np.random.default_rng([_SEED, split_number(split), number])
    height = float(np.clip(rng.normal(1.0, 0.06), 0.86, 1.13))
    girth = float(rng.uniform(0.82, 1.3))
    leg, arm = rng.uniform(0.95, 1.06, 2) * height
    body = Body(
        thigh=0.44 * leg,
        shank=0.43 * leg,
        foot=0.20 * height,
        torso=0.50 * height,
        shoulder=0.185 * height * rng.uniform(0.92, 1.1),
        hip=0.10 * height * girth**0.5,
        upper_arm=0.30 * arm,
        forearm=0.31 * arm,
        neck=0.08 * height,
        head=0.115 * rng.uniform(0.95, 1.08),
        arm_radius=0.045 * girth**0.7,
        leg_radius=0.068 * girth,
        torso_radius=0.10 * girth,
    )
    clothes = Clothes(
        shirt=_cloth(rng, difficulty),
        trousers=_cloth(rng, difficulty),
        shoes=_cloth(rng, difficulty),
        skin=_SKINS[rng.integers(len(_SKINS))],
        hair=_HAIRS[rng.integers(len(_HAIRS))],
        long_sleeves=bool(rng.random() < 0.5),
        long_trousers=bool(rng.random() < 0.75),
        long_hair=bool(rng.random() < 0.4),
    )
    style = Style(
        tempo=rng.uniform(*difficulty.style_tempo),
        amplitude=rng.uniform(*difficulty.style_amplitude),
        ease=rng.uniform(1.4, 2.1),
        left_handed=0.9 if rng.random() < 0.25 else 0.1,
        sway=rng.uniform(*difficulty.sway),
        stoop=rng.uniform(-0.03, 0.16),
        stance=rng.uniform(0.02, 0.16),
        arms_out=rng.uniform(0.05, 0.24),
        arms_forward=rng.uniform(0.0, 0.16),
    )
    return Subject(split, number, body, clothes, style)


def _cloth(rng: np.random.Generator, difficulty: Difficulty) -> Colour:
    """A colour pulled towards mid grey by the contrast drawn."""
    colour = 128 + (rng.uniform(15, 235, 3) - 128) * rng.uniform(*difficulty.contrast)
    r, g, b = (int(each) for each in colour)
    return r, g, b
