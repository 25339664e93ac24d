"""`python -m clownfish.lab.net.watchdog IFACE SECONDS`: clears the interface when its standard input ends, or the time.

The other end of that input is held by who shaped the interface: the kernel closes it, however that process ends.
Signals that end such a process (Ctrl-C, a lost terminal) do not end this one.
"""

from __future__ import annotations

import select
import signal
import sys
import time

from clownfish.errors import ClownfishError
from clownfish.lab.net.interface import clear

_GRACE_S = 5.0
"""Who shaped the interface clears it when the time is over; this one where that did not happen."""
_AGAIN_S = 0.5
"""A step that was under way when its process was killed may end after the first clearing."""


def main() -> None:
    device, seconds = sys.argv[1], float(sys.argv[2])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    print("ready", flush=True)
    select.select([sys.stdin], [], [], seconds + _GRACE_S)
    for _ in range(2):
        try:
            clear(device)
        except ClownfishError as error:  # an interface that is gone needs no clearing
            print(f"watchdog: {error}", file=sys.stderr)
        time.sleep(_AGAIN_S)


if __name__ == "__main__":
    main()
