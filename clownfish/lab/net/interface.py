"""Shapes a real interface of a real edge box, and always lets go of it again.

A watchdog, a process of its own, clears the interface when whoever shaped it ends, `kill -9` included, or when the time
is over: a box that is reached by that very interface must not be lost to an experiment. What others have configured on
the interface is never replaced, and `clear` takes away nothing but ours.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from clownfish.errors import ClownfishError, ConfigError
from clownfish.lab.net import tc
from clownfish.lab.net.capabilities import capabilities
from clownfish.lab.net.namespace import run_command
from clownfish.lab.net.plan import ifb_of, interface_to_phase, plan_interface
from clownfish.lab.net.profile import Profile
from clownfish.lab.net.shape import Phase

_PATIENCE_S = 20.0


@contextlib.contextmanager
def shaped(device: str, profile: Profile, seconds: float) -> Iterator[None]:
    """The interface is as the profile says while this lasts, `seconds` at most.

    Raises ConfigError where it cannot be, and ClownfishError where a step fails: then nothing is left of it.
    """
    steps = plan_interface(device, profile, capabilities()).steps
    _check_free(device)
    with _watchdog(device, seconds):
        try:
            for step in steps:
                run_command(step.argv)
            yield
        finally:
            clear(device)


def enter(device: str, phase: Phase) -> None:
    """Into this phase now, where the profile changes."""
    for step in interface_to_phase(device, phase):
        run_command(step.argv)


def clear(device: str) -> list[str]:
    """Take away what shapes it, if it is ours; returns what that was. Raises ConfigError for an unknown interface."""
    _look(device)
    removed = []
    if any(queue["handle"] == tc.ROOT for queue in _root_queues(device)):
        run_command(["tc", "qdisc", "del", "dev", device, "root"])
        removed.append("what goes out")
    ifb = ifb_of(device)
    if ifb in _interfaces():
        with contextlib.suppress(ClownfishError):  # killed between the two steps: there is none yet
            run_command(["tc", "qdisc", "del", "dev", device, "ingress"])
        run_command(["ip", "link", "del", ifb])
        removed.append("what comes in")
    return removed


def _check_free(device: str) -> None:
    """Raises ConfigError where the interface is not there, or not free to be shaped."""
    _look(device)
    for queue in _root_queues(device):
        if queue["handle"] == tc.ROOT:
            raise ConfigError(f"{device} is shaped already; see who does it, or: clownfish lab clear {device}")
        if queue["handle"] != "0:":
            raise ConfigError(
                f"{device} has a {queue['kind']} ({queue['handle']}) that is not ours; remove it first, and put it "
                f"back afterwards: tc qdisc del dev {device} root"
            )
    if ifb_of(device) in _interfaces():
        raise ConfigError(f"{device} is shaped already: {ifb_of(device)} is there; or: clownfish lab clear {device}")
    if any(queue["kind"] in ("ingress", "clsact") for queue in _queues(device)):
        raise ConfigError(f"{device} has an ingress queue that is not ours: tc qdisc del dev {device} ingress")


def _look(device: str) -> None:
    there = _interfaces()
    if device not in there:
        raise ConfigError(f"no interface {device!r}; there are {', '.join(there)}")


def _interfaces() -> list[str]:
    return [link["ifname"] for link in json.loads(run_command(["ip", "-j", "link", "show"]))]


def _queues(device: str) -> list[dict[str, Any]]:
    queues: list[dict[str, Any]] = json.loads(run_command(["tc", "-j", "qdisc", "show", "dev", device]))
    return queues


def _root_queues(device: str) -> list[dict[str, Any]]:
    return [queue for queue in _queues(device) if queue.get("root")]


@contextlib.contextmanager
def _watchdog(device: str, seconds: float) -> Iterator[None]:
    """There before anything is changed, gone after everything is cleared."""
    command = [sys.executable, "-m", "clownfish.lab.net.watchdog", device, str(seconds)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, text=True
    ) as process:
        assert process.stdin is not None  # both are pipes
        assert process.stdout is not None
        try:
            if process.stdout.readline().strip() != "ready":
                raise ClownfishError(f"the watchdog of {device} does not start: {' '.join(command)} says why")
            yield
        finally:
            process.stdin.close()  # it clears once more, and ends
            process.wait(_PATIENCE_S)
