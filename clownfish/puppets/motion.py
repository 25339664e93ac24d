"""Poses become movement: keys in time, an easing profile, a mirror, and the swaying under everything."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clownfish.puppets.difficulty import Difficulty
from clownfish.puppets.figure import INDEX, PARAMETERS, Floats
from clownfish.puppets.names import FPS
from clownfish.puppets.subject import Style, Subject

Pose = dict[str, float]
"""Parameters that differ from the rest pose."""
Key = tuple[float, Pose]
"""(seconds to get there, the pose)."""

_MIRRORED = ("side", "twist", "roll", "turn", "look", "shift")
_STEPPED = [INDEX["released"], INDEX["box"]]
_ARMS = [[INDEX[side + axis] for axis in "xyz"] for side in "rl"]
_HANDS = _ARMS[0] + _ARMS[1]

SEATED: Pose = {"rhip": 1.5, "rknee": 1.5, "lhip": 1.5, "lknee": 1.5, "rspread": 0.14, "lspread": 0.14} | {
    side + name: value for side in "rl" for name, value in (("x", 0.0), ("y", -0.62), ("z", 0.45))
}
HOLDING: Pose = {"box": 1.0} | {
    side + name: value for side in "rl" for name, value in (("x", -0.16), ("y", -0.48), ("z", 0.5))
}


@dataclass(frozen=True, slots=True)
class Mover:
    """One movement of a subject from a rest pose: the means the actions are written with."""

    rng: np.random.Generator
    style: Style
    difficulty: Difficulty
    rest: Floats
    """(parameters,) pose it starts from, and returns to where a key is empty."""
    mirrored: bool
    """Written for the right hand, done with the left."""

    def between(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def times(self, low: int, high: int) -> range:
        """A random number of repetitions, both bounds included."""
        return range(int(self.rng.integers(low, high + 1)))

    def play(self, *keys: Key) -> Floats:
        """(frames, parameters): from rest through the keys, at the subject's tempo."""
        tempo = self.style.tempo * self.between(0.88, 1.12)
        wobble = self.rng.normal(0, self.difficulty.target_jitter, len(_HANDS))
        poses, parts = [self.rest], []
        for seconds, pose in keys:
            goal = self.rest.copy()
            for name, value in pose.items():
                goal[INDEX[mirror_name(name) if self.mirrored else name]] = self._value(name, value)
            if pose:
                moved = np.abs(goal[_HANDS] - self.rest[_HANDS]) > 1e-9
                goal[_HANDS] += np.where(moved, wobble, 0)
            frames = max(2, round(seconds * tempo * FPS * self.between(0.9, 1.1)))
            parts.append(ease(poses[-1], goal, frames, self.style.ease))
            poses.append(goal)
        return np.concatenate(parts)

    def _value(self, name: str, value: float) -> float:
        if not self.mirrored:
            return value
        if name == "support":
            return 1 - value
        return -value if name in _MIRRORED else value


def mirror_name(name: str) -> str:
    """The parameter of the other hand or leg."""
    if name[0] in "rl" and name[1:] in ("hip", "knee", "spread", "x", "y", "z", "pole"):
        return ("l" if name[0] == "r" else "r") + name[1:]
    return name


def ease(start: Floats, goal: Floats, frames: int, exponent: float) -> Floats:
    """(frames, parameters) that leave `start` and arrive at `goal`, slow at both ends; switches flip half-way."""
    u = (np.arange(1, frames + 1) / frames)[:, None]
    u = u**exponent / (u**exponent + (1 - u) ** exponent)
    out: Floats = start + (goal - start) * u
    for arm in _ARMS:
        out[:, arm] = _arc(start[arm], goal[arm], u)
    out[:, _STEPPED] = np.where(u < 0.5, start[_STEPPED], goal[_STEPPED])
    return out


def _arc(start: Floats, goal: Floats, u: Floats) -> Floats:
    """(n, 3) of a hand that goes round its shoulder, forward and outward: through it, the elbow would flip."""
    swing = np.array([0.15, 0.0, 0.5]) * (0.5 * ((goal - start) ** 2).sum())
    path = start + (goal - start) * u + swing * (u * (1 - u))
    reach = np.linalg.norm(start) * (1 - u) + np.linalg.norm(goal) * u
    out: Floats = path / np.maximum(np.linalg.norm(path, axis=1, keepdims=True), 1e-6) * reach
    return out


def rest_pose(style: Style, posture: str, seat_noise: float = 0.0) -> Floats:
    """(parameters,) how this subject stands, sits or holds the box when doing nothing."""
    pose = np.zeros(len(PARAMETERS))
    stand: Pose = {"lean": style.stoop, "nod": 0.05, "support": 0.5}
    for side in "rl":
        stand |= {side + "spread": style.stance, side + "hip": 0.03, side + "knee": 0.05}
        stand |= {side + "x": style.arms_out, side + "y": -0.95, side + "z": style.arms_forward}
    if posture == "seated":
        stand |= SEATED
        stand["lean"] = style.stoop * 0.6 - 0.05 + seat_noise
    if posture == "holding":
        stand |= HOLDING
    for name, value in stand.items():
        pose[INDEX[name]] = value
    return pose


def sway(subject: Subject, rng: np.random.Generator, frames: int) -> Floats:
    """(frames, parameters) of breathing, swaying and fidgeting, to be added to a track: slow sums of sines."""
    scale: Pose = {"lean": 0.02, "side": 0.02, "twist": 0.04, "turn": 0.05, "nod": 0.05, "look": 0.12, "shift": 0.012}
    for side in "rl":
        scale |= {side + "x": 0.025, side + "y": 0.02, side + "z": 0.035}
    out = np.zeros((frames, len(PARAMETERS)))
    t = np.arange(frames)[:, None] / FPS
    for name, amplitude in scale.items():
        rates, phases = rng.uniform(0.08, 0.7, 3), rng.uniform(0, 2 * np.pi, 3)
        out[:, INDEX[name]] = np.sin(2 * np.pi * rates * t + phases).sum(1) * amplitude / 1.7 * subject.style.sway
    return out
