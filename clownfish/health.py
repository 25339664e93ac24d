"""Whether a process graph lives, and whether it is ready: judged from what its processes say (layer 0).

*Ready*: every process does its work. *Live*: nothing hangs. A process that has died is not ready, and the graph lives
on: the supervisor brings it back. One that says nothing, or is at one piece of work for far too long, will not come
back by itself: then the graph does not live, and whoever watches it (systemd, Kubernetes) should start it again. Signs
of life come from the loop that does the work, never from a thread of their own, so that a hung loop shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from clownfish.messages import Status

SILENT_S = 20.0
"""A process that is ready publishes once a second."""
STARTING_S = 60.0
"""One that starts is heard by then: its libraries may come from a slow card, and it may have died a few times."""
STUCK_S = 60.0
"""For one call of the working thread, once a process is ready: a batch of windows takes seconds at the very most."""
DEAF_S = 5.0
"""A supervisor that has said nothing for this long hangs, or is gone."""

SUPERVISOR = "supervisor"
LIVE, READY = "live", "ready"
"""Gauges of the supervisor, each with a `process` label."""


@dataclass(frozen=True)
class Seen:
    """A process as the supervisor sees it now."""

    state: str
    """As in `messages.Status`; `starting` also where it has died and is being started again."""
    silent_s: float
    """Since its last sign of life, or since it was first started."""
    working_s: float = 0.0
    """How long its working thread has been at one piece of work."""
    text: str = ""


@dataclass(frozen=True)
class Verdict:
    """What is wrong, by process, in words; nothing where all is well."""

    hung: Mapping[str, str]
    unready: Mapping[str, str]
    """Those of `hung` are in it, too."""

    @property
    def live(self) -> bool:
        return not self.hung

    @property
    def ready(self) -> bool:
        return not self.unready


def judge(processes: Mapping[str, Seen]) -> Verdict:
    """The verdict on a whole graph."""
    hung: dict[str, str] = {}
    unready: dict[str, str] = {}
    for name, seen in processes.items():
        if seen.silent_s > (SILENT_S if seen.state == "ready" else STARTING_S):
            hung[name] = f"has said nothing for {seen.silent_s:.0f} s"
        elif seen.state == "ready" and seen.working_s > STUCK_S:
            hung[name] = f"has been at one piece of work for {seen.working_s:.0f} s"
        elif seen.state != "ready":
            unready[name] = f"is {seen.state}" + (f": {seen.text}" if seen.text else "")
    return Verdict(hung, {**unready, **hung})


def verdict_of(status: Status | None, silent_s: float) -> Verdict:
    """The verdict that the supervisor has published, for those who only read; `silent_s`: how long ago that was."""
    if status is None or silent_s > DEAF_S:
        why = "says nothing" if status is None else f"has said nothing for {silent_s:.0f} s"
        return Verdict({SUPERVISOR: why}, {SUPERVISOR: why})
    words = dict(line.split(": ", 1) for line in status.text.splitlines() if ": " in line)
    hung, unready = (
        {name: words.get(name, f"is not {gauge}") for name, well in _gauges(status, gauge).items() if not well}
        for gauge in (LIVE, READY)
    )
    return Verdict(hung, unready)


def ready_processes(status: Status) -> list[str]:
    """Those that do their work, as the supervisor has published."""
    return [name for name, ready in _gauges(status, READY).items() if ready]


def _gauges(status: Status, name: str) -> dict[str, float]:
    """{process: value} of the gauges `name{process="…"}`."""
    prefix, suffix = f'{name}{{process="', '"}'
    return {key[len(prefix) : -len(suffix)]: value for key, value in status.gauges.items() if key.startswith(prefix)}


def verdict_gauges(processes: Mapping[str, Seen], verdict: Verdict) -> dict[str, float]:
    """As the supervisor publishes it; `verdict_of` reads it."""
    gauges: dict[str, float] = {}
    for name, seen in processes.items():
        gauges[f'{LIVE}{{process="{name}"}}'] = float(name not in verdict.hung)
        gauges[f'{READY}{{process="{name}"}}'] = float(name not in verdict.unready)
        gauges[f'silent_seconds{{process="{name}"}}'] = seen.silent_s
    return gauges


def verdict_text(verdict: Verdict, limit_bytes: int = 4000) -> str:
    """One line for each process that is not well."""
    text = "\n".join(f"{name}: {why}" for name, why in verdict.unready.items())
    return text.encode()[:limit_bytes].decode(errors="ignore")
