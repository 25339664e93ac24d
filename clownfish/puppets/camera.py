"""Where the camera stands, and how space becomes pixels: weak perspective, seen slightly from above."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clownfish.puppets.difficulty import Difficulty
from clownfish.puppets.figure import Floats
from clownfish.puppets.names import HEIGHT, WIDTH, View

SCALE = 2
"""Canvas pixels for one pixel of the frame: everything is drawn larger and averaged down."""
MARGIN = 6
"""Canvas pixels around the picture, for a camera that shakes."""
CANVAS = (SCALE * HEIGHT + 2 * MARGIN, SCALE * WIDTH + 2 * MARGIN)

_YAW: dict[View, float] = {"front": 0.0, "left": np.pi / 4, "right": -np.pi / 4}


@dataclass(frozen=True, slots=True)
class Camera:
    yaw: float
    pitch: float
    distance_m: float
    scale: float
    """Canvas pixels per metre where the subject stands."""
    origin: tuple[float, float]
    """Canvas position (x, y) of the floor where the subject stands."""

    def project(self, points: Floats) -> tuple[Floats, Floats]:
        """(…, 3) metres → ((…, 2) canvas pixels, (…,) depth in metres towards the camera)."""
        cos, sin = np.cos(self.yaw), np.sin(self.yaw)
        x = points[..., 0] * cos - points[..., 2] * sin
        z = points[..., 0] * sin + points[..., 2] * cos
        y = points[..., 1] * np.cos(self.pitch) - z * np.sin(self.pitch)
        depth = z * np.cos(self.pitch) + points[..., 1] * np.sin(self.pitch)
        grow = self.scale * self.distance_m / np.maximum(self.distance_m - z, 1.0)
        return np.stack([self.origin[0] + x * grow, self.origin[1] - y * grow], -1), depth


def make_camera(rng: np.random.Generator, view: View, difficulty: Difficulty) -> Camera:
    return Camera(
        yaw=_YAW[view] + rng.uniform(*difficulty.facing_jitter_rad),
        pitch=rng.uniform(*difficulty.camera_pitch_rad),
        distance_m=rng.uniform(*difficulty.camera_distance_m),
        scale=SCALE * rng.uniform(*difficulty.figure_height_px) / 1.75,
        origin=(MARGIN + SCALE * WIDTH * rng.uniform(0.38, 0.62), MARGIN + SCALE * (HEIGHT - rng.uniform(6, 16))),
    )
