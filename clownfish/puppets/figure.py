"""The skeleton: poses become joints in space, for all frames at once.

Space is in metres: y up, z to the front camera, x to its right (so a subject facing it has its right hand at −x).
Arms are posed by where the hand is (two-bone inverse kinematics), legs by angles; the lowest point stands on the floor
and the supporting foot stays where it is, so sitting, jumping and falling need no positions of their own.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt

from clownfish.puppets.subject import Body

Floats = npt.NDArray[np.float64]

PARAMETERS = (
    *("lean", "side", "twist"),  # of the torso against the pelvis: forward, to the right hand, to the left; radians
    *("pitch", "roll", "turn"),  # of the whole body: forward, to the right hand, to the left; radians
    *("lift", "shift"),  # above the floor, and along x; metres
    *("nod", "look"),  # of the head: down, to the left; radians
    *("rhip", "rknee", "rspread"),  # leg: flexion and abduction; radians
    *("lhip", "lknee", "lspread"),
    *("rx", "ry", "rz", "rpole"),  # hand from its shoulder: outward, up, forward, in arm lengths; elbow 0 down, 1 out
    *("lx", "ly", "lz", "lpole"),
    "support",  # which foot stays: 0 right, 1 left
    "released",  # the ball has left the hand when above one half
    "box",  # the box: 0 on the floor, 1 in the hands
)
INDEX = {name: i for i, name in enumerate(PARAMETERS)}


class Joint(IntEnum):
    PELVIS = 0
    NECK = 1
    HEAD = 2
    FACE = 3
    R_SHOULDER = 4
    R_ELBOW = 5
    R_HAND = 6
    L_SHOULDER = 7
    L_ELBOW = 8
    L_HAND = 9
    R_HIP = 10
    R_KNEE = 11
    R_ANKLE = 12
    R_TOE = 13
    L_HIP = 14
    L_KNEE = 15
    L_ANKLE = 16
    L_TOE = 17


def _rotation(axis: int, angle: Floats) -> Floats:
    """(n, 3, 3) right-handed rotations about axis 0, 1 or 2."""
    out = np.zeros((len(angle), 3, 3))
    i, j = (axis + 1) % 3, (axis + 2) % 3
    cos, sin = np.cos(angle), np.sin(angle)
    out[:, axis, axis] = 1
    out[:, i, i] = out[:, j, j] = cos
    out[:, j, i] = sin
    out[:, i, j] = -sin
    return out


def _unit(v: Floats) -> Floats:
    out: Floats = v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-9)
    return out


def _reach(shoulder: Floats, offset: Floats, pole: Floats, upper: float, fore: float) -> tuple[Floats, Floats]:
    """(elbow, hand) of an arm whose hand tries to be at shoulder + offset and whose elbow bends towards `pole`."""
    distance = np.linalg.norm(offset, axis=-1, keepdims=True)
    direction = offset / np.maximum(distance, 1e-9)
    distance = np.clip(distance, abs(upper - fore) + 0.08, 0.998 * (upper + fore))
    along = (upper**2 - fore**2 + distance**2) / (2 * distance)
    out = np.sqrt(np.maximum(upper**2 - along**2, 0))
    bend = _unit(pole - (pole * direction).sum(-1, keepdims=True) * direction)
    return shoulder + along * direction + out * bend, shoulder + distance * direction


def joints(body: Body, pose: Floats) -> Floats:
    """(n, 18, 3) joints, metres, of poses (n, parameters)."""
    p = {name: pose[:, i] for name, i in INDEX.items()}
    n = len(pose)
    out = np.zeros((n, len(Joint), 3))
    chest = _rotation(2, p["side"]) @ _rotation(0, p["lean"]) @ _rotation(1, p["twist"])
    head = chest @ _rotation(1, p["look"]) @ _rotation(0, p["nod"])
    arm = body.upper_arm + body.forearm

    neck = chest @ np.array([0, body.torso, 0])
    out[:, Joint.NECK] = neck
    out[:, Joint.HEAD] = neck + head @ np.array([0, body.neck + body.head, 0.02])
    out[:, Joint.FACE] = out[:, Joint.HEAD] + head @ np.array([0, -0.15 * body.head, 0.55 * body.head])
    for s, first, hip, side in ((-1, Joint.R_SHOULDER, Joint.R_HIP, "r"), (1, Joint.L_SHOULDER, Joint.L_HIP, "l")):
        shoulder = neck + chest @ np.array([s * body.shoulder, -0.03, 0])
        target = np.stack([s * p[side + "x"], p[side + "y"], p[side + "z"]], -1) * arm
        weight = p[side + "pole"][:, None]
        pole = (1 - weight) * np.array([s * 0.45, -0.7, -0.55]) + weight * np.array([s * 1.0, 0.1, -0.1])
        offset = (chest @ target[..., None])[..., 0]
        elbow, hand = _reach(shoulder, offset, (chest @ pole[..., None])[..., 0], body.upper_arm, body.forearm)
        out[:, first], out[:, first + 1], out[:, first + 2] = shoulder, elbow, hand

        flexion, spread = p[side + "hip"], p[side + "spread"]
        lower = flexion - p[side + "knee"]
        sideways, cos = s * np.sin(spread), np.cos(spread)
        thigh = np.stack([sideways, -np.cos(flexion) * cos, np.sin(flexion) * cos], -1)
        shank = np.stack([sideways, -np.cos(lower) * cos, np.sin(lower) * cos], -1)
        toe = np.stack([0.35 * s * np.ones(n), np.sin(lower), np.cos(lower)], -1)
        out[:, hip] = [s * body.hip, 0, 0]
        out[:, hip + 1] = out[:, hip] + body.thigh * thigh
        out[:, hip + 2] = out[:, hip + 1] + body.shank * shank
        out[:, hip + 3] = out[:, hip + 2] + body.foot * toe

    whole = _rotation(1, p["turn"]) @ _rotation(2, p["roll"]) @ _rotation(0, p["pitch"])
    # rotation of row vectors: (R v)ᵀ = vᵀ Rᵀ
    out = out @ whole.transpose(0, 2, 1)
    return _stand(body, out, p["support"], p["shift"], p["lift"])


def _stand(body: Body, points: Floats, support: Floats, shift: Floats, lift: Floats) -> Floats:
    """Put the supporting ankle at (shift, ·, 0) and the lowest point on the floor, then lift."""
    weight = support[:, None]
    ankle = (1 - weight) * points[:, Joint.R_ANKLE] + weight * points[:, Joint.L_ANKLE]
    touching = [Joint.R_ANKLE, Joint.L_ANKLE, Joint.R_KNEE, Joint.L_KNEE, Joint.PELVIS, Joint.HEAD, Joint.NECK]
    radius = np.array([0.06, 0.06, body.leg_radius, body.leg_radius, body.torso_radius, body.head, body.torso_radius])
    floor = (points[:, touching, 1] - radius).min(1)
    points[:, :, 0] += (shift - ankle[:, 0])[:, None]
    points[:, :, 1] += (lift - floor)[:, None]
    points[:, :, 2] -= ankle[:, 2:3]
    for toe in (Joint.R_TOE, Joint.L_TOE):
        # a foot bends at the toes rather than go through the floor
        points[:, toe, 1] = np.maximum(points[:, toe, 1], 0.03)
    return points
