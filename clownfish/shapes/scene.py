"""How one context looks: a cluttered background, small things that drift, and the shape, drawn frame by frame.

Everything is drawn at random but the motion, so that nothing else tells the class.
"""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from clownfish.messages import Pixels
from clownfish.opencv import cv2
from clownfish.shapes.motions import MOTIONS, Pose

WIDTH, HEIGHT = 172, 128
MARGIN = 48
"""Drawn around the picture and cut off, so that nothing needs clipping at its edges."""
SPRITE = 96
"""Pixels along the side of a sprite, whose shape has a radius of a third of that."""
NOISES = 6

Rgba = npt.NDArray[np.uint8]


class Scene:
    """One context; `draw` gives any frame of it."""

    def __init__(self, label: str, frames: int, rng: np.random.Generator) -> None:
        self._motion = MOTIONS[label]
        self._period = rng.uniform(15, 26)
        """Frames; a window of 16 sees most of it."""
        self._phase = rng.uniform(0, 2 * math.pi)
        self._reversed = label == "spin" and bool(rng.integers(2))
        self._radius = rng.uniform(11, 19)
        self._reach = rng.uniform(11, 20)
        self._turn = rng.uniform(0, 2 * math.pi)
        room_x, room_y = WIDTH / 2 - self._reach - self._radius, HEIGHT / 2 - self._reach - self._radius
        self._middle = (WIDTH / 2 + rng.uniform(-room_x, room_x), HEIGHT / 2 + rng.uniform(-room_y, room_y))
        self._drift = (rng.uniform(1, 5), rng.uniform(90, 180), rng.uniform(0, 2 * math.pi))
        self._background = background(rng)
        self._sprite = sprite(rng)
        self._others = [Drifter(rng, frames) for _ in range(int(rng.integers(1, 4)))]
        sigma = rng.uniform(6, 18)
        noise = rng.standard_normal((NOISES, HEIGHT, WIDTH, 3), np.float32) * np.float32(sigma)
        self._noise = noise.astype(np.int16)
        self._flicker = rng.normal(0, 2.5, frames)
        self._choice = rng.integers(0, NOISES, frames)

    def pose(self, n: int) -> Pose:
        """Of the shape in frame n, in pixels and radians."""
        phase = self._phase + 2 * math.pi * n / self._period
        pose = self._motion(-phase if self._reversed else phase)
        far, slow, start = self._drift
        angle = start + 2 * math.pi * n / slow
        return Pose(
            self._middle[0] + self._reach * pose.x + far * math.cos(angle),
            self._middle[1] + self._reach * pose.y + far * math.sin(angle),
            self._turn + pose.turn,
            self._radius * pose.size,
        )

    def draw(self, n: int) -> Pixels:
        """Frame n of the context: (HEIGHT, WIDTH, 3) uint8 RGB."""
        canvas = self._background.copy()
        for other in self._others:
            paste(canvas, other.sprite, other.pose(n))
        paste(canvas, self._sprite, self.pose(n))
        frame = canvas[MARGIN : MARGIN + HEIGHT, MARGIN : MARGIN + WIDTH]
        noise = self._noise[self._choice[n]]
        if n % 2:  # the same noise upside down is another
            noise = noise[::-1]
        light = round(self._flicker[n])
        noisy = cv2.add(frame, noise, dtype=cv2.CV_8U)
        return cast(Pixels, cv2.add(noisy, cast(Any, (light, light, light, 0))))  # OpenCV's stubs know no scalars


class Drifter:
    """Something small that crosses the picture in a straight line."""

    def __init__(self, rng: np.random.Generator, frames: int) -> None:
        self.sprite = sprite(rng)
        heading, speed = rng.uniform(0, 2 * math.pi), rng.uniform(0.2, 1.2)
        self._step = (speed * math.cos(heading), speed * math.sin(heading))
        self._start = (rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT))
        self._radius, self._turn = rng.uniform(4, 8), rng.uniform(0, 2 * math.pi)

    def pose(self, n: int) -> Pose:
        """In frame n; what leaves the picture on one side comes back on the other."""
        x = (self._start[0] + n * self._step[0] + MARGIN / 2) % (WIDTH + MARGIN) - MARGIN / 2
        y = (self._start[1] + n * self._step[1] + MARGIN / 2) % (HEIGHT + MARGIN) - MARGIN / 2
        return Pose(x, y, self._turn, self._radius)


def paste(canvas: npt.NDArray[np.uint8], picture: Rgba, pose: Pose) -> None:
    """Draw a sprite into the canvas at a pose (pixels of the picture, radians, radius)."""
    half = math.ceil(1.5 * pose.size) + 1
    left, top = math.floor(pose.x) - half, math.floor(pose.y) - half
    left = min(max(left + MARGIN, 0), WIDTH + 2 * MARGIN - 2 * half)
    top = min(max(top + MARGIN, 0), HEIGHT + 2 * MARGIN - 2 * half)
    scale = 3 * pose.size / SPRITE
    c, s = scale * math.cos(pose.turn), scale * math.sin(pose.turn)
    middle = (SPRITE - 1) / 2
    x, y = pose.x + MARGIN - left, pose.y + MARGIN - top
    matrix = np.array([[c, -s, x - (c - s) * middle], [s, c, y - (s + c) * middle]])
    small = cv2.warpAffine(picture, matrix, (2 * half, 2 * half), flags=cv2.INTER_LINEAR)
    region = canvas[top : top + 2 * half, left : left + 2 * half]
    behind = (region.astype(np.uint16) * (255 - small[..., 3:]) // 255).astype(np.uint8)
    np.add(behind, small[..., :3], out=region)  # the sprite is multiplied by its alpha already


def background(rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Blotches of two scales and some flat things in their way, margins included."""
    size = (WIDTH + 2 * MARGIN, HEIGHT + 2 * MARGIN)
    picture = texture(rng, size, (6, 5), 55) + texture(rng, size, (34, 28), 22) + rng.uniform(70, 185, 3)
    flat: npt.NDArray[np.uint8] = np.clip(picture, 0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(8, 20))):
        points = rng.uniform((0, 0), size) + rng.uniform(-22, 22, (int(rng.integers(3, 6)), 2))
        cv2.fillConvexPoly(flat, cv2.convexHull(points.astype(np.int32)), rng.uniform(20, 235, 3).tolist())
    return flat


def sprite(rng: np.random.Generator) -> Rgba:
    """A shape of random outline, colour and texture: (SPRITE, SPRITE, 4) uint8, colours multiplied by alpha."""
    corners = int(rng.integers(3, 8))
    lobes = rng.uniform(0.55, 1.0) if corners > 3 else 1.0
    angles = np.arange(2 * corners) * math.pi / corners
    radii = SPRITE / 3 * np.where(np.arange(2 * corners) % 2, lobes, 1.0) * rng.uniform(0.9, 1.1, 2 * corners)
    points = SPRITE / 2 + np.stack([radii * np.cos(angles), radii * np.sin(angles)], 1)
    alpha = np.zeros((SPRITE, SPRITE), np.uint8)
    cv2.fillPoly(alpha, [points.round().astype(np.int32)], 255)
    cv2.GaussianBlur(alpha, (5, 5), 0, dst=alpha)
    colour = texture(rng, (SPRITE, SPRITE), (6, 6), 70) + rng.uniform(30, 225, 3)
    stripe = rng.uniform(0, 255, 3)
    at = int(rng.integers(SPRITE // 3, 2 * SPRITE // 3))
    colour[at - 7 : at + 7] = stripe  # something that a turn shows
    premultiplied = np.clip(colour, 0, 255) * (alpha[..., None] / 255)
    return np.dstack([premultiplied.astype(np.uint8), alpha])


def texture(
    rng: np.random.Generator, size: tuple[int, int], cells: tuple[int, int], sigma: float
) -> npt.NDArray[np.float64]:
    """Smooth noise of that many cells: (height, width, 3)."""
    noise = rng.normal(0, sigma, (cells[1], cells[0], 3))
    return cast(npt.NDArray[np.float64], cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC))
