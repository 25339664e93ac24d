"""Adaptive: drift at the pace that the uplink says, which knows link and allowance (`pacing`). Not in the paper.

A pace has drift's own four numbers: from a question at the slightest change of the local answer to one a period. With
a threshold next to 0 the period alone decides, which is the paper's n_w.
"""

from __future__ import annotations

from clownfish.filters.drift import Drift
from clownfish.messages import Pace


class Adaptive(Drift):
    """As Drift with these options, until told another pace; without `[uplink] adaptive` nobody tells it one."""

    def pace(self, pace: Pace) -> None:
        """What it remembers of the window sent last stays true, whatever the pace was then."""
        self.threshold, self.patience, self.follow, self.n_w = pace.threshold, pace.patience, pace.follow, pace.n_w
        self._following = min(self._following, pace.follow)
