"""How public checkpoints' pixels were scaled, by name, as the mean and deviation of values 0 to 255.

3D-ResNets-PyTorch (CVPR 2018) and Efficient-3DCNNs share their options: `--mean_dataset` names the mean, `--std_norm`
and `--norm_value` the scale; without any, the mean is ActivityNet's and nothing is divided. The 2020 rewrite of
3D-ResNets-PyTorch has Kinetics' mean and deviation.
"""

from __future__ import annotations

from clownfish.errors import ModelError

Colour = tuple[float, float, float]

_MEANS: dict[str, Colour] = {
    "activitynet": (114.7748, 107.7354, 99.4750),
    "kinetics": (110.63666788, 103.16065604, 96.29023126),
    "zero": (0.0, 0.0, 0.0),
}
_SCALES: dict[str, Colour] = {
    "": (1.0, 1.0, 1.0),
    "-std": (38.7568578, 37.88248729, 40.02898126),
    "-unit": (255.0, 255.0, 255.0),
}

PREPROCESSING: dict[str, tuple[Colour, Colour]] = {
    f"{mean}{scale}": (_MEANS[mean], _SCALES[scale]) for mean in _MEANS for scale in _SCALES
} | {
    "kinetics-2020": (
        (0.4345 * 255, 0.4051 * 255, 0.3775 * 255),
        (0.2768 * 255, 0.2713 * 255, 0.2737 * 255),
    ),
}
"""Name → (mean, std). "-std": `--std_norm`. "-unit": `--norm_value 255`."""


def preprocessing(name: str) -> tuple[Colour, Colour]:
    """(mean, std) of R, G, B. Raises ModelError with the known names."""
    if name not in PREPROCESSING:
        raise ModelError(f"unknown preprocessing {name!r}; known: {', '.join(PREPROCESSING)}")
    return PREPROCESSING[name]
