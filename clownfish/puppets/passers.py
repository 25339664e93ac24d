"""People who cross the picture behind the subject or in front of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clownfish.messages import Pixels
from clownfish.opencv import cv2
from clownfish.puppets.camera import CANVAS, Camera
from clownfish.puppets.difficulty import Difficulty
from clownfish.puppets.names import FPS


@dataclass(frozen=True, slots=True)
class Passer:
    first: int
    last: int
    direction: int
    in_front: bool
    floor: float
    metre: float
    """Canvas pixels."""
    pace_hz: float
    top: tuple[int, ...]
    bottom: tuple[int, ...]

    def draw(self, canvas: Pixels, n: int) -> None:
        """Paint it where it is in frame n; nothing before its first and after its last."""
        if not self.first <= n <= self.last:
            return
        m, width = self.metre, CANVAS[1]
        u = (n - self.first) / (self.last - self.first)
        x = -0.5 * m + (u if self.direction > 0 else 1 - u) * (width + m)
        swing = np.sin(2 * np.pi * self.pace_hz * n / FPS) * 0.3 * m
        hip = (int(x), int(self.floor - 0.85 * m))
        neck = (int(x + 0.03 * m * self.direction), int(self.floor - 1.4 * m))
        for s in (1, -1):
            cv2.line(canvas, hip, (int(x + s * swing), int(self.floor)), self.bottom, max(2, int(0.15 * m)))
        cv2.line(canvas, hip, neck, self.top, max(3, int(0.3 * m)))
        cv2.line(canvas, neck, (int(x - 0.8 * swing), int(self.floor - 0.8 * m)), self.bottom, max(2, int(0.09 * m)))
        cv2.circle(canvas, (neck[0], int(neck[1] - 0.22 * m)), max(2, int(0.12 * m)), self.bottom, -1)


def make_passers(rng: np.random.Generator, frames: int, camera: Camera, difficulty: Difficulty) -> list[Passer]:
    count = int(rng.poisson(difficulty.passer_per_min * (frames / FPS + 4) / 60))
    out = []
    for _ in range(count):
        duration = int(rng.uniform(2.0, 4.5) * FPS)
        first = int(rng.integers(-duration, max(1, frames)))
        in_front = bool(rng.random() < 0.5)
        size = rng.uniform(1.1, 1.35) if in_front else rng.uniform(0.75, 0.92)
        out.append(
            Passer(
                first=first,
                last=first + duration,
                direction=int(rng.choice([-1, 1])),
                in_front=in_front,
                floor=camera.origin[1] + (size - 1) * 0.6 * camera.scale,
                metre=camera.scale * size,
                pace_hz=rng.uniform(0.7, 1.1),
                top=tuple(int(c) for c in rng.integers(20, 220, 3)),
                bottom=tuple(int(c) for c in rng.integers(15, 150, 3)),
            )
        )
    return out
