"""Puppets, the embedded data set: articulated figures that perform everyday actions, drawn on demand. Layer 1.

It stands in for PKU-MMD (Liu et al., 2017), on which the paper measures (§VI-A), where nothing can be downloaded: long
untrimmed streams with ground truth, cross-subject and cross-view. Needs numpy and OpenCV only.
"""

from clownfish.puppets.difficulty import DEFAULT, Difficulty
from clownfish.puppets.names import ACTIONS, CLASSES, FPS, HEIGHT, IDLE, PROTOCOLS, SPLITS, VIEWS, WIDTH
from clownfish.puppets.script import Interval
from clownfish.puppets.stream import PuppetStream, clip, stream

__all__ = [
    "ACTIONS",
    "CLASSES",
    "DEFAULT",
    "FPS",
    "HEIGHT",
    "IDLE",
    "PROTOCOLS",
    "SPLITS",
    "VIEWS",
    "WIDTH",
    "Difficulty",
    "Interval",
    "PuppetStream",
    "clip",
    "stream",
]
