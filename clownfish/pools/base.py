"""What a pool is: a place where workers run, wherever they are reached. `services.pool` says how many."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Worker(Protocol):
    """One worker service, somewhere."""

    async def run(self, on_ready: Callable[[str], None]) -> str:
        """Run it until it ends; returns why. `on_ready` hears what it says of itself when it does its work.

        Raises ConfigError where it cannot start for a reason that a user must mend.
        """
        ...

    async def stop(self) -> None:
        """Let it hand back what it holds, and end it: then `run` returns. Bounded; what does not end is killed."""
        ...


class Pool(Protocol):
    async def open(self) -> str:
        """Find the place; returns what it is, for people. Raises ConfigError where there is none."""
        ...

    def worker(self, name: str) -> Worker:
        """One that is not started yet."""
        ...

    async def close(self) -> None:
        """Leave. Workers are stopped before."""
        ...
