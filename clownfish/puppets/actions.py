"""The actions: each a function from a Mover to the frames of one performance.

Pairs that share their poses and differ in motion only: wave and raise hand, sit down and stand up, pick up and put
down; pairs that differ in a hand's breadth: drink and phone call. Hands are in arm lengths from the shoulder (outward,
up, forward); the middle of the body is at x = −0.32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import cos, sin

from clownfish.puppets.figure import INDEX, Floats
from clownfish.puppets.motion import HOLDING, SEATED, Key, Mover, Pose, rest_pose

MOUTH: Pose = {"rx": -0.27, "ry": 0.17, "rz": 0.27, "rpole": 0.35}
EAR: Pose = {"rx": -0.08, "ry": 0.28, "rz": 0.06, "rpole": 0.3}


def both(x: float, y: float, z: float, pole: float = 0.0) -> Pose:
    return {side + name: value for side in "rl" for name, value in (("x", x), ("y", y), ("z", z), ("pole", pole))}


def legs(hip: float, knee: float) -> Pose:
    return {"rhip": hip, "lhip": hip, "rknee": knee, "lknee": knee}


def _up(m: Mover) -> Pose:
    """Where a hand is raised to; the same for wave and raise hand."""
    if m.rng.random() < 0.5:
        return {"rx": m.between(0.1, 0.35), "ry": m.between(0.66, 0.85) * m.style.amplitude, "rz": 0.2, "rpole": 0.6}
    return {"rx": m.between(0.22, 0.42), "ry": m.between(0.25, 0.5) * m.style.amplitude, "rz": 0.35, "rpole": 0.4}


def wave(m: Mover) -> Floats:
    up, reach, beat = _up(m), m.between(0.13, 0.24) * m.style.amplitude, m.between(0.16, 0.25)
    keys: list[Key] = [(0.45, up | {"rx": up["rx"] + reach})]
    for _ in m.times(4, 7):
        keys += [(beat, up | {"rx": up["rx"] - reach, "side": -0.03}), (beat, up | {"rx": up["rx"] + reach})]
    return m.play(*keys, (0.5, {}))


def raise_hand(m: Mover) -> Floats:
    up = _up(m)
    higher = up | {"ry": up["ry"] + 0.06, "look": m.between(-0.3, 0.3)}
    return m.play((0.5, up), (m.between(0.6, 1.1), higher), (m.between(0.6, 1.1), up), (0.5, {}))


def sit_down(m: Mover) -> Floats:
    seated = m.rest - rest_pose(m.style, "standing") + rest_pose(m.style, "seated")
    goal: Pose = {name: float(seated[i]) for name, i in INDEX.items()}
    arms = both(0.15, -0.7, m.between(-0.2, 0.3))
    bend = legs(1.05, 1.35) | {"lean": m.between(0.5, 0.85), "nod": 0.2} | arms
    mover = replace(m, mirrored=False)
    return mover.play((0.75, bend), (0.55, goal | {"lean": 0.35}), (0.6, goal))


def stand_up(m: Mover) -> Floats:
    standing = rest_pose(m.style, "standing")
    goal: Pose = {name: float(standing[i]) for name, i in INDEX.items()}
    arms = both(0.15, -0.7, m.between(-0.2, 0.3))
    bend = goal | legs(1.05, 1.35) | {"lean": m.between(0.5, 0.85), "nod": 0.2} | arms
    mover = replace(m, mirrored=False)
    return mover.play((0.6, SEATED | {"lean": 0.45}), (0.5, bend), (0.75, goal))


def _down(m: Mover) -> Pose:
    """Bent to the floor with both hands at the box, by the back or by the knees."""
    lean, knee = (1.2, 0.75) if m.rng.random() < 0.5 else (0.85, 1.7)
    lean *= m.between(0.92, 1.08)
    hands = both(-0.17, -0.95 * cos(lean) + 0.1, 0.9 * sin(lean))
    return legs(knee * 0.75, knee) | hands | {"lean": lean, "nod": 0.2, "rspread": 0.15, "lspread": 0.15}


def pick_up(m: Mover) -> Floats:
    down, mover = _down(m), replace(m, mirrored=False)
    return mover.play((0.9, down), (0.25, down | {"box": 1.0}), (0.95, HOLDING), (0.2, HOLDING))


def put_down(m: Mover) -> Floats:
    standing = rest_pose(m.style, "standing")
    goal: Pose = {name: float(standing[i]) for name, i in INDEX.items()}
    down, mover = _down(m), replace(m, mirrored=False)
    return mover.play((0.2, HOLDING), (0.95, down | {"box": 1.0}), (0.25, down | {"box": 0.0}), (0.9, goal))


def drink(m: Mover) -> Floats:
    keys: list[Key] = []
    low: Pose = {"rx": 0.0, "ry": -0.42, "rz": 0.42}
    for _ in m.times(1, 2):
        keys += [(0.55, MOUTH | {"nod": -0.1}), (m.between(0.7, 1.4), MOUTH | {"nod": -0.38, "ry": 0.21})]
        keys += [(0.5, low)]
    return m.play(*keys, (0.4, {}))


def phone_call(m: Mover) -> Floats:
    keys: list[Key] = [(0.6, EAR | {"nod": 0.05, "side": 0.04})]
    for _ in m.times(2, 4):
        keys += [(m.between(0.5, 0.9), EAR | {"nod": m.between(-0.05, 0.25), "look": m.between(-0.45, 0.45)})]
    return m.play(*keys, (0.55, {}))


def jump(m: Mover) -> Floats:
    a, keys = m.style.amplitude, list[Key]()
    high = m.between(-0.2, 0.6)
    crouch = legs(0.75 * a, 1.15 * a) | both(0.2, -0.9, -0.2) | {"lean": 0.42}
    air = legs(0.05, 0.15) | both(0.25, high, 0.45) | {"lean": 0.0, "lift": m.between(0.2, 0.36) * a}
    for _ in m.times(2, 4):
        keys += [(0.32, crouch), (0.28, air), (0.26, crouch | {"lift": 0.0} | legs(0.45, 0.75))]
    return m.play(*keys, (0.4, {}))


def kick(m: Mover) -> Floats:
    a, keys = m.style.amplitude, list[Key]()
    arms: Pose = {"rx": 0.45, "ry": -0.7, "rz": -0.25, "lx": 0.45, "ly": -0.6, "lz": 0.3, "support": 1.0}
    back = arms | {"rhip": -0.45 * a, "rknee": 1.1 * a, "lknee": 0.2, "lhip": 0.1, "lean": 0.12, "twist": 0.2}
    front = arms | {"rhip": m.between(0.95, 1.5) * a, "rknee": 0.12, "lknee": 0.1, "lean": -0.15, "twist": -0.25}
    for _ in m.times(2, 3):
        keys += [(0.4, back), (0.28, front), (0.3, arms | {"rhip": 0.5, "rknee": 0.7})]
    return m.play(*keys, (0.4, {}))


def clap(m: Mover) -> Floats:
    y, beat = m.between(-0.3, 0.1), m.between(0.13, 0.2)
    apart, together = both(-0.31 + m.between(0.2, 0.34), y, 0.55), both(-0.31, y, 0.58)
    keys: list[Key] = [(0.45, apart)]
    for _ in m.times(5, 9):
        keys += [(beat, together), (beat, apart)]
    return m.play(*keys, (0.4, {}))


def bow(m: Mover) -> Floats:
    a = m.style.amplitude
    down = legs(-0.12, 0.0) | {"lean": m.between(0.85, 1.3) * a, "nod": 0.3}
    if m.rng.random() < 0.4:
        down |= both(0.0, -0.75, 0.3)
    return m.play((0.85, down), (m.between(0.6, 1.4), down | {"nod": 0.35}), (0.85, {}))


def throw(m: Mover) -> Floats:
    a, keys = m.style.amplitude, list[Key]()
    show: Pose = {"rx": -0.1, "ry": -0.3, "rz": 0.5, "lx": -0.1, "ly": -0.4, "lz": 0.45}
    back: Pose = {"rx": 0.45, "ry": 0.4, "rz": -0.4, "rpole": 1.0, "lx": 0.1, "ly": -0.1, "lz": 0.7, "twist": -0.65 * a}
    back |= {"lean": -0.12, "rknee": 0.3, "lhip": 0.35, "lknee": 0.4}
    away: Pose = {"rx": 0.0, "ry": 0.4, "rz": 0.9, "lx": 0.3, "ly": -0.7, "lz": -0.2, "twist": 0.45 * a, "lean": 0.3}
    through = away | {"rx": -0.45, "ry": -0.5, "rz": 0.6, "lean": 0.45 * a, "rhip": -0.2, "released": 1.0}
    for _ in m.times(1, 2):
        keys += [(0.35, show), (0.5, back), (m.between(0.1, 0.3), back | {"ry": 0.45})]
        keys += [(0.22, away), (0.1, away | {"released": 1.0}), (0.25, through)]
        keys += [(0.55, {"released": 1.0})]
    return m.play(*keys)


def fall(m: Mover) -> Floats:
    style = m.style
    aside = m.rng.random() < 0.55
    # aside, the feet slip the other way, so that the fall stays in the picture
    sideways: Pose = {"roll": m.between(1.45, 1.57), "shift": m.between(0.5, 0.75)}
    tip = sideways if aside else {"pitch": m.between(1.45, 1.55)}
    arms = both(0.35, 0.1, 0.55) if not aside else both(0.5, -0.2, 0.4)
    buckle = legs(0.5, m.between(0.7, 1.2)) | arms | {name: value * 0.3 for name, value in tip.items()} | {"lean": 0.25}
    # on the side legs may be drawn up; face down they would carry the hips
    limbs = legs(m.between(0.1, 0.7), m.between(0.2, 1.0)) if aside else legs(m.between(-0.08, 0.05), m.between(0, 0.5))
    down = tip | limbs | arms | {"lean": 0.1 if aside else 0.0, "rspread": 0.0, "lspread": -0.05}
    swing: Pose = {"side": m.between(-0.12, 0.12), "lean": -0.1} | both(0.3, -0.6, 0.1)
    mover = replace(m, style=replace(style, tempo=0.5 + 0.5 * style.tempo))
    settle: Key = (0.25, down | {"lean": -0.05})
    return mover.play((0.3, swing), (0.45, buckle), (0.35, down), settle, (m.between(0.9, 1.5), down))


PERFORM: dict[str, Callable[[Mover], Floats]] = {
    "wave": wave,
    "raise hand": raise_hand,
    "sit down": sit_down,
    "stand up": stand_up,
    "pick up": pick_up,
    "put down": put_down,
    "drink": drink,
    "phone call": phone_call,
    "jump": jump,
    "kick": kick,
    "clap": clap,
    "bow": bow,
    "throw": throw,
    "fall": fall,
}
