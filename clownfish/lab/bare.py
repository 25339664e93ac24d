"""The bare model loop, decoded windows and nothing else: `python -m clownfish.lab.bare MODEL BATCH SOURCE`."""

from __future__ import annotations

import sys
import time

from clownfish.lab.driven import obey
from clownfish.lab.workload import read_windows
from clownfish.models.load import load_model

WINDOWS = 16
"""Different ones, over and over."""


def main(name: str, batch: int, source: str) -> None:
    model = load_model(name)
    windows = read_windows(source, WINDOWS)
    batches = [[windows[(i + j) % len(windows)] for j in range(batch)] for i in range(0, len(windows), batch)]
    model.infer(batches[0])  # the first is not like the others

    def measure(seconds: float) -> float:
        begin, done = time.monotonic(), 0
        while (now := time.monotonic()) < begin + seconds:
            model.infer(batches[done % len(batches)])
            done += 1
        return done * batch / (now - begin)

    obey(measure)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
