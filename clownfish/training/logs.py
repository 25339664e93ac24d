"""A run's log: one line of CSV for each epoch."""

from __future__ import annotations

import csv
from pathlib import Path


def log_epoch(path: Path, epoch: int, loss: float, accuracy: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists() or epoch == 0
    with path.open("w" if new else "a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(["epoch", "loss", "validation_clip_accuracy"])
        writer.writerow([epoch, f"{loss:.5f}", f"{accuracy:.5f}"])
