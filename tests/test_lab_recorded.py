"""Recorded experiments: read as they were written, and what the figures of the network make of them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from clownfish.errors import DatasetError
from clownfish.evaluation.cli import eval_app
from clownfish.evaluation.paper import EXHIBITS, experiments, fig11, fig13, fig14, fig15, networks, table2
from clownfish.evaluation.paper.base import Unavailable
from clownfish.evaluation.paper.context import Context
from clownfish.evaluation.paper.data import DataSet
from clownfish.evaluation.recorder import RecordSettings
from clownfish.evaluation.sets import UCF9_VARIABLE, PairSettings
from clownfish.lab.recorded import read_recorded
from tests.lab_results import RATES, result, write_experiments, write_results

NETWORK = ("fig11", "fig12", "fig13", "fig14", "fig15", "networks", "table2")


def context_of(lab: Path | None) -> Context:
    """No models and no streams: the figures of the network need none."""
    data = DataSet("small", "Nothing", "small", {})
    return Context(data, PairSettings(RecordSettings("no", "no")), Path("no"), Path("no"), lab=lab)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    return context_of(write_experiments(tmp_path_factory.mktemp("lab")))


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = result("clownfish", "abca", 8)
    (read,) = read_recorded(write_results(tmp_path / "x.json", [written]))
    numbers = written.numbers()
    assert {
        name: getattr(read, name) for name in ("method", "profile", "backend", "n_w", "codec", "cpu", "accuracy")
    } == {name: numbers[name] for name in ("method", "profile", "backend", "n_w", "codec", "cpu", "accuracy")}
    assert read.answers == {0: 6, 2: 3, 16: 1}
    assert [part.rate_mbit for part in read.parts] == list(RATES)
    assert read.accuracy == {"live": 0.8, "final": 0.9}
    assert read.frames == 400
    assert (read.cpu_in_cloud(False), read.cpu_in_cloud(True)) == (0.375, 0.5625)


def test_what_was_interrupted_does_not_count(tmp_path: Path) -> None:
    stopped = result("clownfish", "lan")
    stopped.interrupted = True
    write_results(tmp_path / "a.json", [stopped])
    write_results(tmp_path / "b.json", [result("clownfish", "lan", right=(70, 70))])
    (read,) = read_recorded(tmp_path)
    assert read.accuracy["live"] == 0.7


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read"),
        ("{}", "is no list of results"),
        ("[3]", "is no list of results"),
        ('[{"method": "clownfish"}]', "result 0: profile: Field required"),
    ],
)
def test_a_file_that_the_lab_did_not_write_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(DatasetError, match=said) as raised:
        read_recorded(path)
    assert str(path) in str(raised.value)
    assert "record it anew" in str(raised.value)


def test_a_lag_that_is_no_number_is_named(tmp_path: Path) -> None:
    odd = result("clownfish", "lan")
    odd.lags = {"soon": 1}
    with pytest.raises(DatasetError, match="lags has 'soon'; expected numbers of windows"):
        read_recorded(write_results(tmp_path / "x.json", [odd]))


def test_an_experiment_recorded_twice_is_not_chosen_from_by_chance(tmp_path: Path) -> None:
    write_results(tmp_path / "a.json", [result("clownfish", "lan")])
    write_results(tmp_path / "b.json", [result("clownfish", "lan")])
    with pytest.raises(DatasetError, match=r"b\.json: clownfish in lan \(n_w 6, png\) is in .*a\.json, too"):
        read_recorded(tmp_path)
    assert len(read_recorded(tmp_path / "b.json")) == 1


@pytest.mark.parametrize("name", NETWORK)
@pytest.mark.parametrize("lab", [None, "nowhere", "nowhere.json"])
def test_where_nothing_was_recorded_the_figure_says_what_to_run(name: str, lab: str | None) -> None:
    with pytest.raises(
        Unavailable, match=r"no experiments recorded: run sudo deploy/netem/lab\.sh run configs/lab/fig1"
    ) as raised:
        EXHIBITS.get(name).compute(context_of(None if lab is None else Path(lab)))
    toml = str(raised.value).split()[7]
    assert (Path(__file__).parent.parent / toml).is_file()


@pytest.mark.parametrize("name", NETWORK)
def test_what_the_lab_recorded_is_drawn_without_the_streams(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(UCF9_VARIABLE, str(tmp_path / "nowhere"))
    lab, out = write_experiments(tmp_path / "lab"), tmp_path / "out"
    kind, number = ("table", name[5:]) if name.startswith("table") else ("figure", name.removeprefix("fig"))
    command = [kind, number, "--data", "ucf9", "--lab", str(lab), "--out", str(out)]
    result = CliRunner().invoke(eval_app, command, catch_exceptions=False)
    assert result.exit_code == 0
    assert (out / f"{name}.png").stat().st_size > 1000
    assert len((out / f"{name}.csv").read_text().splitlines()) > 1


def test_accuracies_of_other_streams_do_not_stand_side_by_side(tmp_path: Path) -> None:
    lab = write_results(tmp_path / "x.json", [result("clownfish", "lan"), result("edge-only", "lan", sources=("z",))])
    with pytest.raises(DatasetError, match="clownfish in lan was run on a, b, c, d, edge-only in lan on z"):
        fig11.compute_11(context_of(lab))


def test_figure_11_has_the_paper_s_value_beside_each_run(context: Context) -> None:
    rows = {(row.method, row.network): row for row in fig11.compute_11(context)}
    row = rows["Clownfish, n_w 6, PNG", "153 ms"]
    assert (row.live, row.final, row.frames, row.paper) == (0.78, 0.88, 400, 0.5724)
    assert row.change == pytest.approx(-0.02)
    assert rows["Clownfish, n_w 6, PNG", "3 ms"].change is None
    assert rows["edge-only", "3 ms"].final is None
    assert rows["edge-only", "3 ms"].paper == 0.5093
    assert rows["cloud-only", "3 ms"].live is None
    assert rows["early discard", "3 ms"].paper is None  # its 55.48 is of Figure 12's videos


def test_intervals_are_over_videos_and_changes_are_paired(tmp_path: Path) -> None:
    lan, far = result("clownfish", "lan"), result("clownfish", "intercontinental")
    for n, part in enumerate(lan.parts):
        part.confusions = {name: np.array([[60 + 10 * n, 40 - 10 * n], [0, 0]]) for name in ("live", "final")}
    for n, part in enumerate(far.parts):  # each video loses the same: however they differ, the change is sure
        part.confusions = {name: np.array([[55 + 10 * n, 45 - 10 * n], [0, 0]]) for name in ("live", "final")}
    for run in (lan, far):
        run.confusions = {name: sum(part.confusions[name] for part in run.parts) for name in ("live", "final")}
    near, late = fig11.compute_11(context_of(write_results(tmp_path / "x.json", [lan, far])))
    assert near.live == pytest.approx(0.75)
    assert near.live_low is not None
    assert near.live_high is not None
    assert 0.6 <= near.live_low < 0.75 < near.live_high <= 0.9
    assert [late.change, late.change_low, late.change_high] == pytest.approx([-0.05] * 3)


def test_every_network_has_its_least_sample_and_its_lags(context: Context) -> None:
    rows = networks.compute(context)
    assert len(rows) == len(context.experiments)
    cloud = next(row for row in rows if (row.network, row.method) == ("abca", "cloud-only"))
    assert (cloud.fps_least, cloud.fps_most, cloud.samples) == (13.0, 14.0, 8)
    assert (cloud.answers, cloud.lag_p50, cloud.lag_p95) == (10, 0, 16)


@given(st.dictionaries(st.integers(0, 20), st.integers(0, 9)), st.floats(0.01, 1))
def test_a_quantile_of_lags_is_reached_by_its_share_and_by_no_less(answers: dict[int, int], q: float) -> None:
    found, in_all = networks.lag_quantile(answers, q), sum(answers.values())
    if not in_all:
        assert found is None
        return
    assert found is not None
    assert sum(count for lag, count in answers.items() if lag <= found) >= q * in_all
    assert sum(count for lag, count in answers.items() if lag < found) < q * in_all


def test_figure_12_takes_the_paper_s_n_w_for_its_value(context: Context) -> None:
    papers = {(row.method, row.network): row.paper for row in fig11.compute_12(context)}
    assert papers["Clownfish, n_w 8, PNG", "5 Mbit/s"] == 0.5669
    assert papers["Clownfish, n_w 6, PNG", "5 Mbit/s"] is None
    assert papers["Clownfish, n_w 6, PNG", "7.5 Mbit/s"] == pytest.approx(0.5709)
    assert papers["early discard", "no cap"] == 0.5548


def test_a_method_has_its_place_and_colour_in_whatever_order_it_was_recorded(context: Context) -> None:
    names = list(dict.fromkeys(row.method for row in fig13.compute(context)))
    clownfish = ["Clownfish, n_w 6, PNG", "Clownfish, n_w 8, PNG", "Clownfish, n_w 6, JPEG"]
    assert names == ["edge-only", "cloud-only", "early discard", *clownfish]


def test_figure_13_and_table_2_are_of_the_same_samples(context: Context) -> None:
    samples, sections = fig13.compute(context), table2.compute(context)
    assert len(samples) == 6 * 4 * 2
    for row in sections:
        mine = [each.fps for each in samples if (each.method, each.section) == (row.method, row.section)]
        assert row.fps == pytest.approx(sum(mine) / len(mine))
    cloud = [row for row in sections if row.method == "cloud-only"]
    assert [row.network for row in cloud] == ["no cap", "7.5 Mbit/s", "5 Mbit/s", "no cap"]
    assert [row.paper_fps for row in cloud] == [31.8, 30.7, 21.0, 30.3]


def test_figure_14_counts_every_answer_once_and_leaves_changing_networks_out(context: Context) -> None:
    rows = fig14.compute(context)
    assert list(dict.fromkeys(row.network for row in rows)) == list(fig14.ORDER)
    for network, method in {(row.network, row.method) for row in rows}:
        mine = [row for row in rows if (row.network, row.method) == (network, method)]
        assert sum(row.share for row in mine) == pytest.approx(1)
        assert sum(row.windows for row in mine) == 10


def test_figure_15_counts_the_wire_by_its_time_and_no_latency_for_those_that_wait(context: Context) -> None:
    rows = fig15.compute(context)
    assert len(rows) == len(context.experiments)
    for row in rows:
        assert row.up_mbit == pytest.approx(4 * 8 / 40)
        assert (row.edge_cpu, row.cloud_cpu) == (0.375, 0.5625)
        assert row.p99_ms is None


@given(
    st.lists(st.sampled_from(["edge-only", "cloud-only", *(f"Clownfish, n_w {n}, PNG" for n in range(4))]), unique=True)
)
def test_no_two_methods_look_alike(names: list[str]) -> None:
    looks = experiments.looks(names)
    assert list(looks) == names
    assert len({look.colour for look in looks.values()}) == len(names)


def test_a_result_of_the_command_s_columns_is_all_that_the_reader_knows() -> None:
    numbers = result("clownfish", "lan").numbers()
    from clownfish.lab.recorded import Recorded, RecordedPart

    assert set(numbers) == {field.name for field in dataclasses.fields(Recorded)}
    assert set(numbers["parts"][0]) == {field.name for field in dataclasses.fields(RecordedPart)}
    json.dumps(numbers)
