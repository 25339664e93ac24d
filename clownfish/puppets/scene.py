"""Where it happens: wall, floor, clutter and chair behind the subject, occluders before it; drawn once a video."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clownfish.messages import Pixels
from clownfish.opencv import cv2
from clownfish.puppets.camera import CANVAS, SCALE, Camera
from clownfish.puppets.difficulty import Difficulty
from clownfish.puppets.figure import Joint, joints
from clownfish.puppets.motion import rest_pose
from clownfish.puppets.subject import Subject

_WALL_Z_M = -1.3


@dataclass(frozen=True, slots=True)
class Scene:
    """Canvas-sized layers."""

    back: Pixels
    front: Pixels
    mask: npt.NDArray[np.uint8]
    """255 where `front` hides what is behind it."""
    has_front: bool
    screen: tuple[int, int, int, int] | None
    """A television that flickers: x0, y0, x1, y1."""


def _colour(rng: np.random.Generator, low: float = 40, high: float = 215) -> tuple[int, ...]:
    base = rng.uniform(low, high)
    return tuple(int(c) for c in np.clip(base + rng.normal(0, 20, 3), 0, 255))


def _wall(rng: np.random.Generator, subject: Subject, difficulty: Difficulty) -> tuple[int, ...]:
    """A colour that the subject does not vanish before."""
    clothes = np.array([subject.clothes.shirt, subject.clothes.trousers, subject.clothes.skin])
    tries = [_colour(rng, 60, 215) for _ in range(16)]
    apart = [float(np.linalg.norm(clothes - np.array(each), axis=1).min()) for each in tries]
    good = (colour for colour, distance in zip(tries, apart, strict=True) if distance >= difficulty.wall_distance)
    return next(good, tries[int(np.argmax(apart))])


def _texture(rng: np.random.Generator, shape: tuple[int, int], cells: tuple[int, int], strength: float) -> Pixels:
    """A smooth random pattern around 128, hardly coloured, (height, width, 3)."""
    grain = rng.normal(128, strength, (*cells, 1)) + rng.normal(0, strength / 5, (*cells, 3))
    coarse = grain.clip(0, 255).astype(np.uint8)
    return np.asarray(cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


def make_scene(rng: np.random.Generator, camera: Camera, subject: Subject, difficulty: Difficulty) -> Scene:
    height, width = CANVAS
    back = np.empty((height, width, 3), np.uint8)
    wall, floor = _wall(rng, subject, difficulty), _colour(rng, 50, 180)
    corners, _ = camera.project(np.array([[-9.0, 0, _WALL_Z_M], [9.0, 0, _WALL_Z_M]]))
    horizon = int(np.clip(corners[:, 1].mean(), 0.3 * height, 0.95 * height))
    back[:horizon], back[horizon:] = wall, floor
    screen = _clutter(rng, back, horizon, difficulty)
    back = np.asarray(
        cv2.add(
            back, _texture(rng, CANVAS, (9, 12), difficulty.wall_texture[0]).astype(np.int16) - 128, dtype=cv2.CV_8U
        )
    )
    back = np.asarray(
        cv2.add(
            back, _texture(rng, CANVAS, (64, 86), difficulty.wall_texture[1]).astype(np.int16) - 128, dtype=cv2.CV_8U
        )
    )
    _chair(rng, back, camera, subject)
    front, mask = back.copy(), np.zeros((height, width), np.uint8)
    has_front = bool(rng.random() < difficulty.occluder_share)
    if has_front:
        _occluder(rng, front, mask, camera)
    return Scene(back, front, mask, has_front, screen)


def _clutter(
    rng: np.random.Generator, back: Pixels, horizon: int, difficulty: Difficulty
) -> tuple[int, int, int, int] | None:
    """Pictures, shelves, doors, lamps and boxes; the television's place, where there is one."""
    width = CANVAS[1]
    for _ in range(int(rng.integers(difficulty.clutter[0], difficulty.clutter[1] + 1))):
        kind, x, colour = rng.integers(6), int(rng.integers(0, width)), _colour(rng)
        w, h = (int(each) for each in rng.uniform(10, 46, 2))
        y = int(rng.uniform(0, max(2, horizon - h)))
        if kind <= 1:
            cv2.rectangle(back, (x, y), (x + w, y + h), _colour(rng), -1)
            cv2.rectangle(back, (x + 3, y + 3), (x + w - 3, y + h - 3), colour, -1)
        elif kind == 2:
            cv2.rectangle(back, (x, max(0, horizon - 150)), (x + w + 30, horizon), colour, -1)
            cv2.rectangle(back, (x, max(0, horizon - 150)), (x + w + 30, horizon), _colour(rng, 20, 90), 2)
        elif kind == 3:
            for shelf in range(3):
                cv2.line(back, (x, y + 18 * shelf), (x + 2 * w, y + 18 * shelf), _colour(rng, 30, 120), 3)
                for book in range(int(rng.integers(2, 7))):
                    left, top = x + 4 + 7 * book, y + 18 * shelf - int(rng.integers(6, 14))
                    cv2.rectangle(back, (left, top), (left + 5, y + 18 * shelf), _colour(rng), -1)
        elif kind == 4:
            cv2.line(back, (x, horizon + 8), (x, horizon - 100), colour, 3)
            cv2.circle(back, (x, horizon - 106), int(rng.integers(8, 15)), _colour(rng, 150, 250), -1, cv2.LINE_AA)
        else:
            cv2.rectangle(back, (x, horizon - h // 2), (x + w, horizon + h // 3), colour, -1)
    if rng.random() > 0.35:
        return None
    x, y = int(rng.uniform(0, width - 60)), int(rng.uniform(0, max(2, horizon - 120)))
    cv2.rectangle(back, (x - 3, y - 3), (x + 51, y + 33), (25, 25, 28), -1)
    return x, y, x + 48, y + 30


def _chair(rng: np.random.Generator, back: Pixels, camera: Camera, subject: Subject) -> None:
    """A chair or stool just where this subject sits."""
    seat = joints(subject.body, rest_pose(subject.style, "seated")[None])[0, Joint.PELVIS]
    y, z, half = seat[1] - subject.body.torso_radius, seat[2], 0.23
    colour, darker = np.array(_colour(rng, 50, 190)), _colour(rng, 20, 70)

    def quad(points: list[tuple[float, float, float]], shade: float) -> None:
        uv, _ = camera.project(np.array(points))
        cv2.fillConvexPoly(back, np.round(uv * 8).astype(np.int32), (colour * shade).tolist(), cv2.LINE_AA, 3)

    for x in (-half, half):
        for depth in (z - half, z + half):
            ends, _ = camera.project(np.array([[x, 0, depth], [x, y, depth]]))
            a, b = ends.round().astype(int).tolist()
            cv2.line(back, a, b, darker, 4, cv2.LINE_AA)
    if rng.random() < 0.6:
        top = y + rng.uniform(0.3, 0.55)
        quad([(-half, y, z - half), (half, y, z - half), (half, top, z - half), (-half, top, z - half)], 0.8)
    quad([(-half, y, z - half), (half, y, z - half), (half, y, z + half), (-half, y, z + half)], 1.0)


def _occluder(rng: np.random.Generator, front: Pixels, mask: npt.NDArray[np.uint8], camera: Camera) -> None:
    """One thing near the camera, placed to hide a part of the subject and never most of it."""
    height, width = CANVAS
    x0, y0 = camera.origin
    colour, other, size = _colour(rng, 25, 200), _colour(rng, 25, 200), camera.scale
    kind = rng.integers(4)
    if kind == 0:  # a pillar
        x, half = int(x0 + rng.choice([-1, 1]) * rng.uniform(0.24, 0.6) * size), int(rng.uniform(0.05, 0.11) * size)
        cv2.rectangle(mask, (x - half, 0), (x + half, height), 255, -1)
        front[:, max(0, x - half) : x + half + 1] = colour
        cv2.line(front, (x + half - 2, 0), (x + half - 2, height), other, 2)
    elif kind == 1:  # a table before the legs
        top, left = int(y0 - rng.uniform(0.2, 0.62) * size), int(x0 + rng.uniform(-1.2, -0.1) * size)
        right = left + int(rng.uniform(0.9, 1.6) * size)
        for layer, value in ((mask, 255), (front, colour)):
            cv2.rectangle(layer, (left, top), (right, top + 12), value, -1)
            for leg in (left + 4, right - 4):
                cv2.line(layer, (leg, top), (leg, height), value, 7)
        if rng.random() < 0.5:
            for layer, value in ((mask, 255), (front, other)):
                cv2.rectangle(layer, (left + 10, top - 22), (left + 34, top), value, -1)
    elif kind == 2:  # a plant
        x, y = x0 + rng.choice([-1, 1]) * rng.uniform(0.25, 0.8) * size, height - rng.uniform(0, 20)
        green = (int(rng.integers(20, 90)), int(rng.integers(80, 150)), int(rng.integers(20, 80)))
        for _ in range(int(rng.integers(9, 18))):
            angle, length = rng.uniform(-2.5, -0.6), rng.uniform(0.4, 1.0) * size
            centre = (int(x + np.cos(angle) * length * 0.5), int(y + np.sin(angle) * length * 0.5))
            axes = (int(length * 0.5), int(rng.uniform(4, 8)))
            shade = tuple(int(c * rng.uniform(0.7, 1.3)) for c in green)
            for layer, value in ((mask, 255), (front, shade)):
                cv2.ellipse(layer, centre, axes, float(np.degrees(angle)), 0, 360, value, -1, cv2.LINE_AA)
    else:  # a railing
        y = int(y0 - rng.uniform(0.45, 0.95) * size)
        for layer, value in ((mask, 255), (front, colour)):
            cv2.line(layer, (0, y), (width, y), value, 3 * SCALE)
            for x in range(int(rng.integers(0, 60)), width, int(rng.integers(60, 110))):
                cv2.line(layer, (x, y), (x, height), value, 2 * SCALE)
    _, binary = cv2.threshold(mask, 127, 255, cv2.THRESH_BINARY)
    mask[:] = binary
