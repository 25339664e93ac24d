"""Shapes, a second embedded data set: one textured shape moves over clutter in one of eight ways. Layer 1.

Simpler than Puppets, so that models of a megabyte learn it within minutes; only the motion tells the class. A stream is
contexts joined hard, as those of §VI-A are. Needs numpy and OpenCV only.
"""

from clownfish.shapes.motions import CLASSES
from clownfish.shapes.scene import HEIGHT, WIDTH
from clownfish.shapes.stream import FPS, SPLITS, VERSION, Interval, ShapesStream, stream

__all__ = ["CLASSES", "FPS", "HEIGHT", "SPLITS", "VERSION", "WIDTH", "Interval", "ShapesStream", "stream"]
