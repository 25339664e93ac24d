"""worker, with the test as its router."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import services.worker
from clownfish.bus import Router
from clownfish.codecs.raw import Raw
from clownfish.errors import ModelError
from clownfish.process import Process
from clownfish.protocol import Again, Done, Goodbye, Job, Progress, Pulse, Ready
from tests.graph.harness import Endpoints, cloud_tree, until
from tests.own_model import HANGS, POISON, Noting
from tests.services.harness import Collector, neighbour, serving

MODEL = "tests.own_model:Noting"
DARK, BRIGHT = 10, 190
RAW = Raw()


def job(number: int, colour: int = DARK, deadline_ms: int = 60_000, frames: int = 16) -> Job:
    """A window of one colour."""
    data = RAW.encode(np.full((16, 16, 3), colour, np.uint8))
    places = tuple([0] * frames)
    return Job(number, ("raw",) * frames, places, tuple(range(frames)), 16, 16, deadline_ms, (data,) * frames)


@dataclass
class Pool:
    """The worker's router."""

    process: Process
    router: Router
    said: Collector

    def tell(self, *messages: object) -> None:
        """To the newest of its sockets."""
        peer, _ = self.said.messages[-1]
        for message in messages:
            assert self.router.try_send(peer, message)

    def heard(self, kind: type) -> list[object]:
        return [message for _, message in self.said.messages if isinstance(message, kind)]

    @property
    def done(self) -> dict[int, Done]:
        return {message.job: message for message in self.heard(Done) if isinstance(message, Done)}

    @property
    def decoded(self) -> float:
        self.process.publish()
        return self.process.counters.gauges()["decoded"]

    async def ready(self, count: int = 1) -> None:
        await until(lambda: len(self.heard(Ready)) >= count, f"READY number {count}", 20)

    async def answers(self, *jobs: int) -> list[Done]:
        await until(lambda: set(jobs) <= set(self.done), f"{jobs} are done, not {list(self.done)}", 20)
        return [self.done[each] for each in jobs]


@asynccontextmanager
async def pool(run_dir: Path, **worker: object) -> AsyncIterator[Pool]:
    tree = cloud_tree(run_dir, MODEL, Endpoints.ipc(run_dir))
    tree["worker"] |= worker
    async with neighbour() as bus:
        kinds = (Ready, Progress, Done, Goodbye)
        router = bus.router(Endpoints.ipc(run_dir).workers, "workers", kinds, max_bytes=1 << 20, insecure=False)
        async with serving("worker", tree, "0") as process:
            it = Pool(process, router, Collector(router))
            await it.ready()
            try:
                yield it
            finally:
                Noting.release.set()
        it.said.close()


async def test_jobs_that_wait_while_the_model_works_share_its_next_run(run_dir: Path) -> None:
    async with pool(run_dir, batch=4) as it:
        assert it.heard(Ready) == [Ready("worker-0", "noting", Noting.classes, 8)]
        it.tell(job(1, HANGS))
        await until(Noting.hanging.is_set, "the first is in work")
        it.tell(*(job(n, BRIGHT if n % 2 else DARK) for n in range(2, 8)))
        await until(lambda: it.decoded == 6, "the others are decoded")
        Noting.release.set()
        answers = await it.answers(*range(1, 8))
        assert [int(np.argmax(done.p)) for done in answers] == [2, 0, 2, 0, 2, 0, 2]
        assert Noting.batches == [[HANGS], [10, 190, 10, 190], [10, 190]]
        assert it.process.counters.get('batch_size{jobs="3-4"}') == 1


async def test_a_batch_waits_for_others_no_longer_than_it_may(run_dir: Path) -> None:
    async with pool(run_dir, batch=4, batch_wait_ms=800.0) as it:
        it.tell(job(0))
        await it.answers(0)
        it.tell(job(1), job(2))
        await it.answers(1, 2)
        it.tell(*(job(n) for n in range(3, 7)))
        await it.answers(3, 4, 5, 6)
        assert list(map(len, Noting.batches)) == [1, 2, 4]


async def test_a_job_that_cannot_be_decoded_or_is_late_fails_alone(run_dir: Path) -> None:
    async with pool(run_dir, batch=4, batch_wait_ms=200.0) as it:
        it.tell(job(0))
        await it.answers(0)
        broken = Job(2, ("raw",) * 16, (0,) * 16, tuple(range(16)), 16, 16, 60_000, (b"short",) * 16)
        it.tell(job(1), broken, job(3, frames=15), job(4, deadline_ms=0), job(5, BRIGHT))
        answers = await it.answers(1, 2, 3, 4, 5)
        assert [done.p.size for done in answers] == [3, 0, 0, 0, 3]
        assert "15 frames in a window; this model expects 16" in answers[2].error
        assert answers[3].error == "expired"
        assert it.process.counters.get('dropped{reason="undecodable"}') == 2


async def test_a_window_that_the_model_cannot_take_costs_no_other_its_answer(run_dir: Path) -> None:
    async with pool(run_dir, batch=4, batch_wait_ms=1000.0) as it:
        it.tell(job(0))
        await it.answers(0)
        it.tell(job(1), job(2, POISON), job(3), job(4, BRIGHT))
        answers = await it.answers(1, 2, 3, 4)
        assert [done.p.size for done in answers] == [3, 0, 3, 3]
        assert answers[1].error == "a window that this model cannot take"
        assert Noting.batches[1] == [DARK, POISON, DARK, BRIGHT]


async def test_a_worker_given_up_is_ready_again_only_when_its_model_has_returned(run_dir: Path) -> None:
    async with pool(run_dir, batch=1) as it:
        it.tell(job(1, HANGS), job(2))
        await until(Noting.hanging.is_set, "the first is in work")
        it.tell(Again("evicted: hung"))
        peer, _ = it.said.messages[-1]
        await until(lambda: not it.router.try_send(peer, Pulse(0)), "its socket is closed", 20)
        assert len(it.heard(Ready)) == 1
        Noting.release.set()
        await it.ready(2)
        it.tell(job(2, BRIGHT))
        (answer,) = await it.answers(2)
        assert int(np.argmax(answer.p)) == 2, "the job of this number that it was given last"
        assert 1 not in it.done, "nobody waits for it any more"
        it.process.publish()
        assert it.process.counters.get('dropped{reason="unwanted"}') == 1


def _serves() -> bool:
    """Whether a service is at its work in this loop."""
    return any("serve" in task.get_coro().__qualname__ for task in asyncio.all_tasks())  # type: ignore[union-attr]


async def hang(run_dir: Path) -> None:
    async with pool(run_dir) as it:
        it.tell(job(1, HANGS))
        await until(Noting.hanging.is_set, "it is in work")
        it.tell(Again("evicted: hung"))
        await until(lambda: not _serves(), "the process ends, and says why as the test leaves it", 20)


async def test_a_model_that_never_returns_ends_the_process(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services.worker, "_HUNG_S", 0.2)
    with pytest.raises(ModelError, match=r"has not returned from a batch for more than 0\.2 s"):
        await hang(run_dir)
