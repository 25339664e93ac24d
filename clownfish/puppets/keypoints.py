"""What a stream knows about its own frames beyond the class: where joints and things are, and what the hand holds.

For training only: a network that has learned where an elbow is needs few examples of a wave.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clownfish.puppets.figure import Floats, Joint

KEYPOINTS = (*(joint.name for joint in Joint), "ITEM", "BOX")
"""The joints, what the hand holds (or has thrown), and the box."""

HOLDS = ("nothing", "cup", "telephone", "ball")


def _other_side(name: str) -> str:
    return {"R_": "L_", "L_": "R_"}.get(name[:2], name[:2]) + name[2:]


MIRRORED = np.array([KEYPOINTS.index(_other_side(name)) for name in KEYPOINTS])
"""Which keypoint each one is in a mirrored picture."""


@dataclass(frozen=True, slots=True)
class Keypoints:
    """Of all frames of a stream."""

    places: Floats
    """(frames, keypoints, 2): x and y in pixels of the frame; in or out of the picture, seen or hidden."""
    holds: npt.NDArray[np.int8]
    """(frames,) index into HOLDS; where it is 0, ITEM's place says nothing."""
