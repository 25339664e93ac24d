"""Draws configs/network/lte.csv: two minutes of a mobile link, a line a second; nothing recorded.

    python deploy/netem/draw_trace.py > configs/network/lte.csv

The rate wanders (the logarithm goes back to its mean by a tenth each second) about 6 Mbit/s between 1 and 25, as a
cell's does whose load and signal change; the round trip is 45 ms and more where the rate is low; twice a handover.
"""

from __future__ import annotations

import math
import random

SECONDS, SEED = 120, 1
HANDOVERS = (37, 88)
"""Seconds at which the link crawls for a moment."""


def main() -> None:
    chance = random.Random(SEED)
    level = 0.0
    print("t_s,rtt_ms,rate_mbit")
    for t_s in range(SECONDS):
        level = 0.9 * level + chance.gauss(0, 0.28)
        rate_mbit = min(25.0, max(1.0, 6 * math.exp(level)))
        rtt_ms = 45 + 60 / rate_mbit + chance.uniform(0, 10)
        if t_s in HANDOVERS:
            rate_mbit, rtt_ms = 0.5, 180.0
        print(f"{t_s},{rtt_ms:.1f},{rate_mbit:.2f}")


if __name__ == "__main__":
    main()
