"""Frames of a track: parts sorted by depth, drawn at twice the size, averaged down, lit, and made noisy.

Any frame can be drawn by itself and is the same each time; nothing is drawn from a generator after construction.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from clownfish.messages import Pixels
from clownfish.opencv import cv2
from clownfish.puppets.camera import MARGIN, SCALE, make_camera
from clownfish.puppets.difficulty import Difficulty
from clownfish.puppets.figure import INDEX, Floats, Joint, joints
from clownfish.puppets.keypoints import Keypoints
from clownfish.puppets.light import Light, make_light
from clownfish.puppets.names import FPS, HEIGHT, WIDTH, View
from clownfish.puppets.passers import Passer, make_passers
from clownfish.puppets.scene import make_scene
from clownfish.puppets.script import BALL, CUP, NOTHING, PHONE, Track
from clownfish.puppets.subject import Colour, Subject

_SHIFT = 3
_BOX_FLOOR = np.array([0.0, 0.11, 0.46])
_BOX_M = 0.24
"""Edge of the box, and where it stands."""
_BALL_SPEED_M_S = np.array([0.0, 2.2, 4.5])
_GRAVITY_M_S2 = 9.8

# extra points after the joints
_BACK, _ITEM, _TIP, _BOX = range(len(Joint), len(Joint) + 4)


@dataclass(frozen=True, slots=True)
class _Part:
    """A capsule between two points, `nearer` metres closer to the camera than its middle."""

    a: int
    b: int
    radius: float
    colour: Colour
    edge: bool = True
    nearer: float = 0.0


def _shade(colour: Colour, factor: float) -> Colour:
    r, g, b = (int(min(255, max(0, c * factor))) for c in colour)
    return r, g, b


def _parts(subject: Subject) -> list[_Part]:
    body, wear = subject.body, subject.clothes
    arm, leg = body.arm_radius, body.leg_radius
    parts = [
        _Part(Joint.PELVIS, Joint.NECK, body.torso_radius * 1.05, wear.shirt, edge=False),
        _Part(Joint.R_SHOULDER, Joint.L_SHOULDER, 0.065, wear.shirt, edge=False),
        _Part(Joint.R_HIP, Joint.L_HIP, body.torso_radius * 0.95, wear.trousers, edge=False, nearer=-0.02),
        _Part(Joint.NECK, Joint.HEAD, 0.05, wear.skin, edge=False),
        _Part(Joint.HEAD, Joint.HEAD, body.head, wear.hair, edge=False),
        _Part(Joint.FACE, Joint.FACE, body.head * 0.8, wear.skin, edge=False),
    ]
    if wear.long_hair:
        parts.append(_Part(Joint.HEAD, _BACK, body.head * 0.75, wear.hair, edge=False, nearer=-0.02))
    for first, hip, tone in ((Joint.R_SHOULDER, Joint.R_HIP, 0.94), (Joint.L_SHOULDER, Joint.L_HIP, 1.06)):
        sleeve, trousers, skin = (_shade(each, tone) for each in (wear.shirt, wear.trousers, wear.skin))
        fore = _shade(sleeve, 1.08) if wear.long_sleeves else skin
        shin = trousers if wear.long_trousers else skin
        parts += [
            _Part(first, first + 1, arm * 1.15, sleeve),
            _Part(first + 1, first + 2, arm * 0.9, fore, nearer=0.03),
            _Part(first + 2, first + 2, arm * 1.1, skin, edge=False, nearer=0.06),
            _Part(hip, hip + 1, leg * 1.15, trousers),
            _Part(hip + 1, hip + 2, leg * 0.8, shin, nearer=0.02),
            _Part(hip + 2, hip + 3, 0.045, wear.shoes, edge=False, nearer=0.03),
        ]
    return parts


def _with_props(points: Floats, track: Track) -> Floats:
    """Joints, then the back of the hair, the item in the hand, its tip, and the middle of the box: (n, 22, 3)."""
    n = len(points)
    out = np.concatenate([points, np.zeros((n, 4, 3))], 1)
    face = points[:, Joint.FACE] - points[:, Joint.HEAD]
    out[:, _BACK] = points[:, Joint.HEAD] + 0.9 * (points[:, Joint.NECK] - points[:, Joint.HEAD]) - face
    left = track.left[:, None]
    hand = np.where(left, points[:, Joint.L_HAND], points[:, Joint.R_HAND])
    fore = hand - np.where(left, points[:, Joint.L_ELBOW], points[:, Joint.R_ELBOW])
    fore /= np.maximum(np.linalg.norm(fore, axis=1, keepdims=True), 1e-6)
    up = np.array([0.0, 1.0, 0.0])
    out[:, _ITEM] = hand + 0.04 * fore
    out[:, _TIP] = out[:, _ITEM] + np.where(track.items[:, None] == PHONE, 0.6 * up + 0.4 * fore, up) * 0.12

    flying = (track.items == BALL) & (track.poses[:, INDEX["released"]] > 0.5)
    release = np.maximum.accumulate(np.where(flying, 0, np.arange(n)))
    seconds = ((np.arange(n) - release) / FPS)[:, None]
    path = out[release, _ITEM] + _BALL_SPEED_M_S * seconds - 0.5 * _GRAVITY_M_S2 * up * seconds**2
    out[flying, _ITEM] = path[flying]

    held = track.poses[:, INDEX["box"]][:, None]
    # hands hold it by its sides, a little above its middle
    carried = (points[:, Joint.R_HAND] + points[:, Joint.L_HAND]) / 2 - 0.04 * up
    out[:, _BOX] = np.where(held > 0.5, np.maximum(carried, [-9, _BOX_FLOOR[1], -9]), _BOX_FLOOR)
    return out


@lru_cache(maxsize=64)
def _noise_bank(sigma: float) -> npt.NDArray[np.int16]:
    """Noise of `sigma` levels, larger than a frame, cut out anew for each frame: cheaper than drawing it."""
    rng = np.random.default_rng(0x9015E)
    unit = rng.standard_normal((3, HEIGHT + 64, WIDTH + 64, 3), np.float32)
    return np.round(unit * sigma).astype(np.int16)


class Painter:
    """Draws the frames of one track in one scene."""

    def __init__(
        self, rng: np.random.Generator, track: Track, subject: Subject, view: View, difficulty: Difficulty
    ) -> None:
        n = len(track)
        camera = make_camera(rng, view, difficulty)
        self._scene = make_scene(rng, camera, subject, difficulty)
        self._light: Light = make_light(rng, n, difficulty)
        self._passers: list[Passer] = make_passers(rng, n, camera, difficulty)
        # in steps of half a level, so that the banks can be kept
        self._noise = _noise_bank(round(2 * rng.uniform(*difficulty.noise_levels)) / 2)
        self._cut = rng.integers(0, (3, 64, 64), (n, 3))
        self._shake = np.round(SCALE * rng.uniform(*difficulty.shake_px) * _tremble(rng, n)).astype(int)
        self._blur = rng.uniform(*difficulty.blur_px)
        self._television = _programme(rng, n)

        self._parts = _parts(subject)
        item = rng.integers(20, 236, (4, 3)).tolist()
        self._items: dict[int, tuple[Colour, int]] = {
            CUP: (item[0], 7),
            PHONE: ((30, 30, 34), 5),
            BALL: (item[1], 8),
        }
        self._box_colour: Colour = item[2]
        self._track = track
        space = _with_props(joints(subject.body, track.poses), track)
        points, depth = camera.project(space)
        # a ball far outside must not overflow OpenCV's fixed point
        self._fixed = np.round(np.clip(points, -2000, 2000) * (1 << _SHIFT)).astype(int)
        self._floor, _ = camera.project(space[:, [Joint.PELVIS, Joint.HEAD]] * [1, 0, 1])
        a, b = [p.a for p in self._parts], [p.b for p in self._parts]
        middle = (depth[:, a] + depth[:, b]) / 2 + np.array([p.nearer for p in self._parts])
        # the item and the box are sorted among the parts, as numbers −2 and −1
        middle = np.concatenate([middle, depth[:, [_ITEM]] + 0.08, depth[:, [_BOX]]], 1)
        self._order = np.argsort(middle, 1, kind="stable")
        self._thickness = [max(1, round(2 * p.radius * camera.scale)) for p in self._parts]
        self._box_px = max(2, round(_BOX_M * camera.scale / 2))
        self._metre = camera.scale

    def __len__(self) -> int:
        return len(self._track)

    @property
    def keypoints(self) -> Keypoints:
        """Where everything is in the frames."""
        points = self._fixed[:, [*Joint, _ITEM, _BOX]] / (1 << _SHIFT)
        return Keypoints((points - MARGIN - self._shake[:, None]) / SCALE, self._track.items)

    def draw(self, n: int) -> Pixels:
        """Frame n: (128, 172, 3) uint8 RGB."""
        scene = self._scene
        canvas = scene.back.copy()
        if scene.screen is not None:
            x0, y0, x1, y1 = scene.screen
            canvas[y0:y1, x0:x1] = self._television[n]
        for passer in self._passers:
            if not passer.in_front:
                passer.draw(canvas, n)
        self._draw_figure(canvas, n)
        for passer in self._passers:
            if passer.in_front:
                passer.draw(canvas, n)
        if scene.has_front:
            cv2.copyTo(scene.front, scene.mask, canvas)
        dx, dy = MARGIN + self._shake[n]
        view = canvas[dy : dy + SCALE * HEIGHT, dx : dx + SCALE * WIDTH]
        frame = cv2.resize(view, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        if self._blur > 0.3:
            frame = cv2.GaussianBlur(frame, (3, 3), self._blur)
        frame = self._light.apply(np.asarray(frame, np.uint8), n)
        bank, y, x = self._cut[n]
        return np.asarray(cv2.add(frame, self._noise[bank, y : y + HEIGHT, x : x + WIDTH], dtype=cv2.CV_8U), np.uint8)

    def _draw_figure(self, canvas: Pixels, n: int) -> None:
        points, floor = self._fixed[n], self._floor[n]
        (x, y), (head, _) = floor.astype(int).tolist()
        spread = int(abs(head - x) * 0.6 + 0.22 * self._metre)
        shadow = tuple(int(c * 0.6) for c in canvas[min(max(y, 0), canvas.shape[0] - 1), 1])
        cv2.ellipse(canvas, (x, y), (spread, int(0.07 * self._metre) + 1), 0, 0, 360, shadow, -1)
        quad = points[[Joint.R_SHOULDER, Joint.L_SHOULDER, Joint.L_HIP, Joint.R_HIP]].astype(np.int32)
        at: list[list[int]] = points.tolist()
        for k in self._order[n].tolist():
            if k >= len(self._parts):
                self._draw_prop(canvas, n, at, box=k > len(self._parts))
                continue
            part, thick = self._parts[k], self._thickness[k]
            if part.edge:
                edge = _shade(part.colour, 0.6)
                cv2.line(canvas, at[part.a], at[part.b], edge, thick + 2, cv2.LINE_8, _SHIFT)
            elif k == 0:
                cv2.fillConvexPoly(canvas, cv2.convexHull(quad), part.colour, cv2.LINE_8, _SHIFT)
            cv2.line(canvas, at[part.a], at[part.b], part.colour, thick, cv2.LINE_AA, _SHIFT)

    def _draw_prop(self, canvas: Pixels, n: int, at: list[list[int]], box: bool) -> None:
        if box:
            x, y = (each >> _SHIFT for each in at[_BOX])
            half = self._box_px
            cv2.rectangle(canvas, (x - half, y - half), (x + half, y + half), self._box_colour, -1)
            cv2.rectangle(canvas, (x - half, y - half), (x + half, y + half), _shade(self._box_colour, 0.6), 1)
            return
        kind = int(self._track.items[n])
        if kind == NOTHING:
            return
        colour, thick = self._items[kind]
        end = at[_ITEM] if kind == BALL else at[_TIP]
        cv2.line(canvas, at[_ITEM], end, colour, round(thick * self._metre / 90), cv2.LINE_AA, _SHIFT)


def _programme(rng: np.random.Generator, n: int) -> npt.NDArray[np.uint8]:
    """(n, 3) colours of a television: a new shot every second or two, uneasy within."""
    shots = np.cumsum(rng.random(n) < 0.7 / FPS)
    colours = rng.uniform(40, 200, (int(shots[-1]) + 1, 1)) + rng.normal(0, 20, (int(shots[-1]) + 1, 3))
    return np.clip(colours[shots] + rng.normal(0, 6, (n, 1)), 0, 255).astype(np.uint8)


def _tremble(rng: np.random.Generator, n: int) -> Floats:
    """(n, 2) of a hand that holds a camera, about within ±1."""
    t = np.arange(n)[:, None, None] / FPS
    rates, phases = rng.uniform(0.3, 3.0, (3, 2)), rng.uniform(0, 2 * np.pi, (3, 2))
    out: Floats = np.sin(2 * np.pi * rates * t + phases).sum(1) / 2
    return out
