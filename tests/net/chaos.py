"""`python -m tests.net.chaos [KILLS] [SEED]`: kill -9 of running experiments at any moment, and what is left of them.

Exit status 1 where a process, a network namespace or a device is left 5 s after a kill.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time

from tests.graph.harness import alive
from tests.net.tools import CLI, children, made_by, network_namespaces

PROFILES = ("lan", "capped-5", "flaky", "dead")
BOUND_S = 5.0


def devices() -> set[str]:
    """Of the box itself: an experiment must neither make nor leave any."""
    said = subprocess.run(["ip", "-br", "link", "show"], capture_output=True, text=True, check=True).stdout
    return {line.split()[0] for line in said.splitlines()}


def main(kills: int, seed: int) -> bool:
    chance = random.Random(seed)
    well = True
    print(f"{'profile':10}  {'killed after s':>14}  {'processes':>9}  {'namespaces':>10}  {'gone after s':>12}")
    for i in range(kills):
        profile, after_s = PROFILES[i % len(PROFILES)], chance.uniform(0.3, 15)
        there = devices()
        command = [*CLI, "lab", "run", "shapes:test/0", "--profile", profile]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            time.sleep(after_s)
            below = children(process.pid)
            spaces = made_by(process.pid, below)
            process.kill()
        begin = time.monotonic()
        left: list[str] = ["?"]
        while left and time.monotonic() < begin + BOUND_S:
            left = [f"process {pid}" for pid in below if alive(pid)]
            left += sorted(network_namespaces() & spaces) + sorted(devices() - there)
            time.sleep(0.02)
        well &= not left
        gone = f"{time.monotonic() - begin:.2f}" if not left else f"LEFT: {', '.join(left)}"
        print(f"{profile:10}  {after_s:14.1f}  {len(below):9}  {len(spaces):10}  {gone:>12}", flush=True)
    return well


if __name__ == "__main__":
    arguments = [int(argument) for argument in sys.argv[1:3]]
    kills, seed = (*arguments, *(20, 1)[len(arguments) :])
    sys.exit(0 if main(kills, seed) else 1)
