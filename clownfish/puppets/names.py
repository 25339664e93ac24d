"""The words of the embedded data set "Puppets": classes, splits, views and protocols, in their fixed order."""

from __future__ import annotations

from typing import Literal, get_args

Split = Literal["train", "validation", "test"]
View = Literal["front", "left", "right"]
Protocol = Literal["cross-subject", "cross-view"]

CLASSES = (
    "idle",
    "wave",
    "raise hand",
    "sit down",
    "stand up",
    "pick up",
    "put down",
    "drink",
    "phone call",
    "jump",
    "kick",
    "clap",
    "bow",
    "throw",
    "fall",
)
"""In the order of the models' outputs; never reordered, for weights depend on it."""

IDLE = CLASSES[0]
ACTIONS = CLASSES[1:]
SPLITS: tuple[Split, ...] = get_args(Split)
VIEWS: tuple[View, ...] = get_args(View)
"""The camera stands before the subject, or 45° to the subject's left or right."""

WIDTH, HEIGHT, FPS = 172, 128, 30.0

PROTOCOLS: dict[Protocol, dict[Split, tuple[View, ...]]] = {
    "cross-subject": {"train": VIEWS, "validation": VIEWS, "test": VIEWS},
    "cross-view": {"train": ("front", "right"), "validation": ("front", "right"), "test": ("left",)},
}
"""Views of each split; subjects are apart in both. PKU-MMD's cross-view also tests on the left camera."""
