"""Light that changes: it drifts, leans to one side, flickers, is switched, and has a colour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clownfish.messages import Pixels
from clownfish.opencv import cv2
from clownfish.puppets.difficulty import Difficulty
from clownfish.puppets.figure import Floats
from clownfish.puppets.names import FPS, HEIGHT, WIDTH


@dataclass(frozen=True, slots=True)
class Light:
    maps: tuple[Pixels, Pixels]
    """Two distributions of light over the frame, 128 for the mean; the light wanders between them."""
    share: Floats
    """(n,) of the second."""
    gain: Floats
    """(n,)"""

    def apply(self, frame: Pixels, n: int) -> Pixels:
        share = float(self.share[n])
        mix = cv2.addWeighted(self.maps[0], 1 - share, self.maps[1], share, 0)
        return np.asarray(cv2.multiply(frame, mix, scale=float(self.gain[n]) / 128), np.uint8)


def _map(rng: np.random.Generator) -> Pixels:
    tint = 1 + rng.normal(0, 0.06, 3)
    corners = rng.uniform(0.7, 1.3, (2, 2)).astype(np.float32)
    shape = np.asarray(cv2.resize(corners, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR))
    out: npt.NDArray[np.uint8] = np.clip(shape[..., None] * tint * 128, 0, 255).astype(np.uint8)
    return out


def make_light(rng: np.random.Generator, frames: int, difficulty: Difficulty) -> Light:
    t = np.arange(frames) / FPS
    rates, phases = rng.uniform(0.01, 0.15, (2, 2)), rng.uniform(0, 2 * np.pi, (2, 2))
    slow = np.sin(2 * np.pi * rates[0][:, None] * t + phases[0][:, None]).mean(0) / 2 + 0.5
    share = np.sin(2 * np.pi * rates[1][:, None] * t + phases[1][:, None]).mean(0) / 2 + 0.5
    low, high = difficulty.light_gain
    switches = np.cumsum(rng.random(frames) < difficulty.light_switch_per_min / 60 / FPS)
    level = rng.uniform(0.8, 1.1, int(switches[-1]) + 1 if frames else 1)[switches]
    flicker = rng.normal(1, rng.uniform(*difficulty.flicker), frames)
    return Light((_map(rng), _map(rng)), share, (low + (high - low) * slow) * level * flicker)
