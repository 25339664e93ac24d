"""The paper's own numbers, to be read beside ours: from the authors' logs, on PKU-MMD (51 classes; a 3D ResNet-18 on
the edge, a ResNeXt-101 in the cloud)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Recorded(NamedTuple):
    """Percent of frames answered right, and weighted F1 where the logs have it."""

    method: str
    accuracy: float
    weighted_f1: float | None


ALL_VIDEOS = "132 videos"
ALL = (
    Recorded("edge-only", 50.93, 50.58),
    Recorded("Clownfish, round trip 3 ms", 58.26, 58.33),
    Recorded("Clownfish, round trip 13 ms", 58.27, 58.34),
    Recorded("Clownfish, round trip 153 ms", 57.24, 57.18),
    Recorded("cloud-only", 59.22, 59.68),
    Recorded("cloud-only + FixMA", 61.50, 61.99),
)

SOME_VIDEOS = "12 videos"
SOME = (
    Recorded("edge-only", 51.16, None),
    Recorded("early discard", 55.48, None),
    Recorded("Clownfish, unshaped link", 58.69, None),
    Recorded("Clownfish, 7.5 Mbit/s", 57.09, None),
    Recorded("Clownfish, 5 Mbit/s (n_w = 8)", 56.69, None),
    Recorded("cloud-only", 58.98, None),
)

FRAME_RATES: Mapping[str, tuple[float | None, float | None, float | None, float | None]] = {
    "edge-only": (32.0, 32.0, 32.0, 32.0),
    "cloud-only": (31.8, 30.7, 21.0, 30.3),
    "early discard": (26.7, None, 20.0, None),
    "Clownfish": (31.0, 31.0, 31.0, 31.0),
}
"""Frames per second over no cap, 7.5, 5 Mbit/s and no cap (Fig. 13, Table II), a mean each; None where the logs have
none. Clownfish had n_w = 8 at 5 Mbit/s, else 6."""
