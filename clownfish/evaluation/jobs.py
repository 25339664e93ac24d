"""Dumping many streams: one after the other, or side by side in processes of their own."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.queues import SimpleQueue
from pathlib import Path

import numpy as np

from clownfish.errors import DatasetError
from clownfish.evaluation.dump import dump_path
from clownfish.evaluation.recorder import Recorder, RecordSettings
from clownfish.sources.truth import Truth

OnProgress = Callable[[str, int], None]
"""Called with (source, t) after each window."""

_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Dumped:
    """One stream's dump, and what it took."""

    source: str
    path: Path
    windows: int
    frames: int
    how: str
    computed: int
    """Windows that models ran over, now."""
    seconds: float

    def __str__(self) -> str:
        rate = f", {self.computed / self.seconds:.1f} windows/s" if self.computed else ""
        size = self.path.stat().st_size / 1e6
        return f"{self.source}: {self.windows} windows of {self.frames} frames, {size:.1f} MB, {self.how}{rate}"


def dump_all(
    settings: RecordSettings,
    folder: Path,
    sources: Mapping[str, Truth | None],
    jobs: int = 1,
    on_progress: OnProgress = lambda source, t: None,
) -> Iterator[Dumped]:
    """The dump of each source, as they are done; `jobs` processes, each with models of its own and one torch thread.

    What is there already is not made again. Raises what `Recorder.dump` raises, then without finishing the others; what
    they had is kept and gone on from.
    """
    if jobs == 1 or len(sources) == 1:
        recorder = Recorder(settings, folder)
        for source, truth in sources.items():
            yield _dumped(recorder, source, truth, on_progress)
        return
    context = multiprocessing.get_context("spawn")
    events: SimpleQueue[tuple[str, int]] = context.SimpleQueue()
    pool = ProcessPoolExecutor(min(jobs, len(sources)), context, _begin, (settings, folder, events))
    try:
        todo: set[Future[Dumped]] = {pool.submit(_work, source, truth) for source, truth in sources.items()}
        while todo:
            done, todo = wait(todo, _POLL_S, FIRST_COMPLETED)
            while not events.empty():
                on_progress(*events.get())
            for job in done:
                yield job.result()
    except BrokenProcessPool as error:
        raise DatasetError(
            "a process that was making a dump is gone (killed, or out of memory); run the command again: it goes on "
            "where they stopped"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _dumped(recorder: Recorder, source: str, truth: Truth | None, on_progress: OnProgress) -> Dumped:
    seen: list[int] = []

    def on_window(t: int) -> None:
        seen.append(t)
        on_progress(source, t)

    began = time.perf_counter()
    dump = recorder.dump(source, on_window, truth)
    seconds = time.perf_counter() - began
    how = "was there"
    if seen:
        how = "made" if seen[0] == 0 else f"gone on from window {seen[0]}"
    if seen and np.isnan(dump.local_ms).all():
        how = "brought up to date"
    path = dump_path(recorder.folder, dump.header)
    return Dumped(source, path, dump.windows, dump.frames, how, len(seen), seconds)


# -- in a process of the pool

_recorder: Recorder | None = None
_events: SimpleQueue[tuple[str, int]] | None = None


def _begin(settings: RecordSettings, folder: Path, events: SimpleQueue[tuple[str, int]]) -> None:
    global _recorder, _events
    os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is imported, which comes later
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    _recorder, _events = Recorder(settings, folder), events


def _leave_with_parent() -> None:
    """A killed command must leave no process behind that waits for work, and holds a journal, for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # this is a process of a pool
    parent.join()
    os._exit(1)


def _work(source: str, truth: Truth | None) -> Dumped:
    assert _recorder is not None  # _begin ran
    assert _events is not None
    events = _events
    return _dumped(_recorder, source, truth, lambda source, t: events.put((source, t)))
