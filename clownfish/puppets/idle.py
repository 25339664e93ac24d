"""What people do between actions: stand about, fidget, and now and then something that looks like an action."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from clownfish.puppets.actions import EAR, MOUTH, both, legs
from clownfish.puppets.figure import Floats
from clownfish.puppets.motion import Key, Mover, Pose, ease
from clownfish.puppets.names import FPS


def _hold(m: Mover, pose: Pose, there: float = 0.5, low: float = 0.3, high: float = 1.5) -> Floats:
    return m.play((there, pose), (m.between(low, high), pose), (there, {}))


def still(m: Mover) -> Floats:
    return m.play((m.between(0.5, 2.0), {}))


def look_round(m: Mover) -> Floats:
    return _hold(m, {"look": m.between(-0.9, 0.9), "twist": m.between(-0.3, 0.3), "nod": m.between(-0.1, 0.25)})


def shift_weight(m: Mover) -> Floats:
    return _hold(m, {"side": 0.05, "lknee": 0.25, "lhip": 0.15, "support": 0.0})


def step(m: Mover) -> Floats:
    """Lift one foot, then the other: half-way to a kick."""
    lifted: Key = (0.3, {"rhip": m.between(0.3, 0.6), "rknee": m.between(0.4, 0.9), "support": 1.0})
    other: Key = (0.35, {"lhip": m.between(0.3, 0.6), "lknee": m.between(0.4, 0.9), "support": 0.0})
    return m.play(lifted, (0.25, {"support": 1.0}), other, (0.3, {}))


def cross_arms(m: Mover) -> Floats:
    return _hold(m, both(-0.42, -0.32, 0.3, 0.3), 0.6, 0.8, 2.0)


def hands_on_hips(m: Mover) -> Floats:
    return _hold(m, both(0.02, -0.72, 0.02, 1.0), 0.6, 0.8, 2.0)


def scratch(m: Mover) -> Floats:
    """A hand to the head or face and soon down again: almost a call, almost a drink."""
    spot = EAR | {"ry": 0.45} if m.rng.random() < 0.5 else MOUTH | {"rz": 0.22}
    rub = spot | {"rx": spot["rx"] + 0.07}
    return m.play((0.4, spot), *[(0.14, rub), (0.14, spot)] * len(m.times(1, 3)), (0.45, {}))


def stretch(m: Mover) -> Floats:
    return _hold(m, both(0.05, 0.85, 0.1, 0.8) | {"lean": -0.12, "nod": -0.2}, 0.7, 0.3, 0.9)


def watch_check(m: Mover) -> Floats:
    return _hold(m, {"rx": -0.3, "ry": -0.25, "rz": 0.42, "rpole": 0.5, "nod": 0.35}, 0.4, 0.4, 1.2)


def rub_hands(m: Mover) -> Floats:
    """Like clapping without coming apart."""
    near, far = both(-0.28, -0.35, 0.45), both(-0.29, -0.26, 0.5)
    return m.play((0.45, near), *[(0.15, far), (0.15, near)] * len(m.times(2, 5)), (0.4, {}))


def peer(m: Mover) -> Floats:
    """A short lean forward: not yet a bow."""
    return _hold(m, {"lean": m.between(0.3, 0.5), "nod": -0.15}, 0.5, 0.2, 0.7)


def dip(m: Mover) -> Floats:
    """Bend the knees and rise: not yet a jump, not yet a seat."""
    return _hold(m, legs(0.45, 0.75) | {"lean": 0.2}, 0.4, 0.05, 0.3)


Fidget = Callable[[Mover], Floats]
PLAIN: tuple[Fidget, ...] = (still, still, look_round, shift_weight, step, cross_arms, hands_on_hips)
ALIKE: tuple[Fidget, ...] = (scratch, scratch, stretch, watch_check, rub_hands, peer, dip)
SEATED_PLAIN: tuple[Fidget, ...] = (still, look_round, cross_arms)
SEATED_ALIKE: tuple[Fidget, ...] = (scratch, stretch, watch_check, rub_hands, peer)
HOLDING: tuple[Fidget, ...] = (still, look_round, shift_weight, step)


def idle(m: Mover, posture: str, frames: int) -> Floats:
    """(frames, parameters) of doing nothing in particular, beginning and ending in `m.rest`."""
    plain, alike = {"seated": (SEATED_PLAIN, SEATED_ALIKE), "holding": (HOLDING, HOLDING)}.get(posture, (PLAIN, ALIKE))
    parts: list[Floats] = []
    left = frames
    while left > 0:
        pool = alike if m.rng.random() < m.difficulty.look_alike_share else plain
        part = pool[m.rng.integers(len(pool))](m)
        if len(part) > left:
            # no room for another: wait out the rest
            part = np.repeat(m.rest[None], left, 0)
        parts.append(part)
        left -= len(part)
    return np.concatenate(parts)


def get_up(m: Mover, lying: Floats) -> Floats:
    """(frames, parameters) from the floor back to `m.rest`; it belongs to idle, as PKU-MMD leaves it unlabelled."""
    still_down = np.repeat(lying[None], m.rng.integers(3, 12), 0)
    kneel = m.rest.copy()
    crouched = m.play((1.0, legs(1.5, 2.2) | {"lean": 0.7} | both(0.1, -0.6, 0.6)))[-1]
    tempo = m.style.tempo
    up = ease(lying, crouched, round(m.between(0.8, 1.2) * tempo * FPS), 1.6)
    return np.concatenate([still_down, up, ease(crouched, kneel, round(m.between(0.7, 1.1) * tempo * FPS), 1.7)])
