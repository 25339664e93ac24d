"""A process that gives way to the others (layer 2).

Linux shares a processor among sessions first (`autogroup`, where no control group does it) and among a session's
processes then; niceness counts in the latter alone. A service is a session of its own: nice or not it would get as much
as any other, and be let in as soon as it wakes. So the session's own weight is lowered, too.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from clownfish.backoff import Backoff

AUTOGROUP = Path("/proc/self/autogroup")
_TURNS_S = 5.0
"""How long to wait for a turn. Linux takes one such change in 0.1 s from all that may not administer it, and answers
EAGAIN to the others; the services of a graph all come at once.
"""


def give_way(nice: int) -> None:
    """Be nicer to other processes by `nice` (0…19); for good, as the system lets nobody take back what was given."""
    now = os.nice(nice)
    if os.getsid(0) != os.getpid():
        return  # the session is a terminal's, with all that runs there
    until, backoff = time.monotonic() + _TURNS_S, Backoff(0.05, 0.4)
    while time.monotonic() < until:
        try:
            AUTOGROUP.write_text(str(now))
            return
        except BlockingIOError:
            time.sleep(backoff.next_s())
        except OSError:
            return  # no such thing here: niceness alone does it then
