"""A network namespace of our own, without a name: it lives as long as this process, or one inside it, and no longer.

A named one (`ip netns`) outlives the process that was killed before it could remove it; this one the kernel takes away
then, with its devices and what shapes them. To look inside: `nsenter --net=PATH ip address`, PATH as `path` says.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import subprocess
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from clownfish.errors import ClownfishError

T = TypeVar("T")
_CLONE_NEWNET = 0x40000000


class Namespace:
    """A fresh, empty network namespace. Raises ClownfishError where that is not allowed."""

    def __init__(self) -> None:
        self._fd = _in_thread(_unshare)

    @property
    def path(self) -> str:
        """For nsenter, ip and setns, by whoever runs while this process does."""
        return f"/proc/{os.getpid()}/fd/{self._fd}"

    @property
    def enter(self) -> tuple[str, ...]:
        """Put before a command, makes it run inside, under its own pid, and end when who starts it is killed."""
        return ("setpriv", "--pdeathsig", "KILL", "nsenter", f"--net={self.path}", "--")

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run a function inside, in a thread of its own. Sockets that it opens stay inside, whoever uses them later."""

        def inside() -> T:
            set_namespace(self._fd)
            return function(*arguments)

        return _in_thread(inside)

    def run(self, argv: Sequence[str]) -> str:
        """Run a command inside to its end; returns what it printed. Raises ClownfishError where it fails."""
        return run_command([*self.enter, *argv], said=argv)

    def close(self) -> None:
        """Let go of it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def run_command(argv: Sequence[str], said: Sequence[str] | None = None) -> str:
    """Run a command to its end; `said` is what an error calls it. Raises ClownfishError with what it said itself."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=20)
    except FileNotFoundError as error:
        raise ClownfishError(
            f"{argv[0]} is not installed; the network lab needs ip and tc (package iproute2), nsenter and "
            "setpriv (util-linux)"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise ClownfishError(f"{shlex.join(said or argv)}: not done after 20 s") from error
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines() or [f"exit status {done.returncode}"]
        raise ClownfishError(f"{shlex.join(said or argv)}: {words[0]}")
    return done.stdout


def set_namespace(fd: int) -> None:
    """Move this thread into the network namespace. Raises ClownfishError."""
    if _libc().setns(fd, _CLONE_NEWNET):
        raise ClownfishError(f"cannot enter a network namespace: {os.strerror(ctypes.get_errno())}; run as root")


def _unshare() -> int:
    if _libc().unshare(_CLONE_NEWNET):
        raise ClownfishError(
            f"cannot make a network namespace: {os.strerror(ctypes.get_errno())}; run as root (in a container: with "
            "the capabilities SYS_ADMIN and NET_ADMIN)"
        )
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _in_thread(function: Callable[[], T]) -> T:
    """A thread's namespace is its own: the process's others stay where they are."""
    results: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(function())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, name="namespace", daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
