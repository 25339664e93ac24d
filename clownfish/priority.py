"""A process that gives way to the others (layer 2).

Linux shares a processor among sessions first (`autogroup`, where no control group does it) and among a session's
processes then; niceness counts in the latter alone. A service is a session of its own: nice or not it would get as much
as any other, and be let in as soon as it wakes. So the session's own weight is lowered, too.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

AUTOGROUP = Path("/proc/self/autogroup")


def give_way(nice: int) -> None:
    """Be nicer to other processes by `nice` (0…19); for good, as the system lets nobody take back what was given."""
    now = os.nice(nice)
    if os.getsid(0) == os.getpid():  # else the session is a terminal's, with all that runs there
        with contextlib.suppress(OSError):  # no such thing here: niceness alone does it then
            AUTOGROUP.write_text(str(now))
