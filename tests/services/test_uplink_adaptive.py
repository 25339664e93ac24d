"""uplink with `adaptive` or `in_flight = "measured"`, with the test as its router."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clownfish.errors import ConfigError
from clownfish.ladder import Ladder, Rung, Way, tree_of
from clownfish.messages import Pace
from clownfish.protocol import Answer, Credit, FrameData, Frames, Missing, Ping, WindowRequest
from tests.graph.harness import Material, until
from tests.services.harness import Collector, neighbour
from tests.services.test_uplink import Cloud, P, cloud, window

HALF, WHOLE = Way("jpeg", (("quality", 30),), 0.5), Way("png")
LADDER = Ladder(
    (0.0, 4.0),
    (
        Rung(Pace(0.5, 2, 0, 60), HALF, 1_000, 5_000, (0.05, 0.04), 0.05),
        Rung(Pace(0.99, 0, 1, 60), WHOLE, 2_000, 5_000, (0.3, 0.2), 0.3),
    ),
)


def ladder(folder: Path) -> str:
    path = folder / "ladder.json"
    path.write_text(json.dumps(tree_of(LADDER)))
    return str(path)


def frames_of(it: Cloud) -> list[FrameData]:
    """One by one, however they travelled."""
    return [
        FrameData(sent.stream, sent.epoch, n, run, place, sent.codec, sent.width, sent.height, data)
        for _, message in it.data.messages
        if isinstance(message, FrameData | Frames)
        for sent in [message.together]
        for n, run, place, data in zip(sent.numbers, sent.runs, sent.places, sent.data, strict=True)
    ]


async def test_measured_keeps_one_window_before_another_whatever_the_credit(
    run_dir: Path, local_only: Material
) -> None:
    async with cloud(run_dir, local_only, in_flight="measured") as it:
        await it.hello()
        it.tell(Credit(9, 1 << 20, 3000))
        for t in range(0, 24, 6):
            await it.windows.put(window(t))
        requests = await it.requests(2)
        pings = len(it.heard(Ping))
        await until(lambda: len(it.heard(Ping)) >= pings + 2, "a second passes", 20)
        assert len(it.received(WindowRequest)) == 2, "neither was answered: where they are is not known"
        it.tell(Answer(*requests[0].key, P, "large", 1.0))
        await it.requests(3)


async def test_only_the_credit_that_answers_a_ping_tells_a_round_trip(run_dir: Path, local_only: Material) -> None:
    async with cloud(run_dir, local_only, in_flight="measured") as it:
        await it.hello()
        await until(lambda: bool(it.heard(Ping)), "a beat", 20)
        it.tell(Credit(9, 1 << 20, 60_000))  # as after an answer: it may come at any time
        it.tell(Credit(9, 1 << 20, 60_000, 999))  # of a Ping that was never sent
        answered: set[int] = set()

        def rtt_ms() -> float:
            it.process.publish()
            return it.process.counters.gauges()["link_rtt_ms"]

        def answer_pings() -> bool:
            for ping in it.heard(Ping):
                assert isinstance(ping, Ping)
                if ping.sequence not in answered:
                    answered.add(ping.sequence)
                    it.tell(Credit(9, 1 << 20, 60_000, ping.sequence))
            return rtt_ms() > 0

        pings = len(it.heard(Ping))
        await until(lambda: len(it.heard(Ping)) > pings, "both have been heard by now", 20)
        assert rtt_ms() == 0
        await until(answer_pings, "its own number tells", 20)


async def test_a_setting_changes_codec_and_size_and_all_frames_of_a_window_are_of_one(
    run_dir: Path, local_only: Material
) -> None:
    adaptive = {"ladder": ladder(run_dir), "rise_s": 0.0}
    async with cloud(run_dir, local_only, adaptive=adaptive) as it, neighbour() as bus:
        paces = Collector(bus.inbox(it.process.config.ipc("filter-pace"), "paces", (Pace,)))
        await it.hello()
        it.tell(Credit(9, 1 << 20, 60_000))
        await it.windows.put(window(0))
        (first,) = await it.requests(1)
        assert {(frame.codec, frame.width) for frame in frames_of(it)} == {("jpeg", 16)}
        it.tell(Answer(*first.key, P, "large", 1.0))
        await until(lambda: it.process.counters.get("setting_changes") == 1, "a link without a limit: more is sent", 20)
        await until(lambda: LADDER.rungs[1].pace in paces.messages, "the filter is told", 20)
        before = len(frames_of(it))
        await it.windows.put(window(1))
        await it.requests(2)
        second = frames_of(it)[before:]
        assert [frame.n for frame in second] == list(range(4, 20)), "those that the router has are of another size"
        assert {(frame.codec, frame.width) for frame in second} == {("png", 32)}
        it.tell(Missing("cam", 7, 1, (4,)))
        await it.requests(3)
        last = frames_of(it)[before + 16 :]
        assert [(frame.n, frame.codec, frame.width) for frame in last] == [(4, "png", 32)]
        runs = [(frame.run, frame.place) for frame in frames_of(it)]
        assert len(runs) == len(set(runs)), "no run's number is used twice"
        paces.close()


async def test_what_is_over_the_allowance_is_dropped_and_counted(
    run_dir: Path, local_only: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(run_dir / "state"))
    adaptive = {"ladder": ladder(run_dir), "gb_month": 1e-6}  # a thousand bytes
    async with cloud(run_dir, local_only, adaptive=adaptive) as it:
        await it.hello()
        it.tell(Credit(9, 1 << 20, 60_000))
        await it.windows.put(window(0))
        await it.requests(1)
        await it.windows.put(window(6))
        name = 'dropped{reason="over_allowance"}'

        def counted() -> bool:
            it.process.publish()
            return it.process.counters.get(name) == 1

        await until(counted, "the month is used up", 20)
        assert len(it.received(WindowRequest)) == 1


@pytest.mark.parametrize(
    ("rungs", "says"), [(None, "cannot be read"), ([], "a ladder needs rungs"), ("gif", "unknown codec 'gif'")]
)
async def test_a_ladder_that_cannot_be_used_is_said_at_the_start(
    run_dir: Path, local_only: Material, rungs: object, says: str
) -> None:
    path = run_dir / "bad.json"
    tree = tree_of(LADDER)
    if rungs == "gif":
        tree["rung"][0]["codec"] = "gif"
    elif rungs is not None:
        tree["rung"] = rungs
    path.write_text(json.dumps(tree) if rungs is not None else "no json")
    with pytest.raises(ConfigError, match=says):
        async with cloud(run_dir, local_only, adaptive={"ladder": str(path)}):
            pass
