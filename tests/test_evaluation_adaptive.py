"""Adaptive sending in replay: profiles as traces, the paced link, ladders, and the comparison."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clownfish.adaptation import read_ladder
from clownfish.allowance import Allowance
from clownfish.errors import ConfigError
from clownfish.evaluation.adaptive import ADAPTIVE, Adapting, compute, draw
from clownfish.evaluation.dump import Dump
from clownfish.evaluation.ladders import learn, name_of, policy_of, pruned, write_ladder
from clownfish.evaluation.paced import Paced, PacedLink
from clownfish.evaluation.paper.sweep import Stream
from clownfish.evaluation.profiles import UNLIMITED_MBIT, rows_of_profile
from clownfish.evaluation.replay import replay
from clownfish.evaluation.trace import Trace
from clownfish.ladder import Ladder, Rung, Way
from clownfish.messages import Pace
from clownfish.pacing import Pacer
from clownfish.settings import FusionSection
from clownfish.sources.truth import Context, Truth
from tests.test_evaluation_replay import made, random_rho

SMALL, LARGE = Way("jpeg", (("quality", 30),)), Way("png")
PACES = (Pace(1e-6, 0, 0, 10), Pace(1e-6, 0, 0, 2))
LADDER = Ladder(
    (0.0, 1.0),
    (
        Rung(PACES[0], SMALL, 200.0, 400.0, (0.1, 0.05), 0.1),
        Rung(PACES[1], SMALL, 1500.0, 400.0, (0.2, 0.1), 0.2),
        Rung(PACES[1], LARGE, 15000.0, 4000.0, (0.3, 0.1), 0.3),
    ),
)


def a_stream(windows: int = 400, seed: int = 0) -> tuple[Stream, np.ndarray, dict[str, dict[Way, object]]]:
    """Frames of 100 to 200 bytes, of 1000 to 2000 as PNG; a remote model that is right, where it sees PNG."""
    dump = made(windows, seed)
    frames = dump.frames
    contexts = tuple(
        Context(n, min(n + 40, frames), f"class {n // 40 % 3}") for n in range(0, frames - 20, 40)
    )  # fmt: skip
    truth = Truth(contexts)
    right = np.eye(3, dtype=np.float32)[[(2 * t + 2) // 40 % 3 for t in range(windows)]] * 0.9 + 0.1 / 3
    large = dataclasses.replace(dump, p_remote=right, frame_bytes=dump.frame_bytes * 10)
    views = {dump.header.stream: {SMALL: dump, LARGE: large}}
    return Stream("made", dump, truth), random_rho(dump, seed), views


def test_a_profile_that_never_changes_is_one_row() -> None:
    assert rows_of_profile("capped-5") == ((0.0, 0.0, 5.0),)
    assert rows_of_profile("intercontinental") == ((0.0, 153.0, UNLIMITED_MBIT),)
    assert rows_of_profile("dead") == ((0.0, 0.0, 0.0),)


def test_phases_and_outages_repeat_for_an_hour() -> None:
    rows = rows_of_profile("flaky")
    assert [(t_s, rate > 0) for t_s, _, rate in rows[:4]] == [(0, True), (27, False), (30, True), (57, False)]
    assert rows[-1][0] >= 3560
    assert [(t_s, rate) for t_s, _, rate in rows_of_profile("abca")[:3]] == [(0, UNLIMITED_MBIT), (60, 7.5), (120, 5)]


def test_loss_bounds_what_one_connection_gets() -> None:
    rate = rows_of_profile("flaky")[0][2]
    assert rate == pytest.approx(8e-6 * 1448 / 0.060 * (1.5 / 0.02) ** 0.5)
    assert rate < 4


def test_a_trace_takes_a_profile_by_name() -> None:
    assert Trace(profile="lte").rows == rows_of_profile("lte")
    with pytest.raises(ConfigError, match="unknown network profile 'moon'"):
        Trace(profile="moon")
    with pytest.raises(ValueError, match=r"expected path=FILE\.csv, or profile"):
        Trace("a.csv", profile="lte")


@given(
    seed=st.integers(0, 10**6),
    rate_mbit=st.sampled_from([0.0, 0.002, 0.01, 0.1, 5.0]),
    rtt_ms=st.floats(0, 300),
    allowed=st.sampled_from([None, 0.001, 0.1]),
    loss=st.sampled_from([0.0, 0.3]),
)
@settings(max_examples=40, deadline=None)
def test_whatever_the_link_every_window_is_answered_once_or_dropped_for_a_reason(
    seed: int, rate_mbit: float, rtt_ms: float, allowed: float | None, loss: float
) -> None:
    stream, rho, views = a_stream(120, seed)
    trace = Trace(rate_mbit=rate_mbit, rtt_ms=rtt_ms, loss=loss)
    network = Paced(trace, lambda: Pacer(LADDER, Allowance(allowed)), views)  # type: ignore[arg-type]
    result = replay(stream.dump, rho, lambda: policy_of(PACES[0]), network)
    # what was sent into a link that is dead for ever is dropped when its time is out, too
    assert len(result.sent) == len(result.lags) + result.late + sum(result.drops.values())
    again = replay(stream.dump, rho, lambda: policy_of(PACES[0]), network)
    assert (again.sent == result.sent).all()
    assert (again.final == result.final).all()


def test_a_link_that_narrows_is_sent_less_and_fresher_answers_than_a_fixed_setting_gives() -> None:
    stream, rho, views = a_stream(900)
    trace = Trace(rate_mbit=0.06, rtt_ms=20.0)
    fixed = Ladder((0.0,), (Rung(PACES[1], LARGE, 1.0, 1.0, (0.0,), 0.0),))
    stays = replay(
        stream.dump, rho, lambda: policy_of(PACES[1]), Paced(trace, lambda: Pacer(fixed), views, adaptive=False)  # type: ignore[arg-type]
    )  # fmt: skip
    adapts = replay(stream.dump, rho, lambda: policy_of(PACES[1]), Paced(trace, lambda: Pacer(LADDER), views))  # type: ignore[arg-type]
    assert np.quantile(adapts.lags, 0.95) < np.quantile(stays.lags, 0.95)
    assert adapts.wire_bytes < stays.wire_bytes


def test_as_much_is_asked_over_a_link_with_outages_as_over_one_without(tmp_path: Path) -> None:
    """Where less was asked in them and after them, live answers were worse than a fixed setting's."""
    stream, rho, views = a_stream(1800)
    seconds = stream.dump.frames / stream.dump.header.fps
    rows = [(30 * n + at, rate) for n in range(int(seconds / 30) + 1) for at, rate in ((0, 1.0), (27, 0.0))]
    path = tmp_path / "outages.csv"
    path.write_text("t_s,rtt_ms,rate_mbit\n" + "".join(f"{at},60,{rate}\n" for at, rate in rows), encoding="utf-8")
    asked = {}
    for trace in (Trace(str(path)), Trace(rtt_ms=60.0, rate_mbit=1.0)):
        network = Paced(trace, lambda: Pacer(LADDER), views)  # type: ignore[arg-type]
        result = replay(stream.dump, rho, lambda: policy_of(PACES[0]), network)
        asked[len(trace.rows) > 1] = len(result.sent)
    assert asked[True] >= 0.98 * asked[False]


class Kept(Paced):
    """With the link that it has opened."""

    link: PacedLink

    def open(self, dump: Dump) -> PacedLink:
        self.link = PacedLink(self, dump)
        return self.link


@pytest.mark.parametrize("rate_mbit", [0.05, 0.1, 0.2])
@pytest.mark.parametrize("rtt_ms", [3.0, 153.0])
def test_over_a_link_that_is_never_empty_no_more_than_a_window_is_before_another(
    rate_mbit: float, rtt_ms: float
) -> None:
    """Pings wait behind windows there, and the queue is not to be taken for the path."""
    stream, rho, views = a_stream(600)
    fixed = Ladder((0.0,), (Rung(PACES[1], LARGE, 1.0, 1.0, (0.0,), 0.0),))
    network = Kept(Trace(rate_mbit=rate_mbit, rtt_ms=rtt_ms), lambda: Pacer(fixed), views, adaptive=False)  # type: ignore[arg-type]
    replay(stream.dump, rho, lambda: policy_of(PACES[1]), network)
    one_s = max(alone - rtt_ms / 2000 for _, alone in network.link.ages)
    assert len(network.link.ages) > 10
    assert all(age - alone <= rtt_ms / 2000 + one_s + 0.002 for age, alone in network.link.ages)


def test_the_answer_is_that_for_the_picture_that_was_sent() -> None:
    stream, rho, views = a_stream(200)
    wide = Trace(rate_mbit=100.0, rtt_ms=1.0)
    results = {}
    for way in (SMALL, LARGE):
        fixed = Ladder((0.0,), (Rung(PACES[1], way, 1.0, 1.0, (0.0,), 0.0),))
        network = Paced(wide, lambda fixed=fixed: Pacer(fixed), views, adaptive=False)  # type: ignore[misc,arg-type]
        results[way] = replay(stream.dump, rho, lambda: policy_of(PACES[1]), network)
        direct = replay(views[stream.dump.header.stream][way], rho, lambda: policy_of(PACES[1]), 0)  # type: ignore[arg-type]
        assert (results[way].final == direct.final).all()
        assert results[way].wire_bytes == direct.wire_bytes
    assert (results[SMALL].final != results[LARGE].final).any()


def test_what_others_beat_or_gains_nothing_is_no_rung() -> None:
    base = LADDER.rungs[0]
    worse = dataclasses.replace(base, bytes_per_s=300.0)
    useless = dataclasses.replace(base, bytes_per_s=10.0, live=(-0.1, -0.1), final=-0.1)
    assert pruned([worse, base, base, useless, *LADDER.rungs[1:]]) == LADDER.rungs
    with pytest.raises(ConfigError, match="no setting gains anything"):
        pruned([useless])


def test_a_ladder_is_learnt_kept_and_compared_with_every_fixed_setting(tmp_path: Path) -> None:
    stream, rho, views = a_stream(400)
    fusion = FusionSection()
    ladder = learn([stream], [rho], views, fusion, PACES, (SMALL, LARGE), (0, 2))  # type: ignore[arg-type]
    write_ladder(tmp_path / "ladder.json", ladder, "a test")
    kept = read_ladder(str(tmp_path / "ladder.json"))
    assert [rung.way for rung in kept.rungs] == [rung.way for rung in ladder.rungs]
    assert any(rung.way == LARGE for rung in kept.rungs), "the remote model is right where it sees PNG"
    rows = compute(
        [stream], [rho], views, kept, fusion, ["capped-5"], (Adapting(0.0), Adapting(0.0, 0.01)), PACES, (SMALL, LARGE)  # type: ignore[arg-type]
    )  # fmt: skip
    assert len(rows) == 6
    free, bounded = (row for row in rows if row.setting.startswith(ADAPTIVE))
    assert bounded.mbit_s < free.mbit_s
    best = max(row.live for row in rows if not row.setting.startswith(ADAPTIVE))
    assert free.live >= best - 0.05
    assert draw(rows) is not None


def test_paces_are_named_as_people_know_them() -> None:
    assert name_of(PACES[0]) == "n_w=10"
    assert name_of(Pace(0.9, 2, 0, 60)) == "drift 0.9 2 0"


def test_a_ladder_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"uplink\.adaptive\.ladder: .*missing\.json: cannot be read"):
        read_ladder(str(tmp_path / "missing.json"))
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(ConfigError, match="is no ladder"):
        read_ladder(str(tmp_path / "list.json"))
