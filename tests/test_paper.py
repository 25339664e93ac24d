"""The paper's figures: every one of the registry on a small data set with real models, files and page included."""

from __future__ import annotations

import dataclasses
import io
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from clownfish.errors import ClownfishError, ConfigError, DatasetError, ModelError
from clownfish.evaluation.beyond import methods as fusion_methods
from clownfish.evaluation.beyond import policies
from clownfish.evaluation.cli import eval_app
from clownfish.evaluation.paper import EXHIBITS, contexts, fig2, fig7, methods, reasons, style
from clownfish.evaluation.paper.base import Table, Unavailable
from clownfish.evaluation.paper.context import Context
from clownfish.evaluation.paper.judge import CLAIMS
from clownfish.evaluation.paper.page import Missing, Part, Picture, page
from clownfish.evaluation.paper.report import ClaimRow, make, paper
from clownfish.evaluation.paper.rows import read_rows, write_rows
from clownfish.evaluation.paper.sections import SECTIONS, Section
from clownfish.evaluation.paper.sweep import Setting
from tests.paper_context import small_context, write_siminet

FIGURES = EXHIBITS.names()
LARGEST_PNG = 100_000


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    return small_context(tmp_path_factory.mktemp("paper"))


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_computed_once_drawn_and_read_back(context: Context, name: str, tmp_path: Path) -> None:
    exhibit = EXHIBITS.get(name)
    assert exhibit.name == name
    picture = make(context, name, tmp_path)
    assert context.rows(name) is context.rows(name)
    assert 2_000 < picture.png.stat().st_size <= LARGEST_PNG
    read = read_rows(picture.csv, exhibit.row)
    assert len(read) == len(context.rows(name)) > 0
    for ours, theirs in zip(context.rows(name), read, strict=True):
        for field in dataclasses.fields(ours):
            mine, back = getattr(ours, field.name), getattr(theirs, field.name)
            assert back == (pytest.approx(mine, rel=1e-5) if isinstance(mine, float) else mine)
    again = tmp_path / "again.csv"
    write_rows(again, exhibit.row, read)
    assert again.read_bytes() == picture.csv.read_bytes()
    drawn = io.BytesIO()
    exhibit.draw(read).savefig(drawn, format="png")
    assert drawn.tell() > 2_000, "the CSV alone is enough to draw from"


@pytest.mark.parametrize("name", FIGURES)
def test_a_figures_axes_have_labels_and_its_table_is_whole(context: Context, name: str) -> None:
    exhibit = EXHIBITS.get(name)
    figure = exhibit.draw(context.rows(name))
    drawn = [axes for axes in figure.axes if axes.axison and axes.has_data()]
    assert drawn
    assert any(axes.get_ylabel() for axes in drawn)
    assert any(axes.get_xlabel() for axes in drawn)
    assert exhibit.title
    assert exhibit.caption.endswith(".")
    if exhibit.table is not None:
        table = exhibit.table(context.rows(name))
        assert table.rows
        assert all(len(row) == len(table.columns) for row in table.rows)


def test_rows_of_another_figure_are_no_rows_of_this(context: Context) -> None:
    with pytest.raises(TypeError, match="fig2 is made of Row, not of int"):
        EXHIBITS.get("fig2").rows_as([1])


def test_a_csv_of_other_columns_or_values_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DatasetError, match=r"columns are a, b; expected method, since, right, windows"):
        read_rows(path, contexts.Row)
    path.write_text("method,since,right,windows\nx,one,0.5,3\n")
    with pytest.raises(DatasetError, match="make the figure anew"):
        read_rows(path, contexts.Row)
    with pytest.raises(DatasetError, match="cannot be read"):
        read_rows(tmp_path / "none.csv", contexts.Row)


# -- what single figures say ------------------------------------------------------------------------------------------


def test_figure_7_has_every_setting_and_the_baselines(context: Context) -> None:
    rows = context.rows("fig7")
    assert {row.method for row in rows if row.n_w is None} == {
        style.EDGE,
        style.EDGE_FIX_MA,
        style.CLOUD,
        style.CLOUD_FIX_MA,
    }
    settings = [(row.method, row.n_w, row.lag) for row in rows if row.n_w is not None]
    assert len(settings) == len(set(settings)) == len(methods.FUSED) * 40
    cloud = next(row for row in rows if row.method == style.CLOUD)
    assert cloud.above_cloud == cloud.above_cloud_low == cloud.above_cloud_high == 0
    for row in rows:
        assert row.live_low <= row.live <= row.live_high
        assert row.above_cloud == pytest.approx(row.live - cloud.live)
        if row.n_w is not None:
            assert row.sent >= (1 / row.n_w) * 0.99
            assert 0 <= row.saved < 1


def test_with_every_answer_on_time_live_and_final_are_one(context: Context) -> None:
    for row in context.rows("fig7"):
        if row.lag == 0:
            assert row.live == row.final


def test_figure_9_has_another_local_model_and_the_same_cloud(context: Context) -> None:
    second = context.second_local
    assert second.models.record.local != context.models.record.local
    for ours, theirs in zip(context.streams, second.streams, strict=True):
        np.testing.assert_array_equal(ours.dump.p_remote, theirs.dump.p_remote)
        np.testing.assert_array_equal(ours.dump.p_discard, theirs.dump.p_discard)
        assert not np.array_equal(ours.dump.p_local, theirs.dump.p_local)
        assert ours.dump.header.local != theirs.dump.header.local


def test_a_second_local_model_that_was_recorded_is_not_run_again(context: Context) -> None:
    before = [stream.dump for stream in context.second_local.streams]
    again = dataclasses.replace(context)  # nothing of what is cached goes along
    again.streams = context.streams
    files = {file: file.stat().st_mtime_ns for file in context.dumps.iterdir()}
    for ours, theirs in zip(before, again.second_local.streams, strict=True):
        np.testing.assert_array_equal(ours.p_local, theirs.dump.p_local)
    assert {file: file.stat().st_mtime_ns for file in context.dumps.iterdir()} == files


def test_a_named_local_model_takes_the_place_of_the_derived_one(context: Context, tmp_path: Path) -> None:
    siminet = write_siminet(tmp_path / "siminet2.safetensors", "remote")
    named = dataclasses.replace(context, local2=context.models.record.remote, siminet2=siminet)
    named.streams = context.streams
    stream = named.second_local.streams[0]
    np.testing.assert_array_equal(stream.dump.p_local, stream.dump.p_remote)
    assert named.second_local.models.siminet == siminet
    unfit = dataclasses.replace(named, siminet2=context.models.siminet)
    with pytest.raises(ModelError, match="compares the logits of 'local'"):
        _ = unfit.second_local


def test_what_a_data_set_has_not_is_said(context: Context, tmp_path: Path) -> None:
    bare = dataclasses.replace(
        context,
        data=dataclasses.replace(context.data, cross_view=(), weaker={}),
        models=dataclasses.replace(context.models, discard=None),
        _rows={},
    )
    bare.streams = context.streams
    for name, said in (("fig10", "one view"), ("fig9", "--local2"), ("discard", "no early-discard model")):
        with pytest.raises(Unavailable, match=said):
            make(bare, name, tmp_path)
    with pytest.raises(DatasetError, match="no streams to measure on"):
        _ = dataclasses.replace(context, data=dataclasses.replace(context.data, sources={})).streams


def test_figure_8_shows_transitions_evenly_spaced_and_the_oracle_falls_at_each(context: Context) -> None:
    rows = context.rows("fig8")
    assert {row.change for row in rows} == {"bow → wave"}
    for row in rows:
        if row.method == methods.OPT_SIM:
            assert row.rho == (0 if row.offset == 0 else 1)


def test_figure_2_compares_pairs_on_either_side_of_a_transition(context: Context) -> None:
    counts = {(row.pairs, row.distance): row.count for row in context.rows("fig2") if row.method == methods.OPT_SIM}
    before = int((fig2.contexts_of(context.streams[0]) == 0).sum())
    for distance in fig2.DISTANCES:
        assert counts[fig2.ACROSS, distance] == min(distance, before) * len(context.streams)
    means = {(row.pairs, row.mean) for row in context.rows("fig2") if row.method == methods.OPT_SIM}
    assert means == {(fig2.WITHIN, 1.0), (fig2.ACROSS, 0.0)}


def test_where_answers_are_right_adds_up_to_all_windows_of_later_contexts(context: Context) -> None:
    rows = context.rows("contexts")
    later = sum(int((fig2.contexts_of(stream) > 0).sum()) for stream in context.streams)
    for method in {row.method for row in rows}:
        assert sum(row.windows for row in rows if row.method == method) == later
    near, far = contexts.near_and_far([contexts.Row("x", 0, 0.5, 2), contexts.Row("x", 3, 1.0, 4)], "x", 1)
    assert (near, far) == (0.5, 1.0)


def test_the_oracle_rises_at_every_transition_and_nowhere_else(context: Context) -> None:
    found = reasons.rises(context, methods.OPT_SIM)
    assert found == reasons.Rises(1.0, 0, len(context.streams))


def test_early_discard_sends_less_the_higher_its_threshold(context: Context) -> None:
    rows = [row for row in context.rows("discard") if row.method.startswith(style.DISCARD)]
    assert [row.setting for row in rows] == sorted(row.setting for row in rows)
    assert all(before.sent >= after.sent for before, after in pairwise(rows))


# -- the page ---------------------------------------------------------------------------------------------------------

VOID = {"meta", "img", "br", "link", "hr"}


class WellFormed(HTMLParser):
    """Every element is closed, in order; gathers what is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[str] = []
        self.text: list[str] = []
        self.ids: set[str] = set()
        self.links: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids.add(found.get("id") or "")
        if tag == "a":
            self.links.add(found.get("href") or "")
        if tag == "img":
            assert (found["src"] or "").startswith("data:image/png;base64,")
            self.images.append(found["alt"] or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parsed(text: str) -> WellFormed:
    parser = WellFormed()
    parser.feed(text)
    parser.close()
    assert parser.open == []
    assert "<script" not in text
    return parser


def test_the_report_has_every_figure_and_claim_and_is_well_formed(context: Context, tmp_path: Path) -> None:
    file = paper(context, tmp_path, "clownfish eval paper")
    found = parsed(file.read_text(encoding="utf-8"))
    shown = {EXHIBITS.get(name).title for name in FIGURES}
    assert set(found.images) == shown
    for name in FIGURES:
        assert f"{name}.csv" in found.links
        assert (tmp_path / f"{name}.csv").is_file()
    assert {link[1:] for link in found.links if link.startswith("#")} <= found.ids
    text = " ".join(found.text)
    for stream in context.streams:
        assert stream.dump.header.source_sha256[:16] in text
    assert "FixMA" in text
    assert (tmp_path / "claims.csv").read_text().count("\n") >= 9


def test_a_figure_that_is_not_to_be_had_leaves_its_reason(context: Context, tmp_path: Path) -> None:
    bare = dataclasses.replace(context, data=dataclasses.replace(context.data, cross_view=()), _rows=context._rows)
    bare.streams = context.streams
    bare._rows = {name: rows for name, rows in context._rows.items() if name != "fig10"}

    def one(_: Context) -> Section:
        return Section("Another camera", figures=["fig10"])

    def none(_: Context) -> Section:
        raise Unavailable("no such thing here")

    file = paper(bare, tmp_path, "x", (one, none))
    text = " ".join(parsed(file.read_text(encoding="utf-8")).text)
    assert "one view of each scene" in text
    assert "no such thing here" in text


def test_what_is_said_by_data_is_escaped(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"png")
    nasty = '<b>"&'
    shown = [Picture(nasty, nasty, tmp_path / "x.png", tmp_path / "x.csv", Table([nasty], [[nasty]], nasty))]
    text = page(nasty, [nasty], [Part(nasty, "<p>own</p>", [*shown, Missing(nasty, nasty)])])
    found = parsed(text)
    assert nasty not in text
    assert " ".join(found.text).count(nasty) >= 6


def test_every_figure_has_its_place_in_the_report(context: Context) -> None:
    named = [name for section in SECTIONS for name in section(context).figures]
    assert sorted(named) == FIGURES


# -- the command line -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        (["figure", "5"], ConfigError, "figure '5': there are 1, 2, 7, 8, 9, 10, 11, 12, 13, 14, 15, discard"),
        (["figure", "table3"], ConfigError, "figure 'table3'|figure '3'"),
        (["table", "1"], ConfigError, "table '1': there are 2, 3"),
        (["figure", "13", "--lab", "nowhere"], ConfigError, "--lab nowhere: no such file or folder"),
        (["paper", "--data", "xy"], ConfigError, "no evaluation set 'xy'; known: puppets, ucf9"),
        (["figure", "7", "--data", "ucf9", "--root", "nowhere"], DatasetError, "nowhere: no such folder"),
        (["figure", "9", "--local2", "x"], ConfigError, "--local2 and --siminet2 go together"),
        (["figure", "1", "--engines", "torch,warp"], ConfigError, "unknown engine 'warp'; known: onnxruntime"),
        (["figure", "2", "--device", "tpu"], ConfigError, "expected auto, cpu, cuda"),
    ],
)
def test_what_cannot_be_used_is_named(
    arguments: list[str], kind: type[ClownfishError], said: str, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=said):
        CliRunner().invoke(eval_app, [*arguments, "--out", str(tmp_path)], catch_exceptions=False)
    assert not list(tmp_path.iterdir())


def test_settings_of_figure_7_are_the_papers(context: Context) -> None:
    assert len(fig7.settings(methods.FEWER)) == 160
    assert Setting.of(methods.SIMINET, 6, 1) in fig7.settings()


NOTES = Path(__file__).parent.parent / "docs" / "evaluation"


@pytest.mark.parametrize("path", sorted(NOTES.glob("**/*.csv")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_figures_in_the_notes_are_of_todays_columns_and_have_their_pictures(path: Path) -> None:
    """Where this fails, make them anew: docs/evaluation/README.md says how."""
    if path.stem == "claims":
        assert len(read_rows(path, ClaimRow)) == len(CLAIMS)
        return
    beyond = {"policies": policies.Row, "methods": fusion_methods.Row}.get(path.stem.partition("-")[0])
    assert read_rows(path, beyond or EXHIBITS.get(path.stem).row)
    if "-" in path.stem:  # one line of a table, see the notes: it has no picture
        return
    assert path.with_suffix(".png").stat().st_size <= LARGEST_PNG
