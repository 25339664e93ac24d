"""Evaluation sets by name, and what a pair's file says to an evaluation."""

from __future__ import annotations

from pathlib import Path

import pytest

from clownfish.errors import ConfigError, DatasetError, ModelError
from clownfish.evaluation.sets import SETS, UCF9_VARIABLE, evaluation_set, pair_settings
from clownfish.models.description import read_description
from clownfish.pair import EarlyDiscard, read_discard, read_pair
from clownfish.sources import truth_of
from clownfish.zoo import read_classes
from tests.data_sets import ucf9


@pytest.mark.parametrize("part", ["test", "validation"])
def test_puppets_are_twelve_drawn_streams_of_each_part(part: str) -> None:
    found = evaluation_set("puppets", part)
    assert list(found.sources) == [f"puppets:{part}/{n}" for n in range(12)]
    assert found.pair == "zoo:puppets"
    assert found.sources[f"puppets:{part}/3"] == truth_of(f"puppets:{part}/3")


def test_ucf9_is_where_the_option_or_else_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ucf9(tmp_path / "here")
    ucf9(tmp_path / "there")
    monkeypatch.setenv(UCF9_VARIABLE, str(tmp_path / "there"))
    assert all(
        source.startswith(str(tmp_path / "here")) for source in evaluation_set("ucf9", root=tmp_path / "here").sources
    )
    found = evaluation_set("ucf9")
    assert found.sources
    assert all(source.startswith(str(tmp_path / "there")) for source in found.sources)
    assert all(found.sources.values()), "each stream has its ground truth"
    monkeypatch.setenv(UCF9_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(DatasetError, match=f"nowhere: no such folder; .* --root or {UCF9_VARIABLE}"):
        evaluation_set("ucf9")
    assert evaluation_set("ucf9", read=False).pair == "zoo:ucf9", "its name alone needs no folder"


@pytest.mark.parametrize(
    ("name", "part", "root", "said"),
    [
        ("kinetics", "test", None, "no evaluation set 'kinetics'; known: puppets, ucf9"),
        ("ucf9", "validation", None, "ucf9 has no part 'validation' of labelled streams; it has test"),
        ("puppets", "train", None, "puppets has no part 'train'"),
        ("puppets", "test", Path("x"), "puppets are drawn and lie in no folder: leave out the root x"),
    ],
)
def test_a_set_that_is_not_there_is_named(name: str, part: str, root: Path | None, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        evaluation_set(name, part, root)


@pytest.mark.parametrize("name", SETS)
def test_the_pair_of_a_set_names_models_that_fit_and_an_early_discard_model(name: str) -> None:
    pair = f"zoo:{name}"
    said = pair_settings(pair)
    classes = read_classes(said.record.local)
    assert said.record.discard == f"{pair}/discard"
    assert said.discard is not None
    assert said.discard.threshold == read_description(f"{pair}/discard").threshold
    assert 0 < len(said.discard.positive(classes)) < len(classes)
    assert said.fusion.theta == read_pair(pair).get("fusion", {}).get("theta", 0.5)
    assert said.policy.table() == read_pair(pair)["filter"]["policy"]
    assert said.siminet == f"{pair}/siminet"


def test_models_of_ones_own_have_no_early_discard_unless_it_is_named() -> None:
    assert pair_settings("zoo:puppets", local="zoo:ucf9/local").discard is None
    assert pair_settings("zoo:puppets", remote="zoo:ucf9/remote").record.discard == ""
    named = pair_settings("zoo:puppets", discard="zoo:ucf9/discard").discard
    assert named is not None
    assert named.model == EarlyDiscard("zoo:ucf9/discard", background="idle")
    with pytest.raises(ModelError, match="zoo:puppets/local has no threshold"):
        pair_settings("zoo:puppets", discard="zoo:puppets/local")


def test_a_pair_without_settings_has_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "pair.toml").write_text('[local]\nmodel = "zoo:ucf9/local"\n[worker]\nmodel = "zoo:ucf9/remote"\n')
    said = pair_settings(str(tmp_path / "pair.toml"))
    assert said.discard is None
    assert said.siminet == ""
    assert said.policy.kind == "context_aware"


@pytest.mark.parametrize(
    ("discard", "said"),
    [
        ('model = "m"\nthreshold = 3', "discard: expected model, positive = "),
        ('positive = ["a"]', "discard: expected model"),
        ('model = "m"\npositive = [3]', "discard: expected model"),
        ('model = "m"\npositive = "a"', "discard: expected model"),
        ("model = 3", "discard: expected model"),
    ],
)
def test_a_wrong_discard_section_is_named(tmp_path: Path, discard: str, said: str) -> None:
    path = tmp_path / "pair.toml"
    path.write_text(f'[local]\nmodel = "a"\n[worker]\nmodel = "b"\n[discard]\n{discard}\n')
    with pytest.raises(ConfigError, match=said):
        read_discard(str(path))


def test_a_users_discard_model_lies_beside_the_pair_and_no_service_gets_it(tmp_path: Path) -> None:
    path = tmp_path / "pair.toml"
    path.write_text('[local]\nmodel = "a"\n[worker]\nmodel = "b"\n[discard]\nmodel = "d"\nbackground = "rest"\n')
    assert read_discard(str(path)) == EarlyDiscard(str(tmp_path / "d"), (), "rest")
    assert "discard" not in read_pair(str(path))


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("[fusion]\ntheta = 3", "fusion.theta"),
        ("[filter]\npolicy = 3", "filter.policy"),
        ("[capture]\nx = 1", "capture"),
    ],
)
def test_a_wrong_setting_of_a_pair_is_named(tmp_path: Path, section: str, said: str) -> None:
    path = tmp_path / "pair.toml"
    path.write_text(f'{section}\n[local]\nmodel = "a"\n[worker]\nmodel = "b"\n')
    with pytest.raises(ConfigError, match=said):
        pair_settings(str(path))
