"""Test tool: a user's own model that notes its batches, and hangs or fails where a window's picture says so."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import numpy as np

from clownfish.messages import Pixels
from clownfish.models.base import Inference

POISON, HANGS, SLOW = 250, 200, 150
"""The colour of a window's last frame that this model fails at, hangs at till `release`, or takes its time for."""


class Noting:
    """Answers class 0 for dark windows and class 2 for bright ones."""

    classes = ("bow", "clap", "wave")
    name = "noting"
    window_size = 16
    batches: list[list[int]]
    """The colours of each batch, of the newest instance."""
    release: threading.Event
    hanging: threading.Event

    def __init__(self) -> None:
        Noting.batches = []
        Noting.release = threading.Event()
        Noting.hanging = threading.Event()

    def infer(self, windows: Sequence[Sequence[Pixels]]) -> Inference:
        colours = [int(window[-1].mean()) for window in windows]
        Noting.batches.append(colours)
        if HANGS in colours:
            Noting.hanging.set()
            Noting.release.wait(60)
        if SLOW in colours:
            time.sleep(0.5)
        if POISON in colours:
            raise RuntimeError("a window that this model cannot take")
        p = np.array([[0.8, 0.1, 0.1] if colour < 100 else [0.1, 0.1, 0.8] for colour in colours], np.float32)
        return Inference(p, p)


class Newer(Noting):
    """Finds every window dark."""

    name = "new"

    def infer(self, windows: Sequence[Sequence[Pixels]]) -> Inference:
        p = np.array([[0.7, 0.2, 0.1]] * len(windows), np.float32)
        return Inference(p, p)


class Patient(Noting):
    """Takes a tenth of a second for a window, however busy or idle the machine is."""

    name = "patient"

    def infer(self, windows: Sequence[Sequence[Pixels]]) -> Inference:
        time.sleep(0.1 * len(windows))
        return super().infer(windows)
