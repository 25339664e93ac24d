"""The eight ways in which a shape moves: each a function of the phase φ, with a period of 2π."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple


class Pose(NamedTuple):
    """Where the shape is, relative to the middle of its motion."""

    x: float = 0.0
    """To the right, in units of the motion's reach."""
    y: float = 0.0
    """Downwards, likewise."""
    turn: float = 0.0
    """Clockwise, radians."""
    size: float = 1.0
    """A factor."""


def triangle(phase: float) -> float:
    """A triangle wave between −1 and 1, in step with the sine."""
    return 2 / math.pi * math.asin(math.sin(phase))


MOTIONS: dict[str, Callable[[float], Pose]] = {
    "swing": lambda phase: Pose(x=math.sin(phase)),
    "bob": lambda phase: Pose(y=math.sin(phase)),
    "clockwise": lambda phase: Pose(x=math.cos(phase), y=math.sin(phase)),
    "counterclockwise": lambda phase: Pose(x=math.cos(phase), y=-math.sin(phase)),
    "spin": lambda phase: Pose(turn=phase),
    "pulse": lambda phase: Pose(size=1 + 0.4 * math.sin(phase)),
    "zigzag": lambda phase: Pose(x=triangle(phase), y=0.5 * triangle(3 * phase)),
    "eight": lambda phase: Pose(x=math.sin(phase), y=0.8 * math.sin(2 * phase)),
}

CLASSES = tuple(MOTIONS)
"""In the order of the models' outputs; never reordered, for weights depend on it."""
