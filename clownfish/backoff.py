"""Backoff: how long to wait before the next try of what failed (layer 0)."""

from __future__ import annotations

import random


class Backoff:
    """How long to wait before the next try: doubling from `first_s` to `limit_s`, less up to half of it by chance."""

    def __init__(self, first_s: float = 0.5, limit_s: float = 30.0, dice: random.Random | None = None) -> None:
        if not 0 < first_s <= limit_s:
            raise ValueError(f"first_s {first_s} and limit_s {limit_s}; expected 0 < first_s ≤ limit_s")
        self._first_s, self._limit_s = first_s, limit_s
        self._dice = dice or random.Random()
        self._tries = 0

    def next_s(self) -> float:
        """Seconds."""
        longest = min(self._limit_s, self._first_s * 2.0 ** min(self._tries, 60))
        self._tries += 1
        return longest * self._dice.uniform(0.5, 1.0)

    def reset(self) -> None:
        self._tries = 0
