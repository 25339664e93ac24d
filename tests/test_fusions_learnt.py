"""Learnt fusion methods: the machine answers as what was trained, and refuses what was not learnt for it."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from clownfish.errors import ConfigError, ModelError
from clownfish.fusions import build_fusion
from clownfish.fusions.base import FusionMethod
from clownfish.models.fusers import Seen
from clownfish.settings import FusionSection, Plugin
from tests.fusers import LOOKAHEAD, distributions, module, write_fuser

CLASSES = ("sit", "stand", "wave", "fall")
WINDOWS = 40

_NUMBER = itertools.count()


@pytest.fixture(params=["bayesian", "recurrent"])
def method(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A new one for each test: what was read once is kept."""
    return tmp_path / f"fuser-{next(_NUMBER)}"


def built(method: str, weights: str, classes: tuple[str, ...] = CLASSES, **changed: object) -> FusionMethod:
    section = FusionSection(method=Plugin(method, {"weights": weights}), **changed)  # type: ignore[arg-type]
    return build_fusion(section, stream="cam", classes=classes)


def seen(sent: np.ndarray, inferred: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray, Seen]:
    """p_local, p_remote, ρ of one stream, and the same as training sees it."""
    p_local, p_remote = distributions(WINDOWS, 4, 1), distributions(WINDOWS, 4, 2)
    rho = np.random.default_rng(3).uniform(0, 1, WINDOWS)
    rho[0] = np.nan
    rho[7] = 1.0

    def column(x: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(x).double()[:, None]

    there = None if inferred is None else column(inferred)
    return p_local, p_remote, rho, Seen.of(*map(column, (p_local, p_remote, rho)), column(sent), there)


@pytest.mark.parametrize("lag", [0, 1, 3])
def test_the_machine_answers_live_late_and_finally_as_what_was_trained(method: str, path: Path, lag: int) -> None:
    sent = (np.random.default_rng(4).uniform(size=WINDOWS) < 0.3).astype(float)
    p_local, p_remote, rho, batch = seen(sent)
    it = built(method, write_fuser(path, method, CLASSES))
    live, known = [], {}
    for t in range(WINDOWS):
        if lag == 0 and sent[t]:
            it.reinforce(t, p_remote[t])
        live.append(it.fuse(t, p_local[t], None if np.isnan(rho[t]) else rho[t]).p)
        if lag and t >= lag and sent[t - lag]:
            known |= {r.t: r.p for r in it.reinforce(t - lag, p_remote[t - lag])}
    for t in range(WINDOWS - lag, WINDOWS):
        if lag and sent[t]:
            known |= {r.t: r.p for r in it.reinforce(t, p_remote[t])}
    closing = np.stack([r.p for r in it.finish()])
    with torch.no_grad():
        said = module(method, 4).double()(batch, torch.arange(WINDOWS), lag, LOOKAHEAD)
    np.testing.assert_allclose(np.stack(live), said.live[:, 0].exp(), atol=1e-6)
    for t, p in known.items():
        np.testing.assert_allclose(p, said.known[t, 0].exp(), atol=1e-6)
    np.testing.assert_allclose(closing[: WINDOWS - LOOKAHEAD], said.closing[:, 0].exp(), atol=1e-6)


def test_a_window_that_local_inference_skipped_is_one_without_local_evidence(method: str, path: Path) -> None:
    sent, inferred = np.zeros(WINDOWS), np.ones(WINDOWS)
    sent[[5, 9, 20]] = 1
    inferred[[9, 20]] = 0
    p_local, p_remote, rho, batch = seen(sent, inferred)
    it = built(method, write_fuser(path, method, CLASSES))
    for t in np.flatnonzero(inferred).tolist():
        it.fuse(t, p_local[t], None if np.isnan(rho[t]) else rho[t])
    for t in (20, 5, 9):
        it.reinforce(t, p_remote[t])
    batch.logit_rho[[9, 20]] = 0  # ρ of a window that was not inferred is undefined
    with torch.no_grad():
        said = module(method, 4).double()(batch, torch.arange(WINDOWS), 0, LOOKAHEAD)
    closing = {r.t: r.p for r in it.finish()}
    assert sorted(closing) == np.flatnonzero(inferred).tolist()
    for t in range(WINDOWS - LOOKAHEAD):
        if inferred[t]:
            np.testing.assert_allclose(closing[t], said.closing[t, 0].exp(), atol=1e-6)


def test_the_last_windows_are_closed_with_what_there_is_after_them(method: str, path: Path) -> None:
    it = built(method, write_fuser(path, method, CLASSES))
    live = [it.fuse(t, p, 0.8 if t else None).p for t, p in enumerate(distributions(4, 4))]
    closing = [r.p for r in it.finish()]
    np.testing.assert_array_equal(closing[-1], live[-1])
    assert not np.array_equal(closing[0], live[0])


def test_a_result_late_by_less_than_horizon_minus_lookahead_gives_the_final_answers_of_an_on_time_one(
    method: str, path: Path
) -> None:
    weights = write_fuser(path, method, CLASSES)
    p_local, p_remote = distributions(60, 4, 5), distributions(60, 4, 6)

    def finals(lag: int) -> list[bytes]:
        it = built(method, weights, horizon=16)
        closed = []
        for t in range(60):
            if lag == 0 and t % 4 == 0:
                it.reinforce(t, p_remote[t])
            it.fuse(t, p_local[t], 0.9 if t else None)
            if lag and t >= lag and (t - lag) % 4 == 0:
                it.reinforce(t - lag, p_remote[t - lag])
            closed += it.closed()
        for t in range(60 - lag, 60):
            if t % 4 == 0:
                it.reinforce(t, p_remote[t])
        return [r.p.tobytes() for r in [*closed, *it.finish()]]

    assert finals(0) == finals(1) == finals(16 - LOOKAHEAD - 1)


def test_weights_are_read_once_for_all_streams(method: str, path: Path) -> None:
    weights = write_fuser(path, method, CLASSES)
    built(method, weights)
    path.with_suffix(".safetensors").unlink()
    built(method, weights)


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (lambda path: path.with_suffix(".json").unlink(), "cannot be read .*clownfish train fuser"),
        (lambda path: path.with_suffix(".safetensors").unlink(), "not a whole safetensors file"),
        (lambda path: path.with_suffix(".safetensors").write_bytes(b"no"), "not a whole safetensors file"),
        (lambda path: path.with_suffix(".json").write_text("{"), "no fuser's description"),
        (lambda path: path.with_suffix(".json").write_text("[1]"), "no fuser's description"),
        (lambda path: path.with_suffix(".json").write_bytes(b"\xff\xfe"), "no fuser's description"),
        (lambda path: rewritten(path, format="clownfish-siminet/1"), "expected 'clownfish-fuser/1'"),
        (lambda path: rewritten(path, classes=["sit", "stand", "fall", "wave"]), "another order"),
        (lambda path: rewritten(path, classes=["sit", "stand", "wave"]), "fall"),
        (lambda path: rewritten(path, method="magic"), "learnt for method 'magic'"),
        (lambda path: rewritten(path, lookahead=0), "lookahead is 0"),
        (lambda path: renumbered(path, lambda tensors: tensors.popitem()), "train it again"),
        (lambda path: renumbered(path, lambda tensors: tensors.update(more=torch.zeros(1))), "more 1"),
        (lambda path: renumbered(path, lambda tensors: tensors[min(tensors)].fill_(torch.nan)), "not finite"),
    ],
)
def test_weights_that_do_not_fit_are_refused_in_words(method: str, path: Path, break_it, says: str) -> None:
    weights = write_fuser(path, method, CLASSES)
    break_it(path)
    with pytest.raises(ModelError, match=says):
        built(method, weights)


def rewritten(path: Path, **changed: object) -> None:
    file = path.with_suffix(".json")
    file.write_text(json.dumps({**json.loads(file.read_text()), **changed}))


def renumbered(path: Path, change) -> None:
    tensors = load_file(path.with_suffix(".safetensors"))
    change(tensors)
    save_file(tensors, path.with_suffix(".safetensors"))


def test_a_method_that_must_learn_asks_for_its_weights(method: str) -> None:
    with pytest.raises(ConfigError, match="weights"):
        build_fusion(FusionSection(method=Plugin(method)))
