"""How hard the puppets are to recognise: every constant that decides it, in one place.

Ranges are (low, high) of a uniform draw, made once for each stream or clip unless the comment says otherwise.
What the shipped pair makes of them stands in clownfish/zoo/puppets/README.md.
"""

from __future__ import annotations

from dataclasses import dataclass

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Difficulty:
    """Pixels are those of the 172×128 frame; levels those of uint8."""

    figure_height_px: Range = (80.0, 98.0)
    """Height of a subject of 1.75 m standing: at 80 a forearm is 13 pixels long and 3 wide."""
    facing_jitter_rad: Range = (-0.20, 0.20)
    """Of the subject against the camera's nominal 0 or ±45°; drifts by a little within a stream."""
    camera_pitch_rad: Range = (0.06, 0.24)
    camera_distance_m: Range = (3.6, 7.0)
    contrast: Range = (0.88, 1.0)
    """Of clothes against mid grey: a low one makes an arm before the torso hard to see."""

    wall_distance: float = 110.0
    """At least so far is the wall's RGB from that of shirt, trousers and skin, where a colour can be found."""
    wall_texture: tuple[float, float] = (9.0, 7.0)
    """Standard deviation of the wall's stains and of its grain, in levels."""

    noise_levels: Range = (2.0, 6.0)
    """Standard deviation of the sensor noise, new in each frame."""
    blur_px: Range = (0.0, 0.8)
    shake_px: Range = (0.0, 0.4)
    light_gain: Range = (0.85, 1.1)
    """Bounds between which the light drifts; it also leans to one side and is switched now and then."""
    light_switch_per_min: float = 1.0
    flicker: Range = (0.0, 0.025)

    clutter: tuple[int, int] = (2, 7)
    """Things on the wall and floor."""
    occluder_share: float = 0.2
    """Of scenes with something in the foreground that hides a part of the subject."""
    passer_per_min: float = 1.0
    """People who cross the picture, half of them in front of the subject."""

    style_amplitude: Range = (0.88, 1.12)
    """Of a subject's movements; drawn for each subject."""
    style_tempo: Range = (0.85, 1.25)
    """Factor on durations; drawn for each subject, and ±12 % again for each action."""
    target_jitter: float = 0.06
    """Standard deviation of where a hand goes, in arm lengths; drawn for each movement."""
    sway: Range = (0.5, 1.4)
    """Of the swaying and breathing under everything."""
    look_alike_share: float = 0.15
    """Of what idle people do, the share that resembles an action: scratching, stretching, peering, rubbing hands."""
    stray_item_share: float = 0.15
    """Of the time a cup or telephone is in the hand without being used."""


DEFAULT = Difficulty()
