"""What a check says, and how long it may take to say it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from clownfish.errors import ClownfishError
from clownfish.within import within

State = Literal["ok", "warning", "fault"]
T = TypeVar("T")

_DYING_S = 1.0


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's."""

    name: str
    """Which check, and of what: `source door`."""
    state: State
    said: str
    """What was found, in plain words."""
    advice: str = ""
    """What to do; empty where nothing need be done."""


def ok(name: str, said: str) -> Finding:
    return Finding(name, "ok", said)


def warning(name: str, said: str, advice: str) -> Finding:
    """The graph runs so, and worse than it could."""
    return Finding(name, "warning", said, advice)


def fault(name: str, said: str, advice: str) -> Finding:
    """The graph, or a part of it, does not work so."""
    return Finding(name, "fault", said, advice)


async def bounded(name: str, check: Awaitable[Sequence[Finding]], patience_s: float) -> Sequence[Finding]:
    """What the check finds; a fault where it takes longer than that, or fails itself."""
    try:
        return await within(check, patience_s)
    except asyncio.TimeoutError:
        said = f"no result within {patience_s:g} s"
        return [fault(name, said, "something below it hangs: a network mount, a driver, a name server; see `dmesg`")]
    except (ClownfishError, OSError) as error:
        return [fault(name, str(error), "mend what is said there, and ask the doctor again")]
    except Exception as error:  # the other checks are worth hearing all the same
        return [
            fault(name, f"the check itself failed: {error!r}", "that is a mistake of Clownfish's: please report it")
        ]


async def end(child: asyncio.subprocess.Process) -> None:
    """Kill a child that still runs. One that hangs in a driver dies when that lets go; nobody waits for it."""
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        with contextlib.suppress(asyncio.TimeoutError):
            await within(child.wait(), _DYING_S)


async def in_thread(work: Callable[[], T]) -> T:
    """Run what may hang in a daemon thread of its own: abandoned, it holds neither the loop nor the end up."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def finish(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except BaseException as error:  # it is raised where it is waited for
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(finish, result, failure)

    threading.Thread(target=run, daemon=True).start()
    return await done
