"""The bench: its pieces run on tiny counts and add up. What they measure is not judged here: no timing is asserted."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from clownfish import zoo
from clownfish.errors import ClownfishError, ModelError
from clownfish.evaluation.replay import replay
from clownfish.filters.context_aware import ContextAware
from clownfish.lab import rpc
from clownfish.lab.bench import BenchOptions, Effort, bench, on_cores
from clownfish.lab.cores import divided
from clownfish.lab.fickle import fickle_lines
from clownfish.lab.figures import Figure, Line, Use, batches, figures_table, latencies, numbers, use_table
from clownfish.lab.free import FreeModel
from clownfish.lab.fusion_cost import CLASSES, LAGS, filled, fusion_lines, vectors
from clownfish.lab.graph import Sample
from clownfish.lab.hostile import hostile_lines
from clownfish.lab.overhead import EDGE, answer_all
from clownfish.lab.pool_cost import _line, _ways
from clownfish.lab.replay_cost import NETWORKS, drawn_dump, replay_lines
from clownfish.lab.router_cost import router_lines
from clownfish.lab.streams import FREE, decoding_share, largest, try_streams
from clownfish.lab.workload import HEIGHT, SIZE, STRIDE, WIDTH, Pair, draw_clip, graph, pick_pair, read_windows
from clownfish.messages import Pixels
from clownfish.models.load import load_model
from clownfish.zoo import read_classes
from tests.graph import harness

TINY = Effort(fusion_repeats=1, fusion_calls=2, settle_s=1.0, graph_s=2.0, streams_s=2.0, resolution=1.0)


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with room for sockets, whose paths may have a hundred bytes."""
    path = harness.folder()
    yield path
    harness.remove(path)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    return draw_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", 2.0)


# -- figures -----------------------------------------------------------------------------------------------------------


def test_a_line_shows_its_yardstick_and_the_ratio() -> None:
    line = Line("fuse", Figure(30.0, "µs", (("min", 28.0), ("max", 33.0))), "numpy", Figure(3.0, "µs"))
    console = Console(width=160, record=True, quiet=False, file=Path("/dev/null").open("w"))  # noqa: SIM115
    console.print(figures_table([line]))
    console.print(use_table([Use("edge", "window", 0.02, 46.0)]))
    text = console.export_text()
    console.file.close()
    assert "30 µs (min 28, max 33)" in text
    assert "10×" in text
    assert "2.0" in text


def test_batches_are_summed_up_by_median_and_range_and_latencies_by_percentiles() -> None:
    assert batches([3e-6, 1e-6, 2e-6]) == Figure(pytest.approx(2.0), "µs", (("min", 1.0), ("max", 3.0)))
    assert latencies(np.arange(1, 101) * 1e6) == Figure(50.0, "ms", (("p99", 99.0),))


def test_a_yardstick_of_nothing_has_no_ratio_and_all_numbers_are_json() -> None:
    line = Line("a", Figure(1.0, "ms"), "b", Figure(0.0, "ms"))
    assert line.ratio is None
    written = json.loads(json.dumps(numbers([line], [Use("r", "p", 0.1, 1.0)], {"cores": 2})))
    assert written["lines"][0]["ratio"] is None
    assert written["settings"] == {"cores": 2}


# -- fusion ------------------------------------------------------------------------------------------------------------


def test_replay_costs_a_small_multiple_of_fuse_over_every_network() -> None:
    """10,000 windows a second are seven times FUSE where that was measured; a slow machine is slow at both."""
    lines = replay_lines(repeats=3)
    assert len(lines) == len(NETWORKS)
    for line in lines:
        assert 0 < dict(line.measured.spread)["min"] < 7 * line.reference.value, line
        assert "windows a second on one core" in line.note


def test_the_stream_that_replay_is_measured_on_is_sent_and_answered_in_part() -> None:
    dump, rho = drawn_dump(400, CLASSES[0])
    result = replay(dump, rho, ContextAware, 8)
    assert 400 / 6 < len(result.sent) < 200, "by period and at rises"
    assert len(result.lags) == len(result.sent)
    assert result.revisions > len(result.sent)


def test_fusion_is_measured_at_every_number_of_classes_and_lag() -> None:
    lines = fusion_lines(repeats=1, calls=2)
    assert len(lines) == len(CLASSES) * (1 + len(LAGS))
    assert all(line.measured.value > 0 and line.reference.value > 0 for line in lines)


@pytest.mark.parametrize("lag", LAGS)
def test_the_measured_reinforce_replays_every_window_since(lag: int) -> None:
    fusion = filled(list(vectors(9, 64)))
    assert len(fusion.reinforce(63 - lag, np.eye(9)[0])) == lag + 1


# -- windows and the yardsticks ----------------------------------------------------------------------------------------


def test_windows_of_the_drawn_clip_are_those_that_the_graph_forms(clip: str) -> None:
    windows = read_windows(clip, 5)
    assert [len(window) for window in windows] == [SIZE] * 5
    assert windows[0][0].shape == (HEIGHT, WIDTH, 3)
    assert windows[1][0] is windows[0][STRIDE]


def test_a_video_shorter_than_one_window_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ClownfishError, match="has 3 frames; the bench needs 16"):
        read_windows(draw_clip(tmp_path / "short.mp4", 0.1), 5)


def test_without_a_zoo_the_pair_has_random_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo, "names", list)
    pair = pick_pair(tmp_path)
    assert read_classes(pair.local) == read_classes(pair.remote)
    assert load_model(pair.local).window_size == SIZE


def test_a_request_brings_the_very_same_pixels(clip: str) -> None:
    window = read_windows(clip, 1)[0]
    assert np.array_equal(rpc.unpack(rpc.pack(window)), window)


def test_a_server_that_does_not_start_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("grpc")
    with pytest.raises(ClownfishError, match=r"clownfish\.lab\.rpc nowhere printed ''"), rpc.served("nowhere"):
        pass


def test_each_window_is_answered_once_after_one_to_warm_up() -> None:
    asked: list[int] = []
    windows: list[list[Pixels]] = [[np.full((1, 1, 3), i, np.uint8)] for i in range(3)]

    def answer(window: list[Pixels]) -> int:
        asked.append(int(window[0][0, 0, 0]))
        return 7

    answered = answer_all(windows, answer, period_s=0.001)  # type: ignore[arg-type]
    assert asked == [0, 0, 1, 2]
    assert answered.model_ns.tolist() == [7, 7, 7]
    assert (answered.total_ns > 0).all()


# -- streams -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 7, 8, 20])
def test_the_largest_number_that_holds_is_found(limit: int) -> None:
    assert largest(lambda n: n <= limit, most=64, resolution=0) == limit


def test_the_search_stops_at_its_most_and_within_its_resolution() -> None:
    tried: list[int] = []

    def holds(n: int) -> bool:
        tried.append(n)
        return n <= 20

    assert largest(holds, most=16, resolution=0) == 16
    assert max(tried) == 16
    tried.clear()
    assert largest(holds, most=64, resolution=0.5) == 16  # 24 fails; 16 to 24 is half of 16
    assert tried == [1, 2, 4, 8, 16, 32, 24]


def test_a_sample_names_what_was_lost_where_it_was_asked_for() -> None:
    sample = Sample(
        counters={
            "window": {'dropped{socket="local",reason="full"}': 2, "windows": 9},
            "local": {"windows_skipped": 0},
            "router": {'dropped{reason="expired"}': 1},
        }
    )
    assert sample.lost(("window", "local")) == {'window dropped{socket="local",reason="full"}': 2}
    with pytest.raises(ClownfishError, match="fusion published no 'graph_overhead'"):
        sample.latency("fusion", "graph_overhead")


def test_decoding_alone_costs_something_also_beyond_the_end_of_the_clip(clip: str) -> None:
    assert decoding_share(clip, streams=2, frames=70) > 0


def test_the_free_model_plugs_in_as_a_users_own() -> None:
    assert read_classes(FREE) == FreeModel.classes
    model = load_model(FREE)
    inference = model.infer([[np.zeros((2, 2, 3), np.uint8)] * 16] * 3)
    assert inference.p.shape == (3, len(model.classes))
    assert inference.p.sum(axis=1) == pytest.approx(1)


class Unlike:
    """Answers other classes than its attribute promises."""

    classes = ("a", "b")
    window_size, name = 16, "unlike"

    def __init__(self) -> None:
        self.classes = ("b", "a")

    def infer(self, windows: object) -> None: ...


def bare() -> object:
    return object()


bare.classes = ("a", "b")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("no_such_module:Model", "cannot be imported"),
        ("clownfish.lab.free:NoSuch", "cannot be imported"),
        ("clownfish.lab.free:np", "`classes` are None"),
        (f"{__name__}:bare", "gives a object without 'name'"),
        (f"{__name__}:Unlike", r"answers \('b', 'a'\), but the attribute's classes are \('a', 'b'\)"),
    ],
)
def test_an_own_model_that_is_none_is_refused_with_the_reason(name: str, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        load_model(name)


@pytest.mark.graph
def test_a_stream_over_the_free_model_is_held_or_it_is_said_why_not(clip: str, short: Path) -> None:
    trial = try_streams(short, clip, streams=1, settle_s=1.5, sample_s=2.0)
    assert {use.process for use in trial.sample.uses} == {"sink-answers", "fusion", "local", "window", "capture"}
    assert trial.sample.counters["fusion"]["windows_answered"] > 0
    assert bool(trial.failure) == (bool(trial.sample.lost(EDGE)) or trial.sample.answered_per_s < 0.97 * 7.5)


def test_the_graph_with_a_cloud_has_all_nine_services(tmp_path: Path) -> None:
    config = graph(tmp_path, "x.mp4", Pair("local", "remote", "siminet"), streams=3, cloud=True)
    assert len(config.streams) == 3
    assert config.router is not None
    assert config.worker is not None
    assert config.worker.model == "remote"
    assert config.local is not None
    assert config.local.similarity.kind == "siminet"


# -- the whole ---------------------------------------------------------------------------------------------------------


def test_the_bench_keeps_to_the_parts_and_cores_that_were_asked_for() -> None:
    said: list[str] = []
    result = bench(BenchOptions(TINY, local=FREE, remote=FREE, cores=1, parts=("fusion",)), said.append)
    assert result.settings["cores"] == 1
    assert len(result.lines) == len(CLASSES) * (1 + len(LAGS))
    json.dumps(result.numbers())
    with on_cores(0) as cores:
        assert cores >= 1


@pytest.mark.graph
def test_a_router_behind_keys_stands_a_flood_of_hostile_messages() -> None:
    folder = harness.folder()  # sockets lie in it: a short path
    try:
        lines = hostile_lines(folder, 2000, 1.0, lambda text: None)
    finally:
        harness.remove(folder)
    answers, latency, *memory = lines
    assert answers.measured.value > 0
    assert latency.measured.value > 0
    assert "2 edges let in, 2 honest" in answers.note
    assert [line.what for line in memory[:2]] == ["the router's memory up to 100", "the router's memory up to 200"]
    assert "its growth" in memory[-2].what
    sent = int(memory[-1].note.partition(" sent")[0].rpartition(" ")[2])
    assert 2000 <= sent < 2200, "the attackers stop together"
    assert not re.search(
        r" 0 (read and dropped|without a sess|connections cut|handshakes fail|keys ref)", memory[-1].note
    )


@pytest.mark.graph
def test_an_uplink_has_many_sessions_with_a_router_that_does_not_stay() -> None:
    folder = harness.folder()
    try:
        lines = fickle_lines(folder, 30, lambda text: None)
    finally:
        harness.remove(folder)
    memory, _, descriptors, threads = lines
    assert int(memory.note.partition(" ")[0]) >= 30
    for lie in ("nonsense", "an answer", "a drop", "a frame missed"):
        assert f" 30 times {lie}" in memory.note
    for line in (descriptors, threads):
        [(_, last)] = line.reference.spread
        assert abs(last - line.reference.value) < 10, "a session leaves none"


@pytest.mark.graph
def test_a_router_is_measured_with_edges_and_workers_of_stubs(short: Path) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two cores")
    lines, uses = router_lines(short, 12, 0.5, lambda text: None)
    assert [line.measured.value > 0 for line in lines] == [True] * 4
    assert ["keys" in line.what for line in lines] == [True] * 4
    # at half load windows come by the clock: to an edge that stood still more than it has credit for
    assert all("dropped" in line.note for line in lines)
    dropped = [set(re.findall(r"\d+ (\w+)", line.note.partition("; dropped: ")[2].partition(";")[0])) for line in lines]
    assert dropped[::2] == [set(), set()]
    assert all(reasons <= {"overdrawn"} for reasons in dropped[1::2]), dropped
    assert len(uses) == 4


@pytest.mark.graph
def test_a_pool_is_measured_beside_the_bare_loop(clip: str, short: Path) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two cores")
    cores, others = divided()
    ours = next(_ways(short, FREE, 1, clip, read_windows(clip, 4), cores, others))
    line = _line(ours, FREE, 1, clip, cores, 0.6)
    assert 0 < line.measured.value < line.reference.value, "a model that costs nothing leaves the pool's own cost"


@pytest.mark.graph
def test_the_graph_is_measured_beside_the_call_and_the_loop(clip: str) -> None:
    pytest.importorskip("grpc")
    options = BenchOptions(TINY, source=clip, local=FREE, remote=FREE, cores=0, parts=("graph",))
    result = bench(options, lambda text: None)
    assert [line.what.partition(",")[0] for line in result.lines] == [
        "what the graph adds per window",
        "the model in the graph",
    ] * 2
    assert {use.process for use in result.uses if use.run == "edge and cloud"} >= {"router", "worker-0", "uplink"}
