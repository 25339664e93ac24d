"""Similarity functions: what all have in common, and what each says."""

from __future__ import annotations

import functools
import math
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from clownfish.errors import ClownfishError, ConfigError, DatasetError
from clownfish.settings import Plugin
from clownfish.similarity import SIMILARITIES
from clownfish.similarity.base import Inferred, Similarity
from clownfish.similarity.constant import Constant
from clownfish.similarity.cosine import Cosine
from clownfish.similarity.euclidean import Euclidean
from clownfish.similarity.oracle import Oracle
from clownfish.similarity.overlap import Overlap
from clownfish.similarity.siminet import SimiNet

ROOT = Path(__file__).parent.parent
STREAMS = ROOT.parent / "shared" / "data" / "ucf9" / "streams"


def inferred(p: list[float], feature: list[float] | None = None, t: int = 0, stream: str = "cam") -> Inferred:
    return Inferred(stream, t, np.array(p, dtype=np.float32), np.array(feature or p, dtype=np.float32))


# -- all of them -----------------------------------------------------------------------------------------------------


@functools.cache
def siminet() -> Similarity:
    """A SimiNet of random weights, for features of size 4."""
    random = np.random.default_rng(0)
    shapes = {"fc1": (16, 8), "fc2": (16, 16), "fc3": (1, 16)}
    tensors = {f"{layer}.weight": random.normal(size=shape) for layer, shape in shapes.items()}
    tensors |= {f"{layer}.bias": random.normal(size=shape[0]) for layer, shape in shapes.items()}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "siminet.safetensors"
        save_file({name: tensor.astype(np.float32) for name, tensor in tensors.items()}, file)
        return SimiNet(weights=str(file))


MAKE: dict[str, Callable[[], Similarity]] = {
    "siminet": siminet,
    "cosine": Cosine,
    "cosine on feature": lambda: Cosine(on="feature"),
    "euclidean": Euclidean,
    "overlap": Overlap,
    "overlap of cosine": lambda: Overlap(of="cosine"),
    "constant": Constant,
    "oracle": lambda: Oracle(truth=lambda stream, t: str(t // 3)),
}

VECTORS = st.lists(st.floats(-1024.0, 1024.0, width=32), min_size=4, max_size=4)
SIMPLEX = st.lists(st.floats(0.0, 1.0, width=32), min_size=4, max_size=4).filter(lambda p: sum(p) > 0.01)


def answer(weights: list[float]) -> list[float]:
    return [weight / sum(weights) for weight in weights]


def test_every_registered_similarity_is_tested_here() -> None:
    assert {name.split()[0] for name in MAKE} == set(SIMILARITIES.names())


@pytest.mark.parametrize("name", MAKE)
@given(p=SIMPLEX, q=SIMPLEX, a=VECTORS, b=VECTORS, t=st.integers(0, 9))
def test_rho_is_a_float_from_0_to_1(
    name: str, p: list[float], q: list[float], a: list[float], b: list[float], t: int
) -> None:
    rho = MAKE[name]().rho(inferred(answer(p), a, t), inferred(answer(q), b, t + 1))
    assert type(rho) is float
    assert 0.0 <= rho <= 1.0


@pytest.mark.parametrize("name", [name for name in MAKE if name not in ("constant", "siminet")])
@given(p=SIMPLEX, a=VECTORS)
def test_a_window_is_wholly_similar_to_itself(name: str, p: list[float], a: list[float]) -> None:
    window = inferred(answer(p), a)
    assert MAKE[name]().rho(window, window) == pytest.approx(1.0)


@pytest.mark.parametrize("name", MAKE)
def test_zero_vectors_give_a_number(name: str) -> None:
    zero, one = inferred([0.0, 0.0, 0.0, 0.0]), inferred([0.0, 1.0, 0.0, 0.0])
    for previous, current in ((zero, zero), (zero, one), (one, zero)):
        assert math.isfinite(MAKE[name]().rho(previous, current))


# -- each of them ----------------------------------------------------------------------------------------------------


def test_cosine_is_the_cosine_of_the_angle_between_the_answers() -> None:
    assert Cosine().rho(inferred([1.0, 0.0]), inferred([0.5, 0.5])) == pytest.approx(math.cos(math.pi / 4))
    assert Cosine().rho(inferred([1.0, 0.0]), inferred([0.0, 1.0])) == 0.0


def test_cosine_on_feature_looks_at_the_feature_and_clips_opposites_to_0() -> None:
    a, b = inferred([1.0, 0.0], feature=[3.0, -4.0]), inferred([1.0, 0.0], feature=[-3.0, 4.0])
    assert Cosine().rho(a, b) == pytest.approx(1.0)
    assert Cosine(on="feature").rho(a, b) == 0.0


def test_cosine_of_features_of_any_magnitude_neither_overflows_nor_vanishes() -> None:
    for scale in (1e-300, 1e300):
        a, b = (Inferred("cam", t, np.ones(1), np.array(v) * scale) for t, v in enumerate(([1.0, 0.0], [1.0, 1.0])))
        assert Cosine(on="feature").rho(a, b) == pytest.approx(math.cos(math.pi / 4))


def test_euclidean_is_0_between_certain_and_different_answers_and_linear_in_the_distance() -> None:
    a, b, middle = inferred([1.0, 0.0, 0.0]), inferred([0.0, 0.0, 1.0]), inferred([0.5, 0.0, 0.5])
    assert Euclidean().rho(a, b) == pytest.approx(0.0)
    assert Euclidean().rho(a, middle) == pytest.approx(0.5)


def test_constant_is_fixma_and_says_what_it_was_told() -> None:
    assert Constant().rho(inferred([1.0, 0.0]), inferred([0.0, 1.0])) == 0.9
    assert Constant(0.3).rho(inferred([1.0, 0.0]), inferred([1.0, 0.0])) == 0.3


def test_oracle_compares_contexts_of_a_mapping_or_a_function() -> None:
    mapping = {("cam", 0): "archery", ("cam", 1): "archery", ("cam", 2): "rowing"}
    for truth in (mapping, lambda stream, t: mapping[stream, t]):
        oracle = Oracle(truth=truth)
        windows = [inferred([1.0], t=t) for t in range(3)]
        assert [oracle.rho(windows[t], windows[t + 1]) for t in range(2)] == [1.0, 0.0]


def write(folder: Path, rows: list[str], header: str = "start_frame,end_frame,label,clip") -> Path:
    (folder / "cam.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return folder


def test_oracle_takes_a_windows_middle_frame_for_its_context(tmp_path: Path) -> None:
    """DESIGN §5.12: window t of 16 frames with stride 4 has middle frame 4t + 8."""
    oracle = Oracle(truth_dir=write(tmp_path, ["0,20,archery,a", "20,40,rowing,b"]), size=16, stride=4)
    rhos = [oracle.rho(inferred([1.0], t=t), inferred([1.0], t=t + 1)) for t in range(6)]
    assert rhos == [1.0, 1.0, 0.0, 1.0, 1.0, 1.0]  # window 3 is the first with a middle frame ≥ 20


def test_oracle_has_an_empty_context_outside_every_interval(tmp_path: Path) -> None:
    oracle = Oracle(truth_dir=write(tmp_path, ["30,34,rowing,b", "10,14,rowing,a"]), size=16, stride=4)
    rhos = [oracle.rho(inferred([1.0], t=t), inferred([1.0], t=t + 1)) for t in range(8)]
    # middle frames   8  12 16 20 24 28 32 36 40: in an interval are 12 and 32
    assert rhos == [0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0]


def test_oracle_says_which_streams_it_knows(tmp_path: Path) -> None:
    oracle = Oracle(truth_dir=write(tmp_path, ["0,20,archery,a"]))
    with pytest.raises(DatasetError, match=r"no door\.csv in .* has cam"):
        oracle.rho(inferred([1.0], stream="door"), inferred([1.0], stream="door"))


@pytest.mark.parametrize(
    "rows",
    [["0,20,a,x", "19,40,b,y"], ["0,zero,a,x"], ["20,20,a,x"], ["-4,20,a,x"], ["5"]],
    ids=["overlap", "no number", "empty", "negative", "short"],
)
def test_oracle_refuses_labels_that_contradict_each_other_or_cannot_be_read(tmp_path: Path, rows: list[str]) -> None:
    with pytest.raises(DatasetError, match=r"cam\.csv.*expected"):
        Oracle(truth_dir=write(tmp_path, rows))


def test_oracle_refuses_a_file_without_its_columns(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="expected columns start_frame, end_frame and label"):
        Oracle(truth_dir=write(tmp_path, ["0,20,archery"], header="from,to,label"))


@pytest.mark.data
@pytest.mark.skipif(not STREAMS.is_dir(), reason=f"{STREAMS} is absent")
def test_oracle_finds_the_transitions_of_real_labels() -> None:
    oracle = Oracle(truth_dir=STREAMS)
    rhos = [
        oracle.rho(inferred([1.0], t=t, stream="dev00"), inferred([1.0], t=t + 1, stream="dev00")) for t in range(80)
    ]
    # dev00 changes at frames 142, 256 and 342: the first middle frames 4t + 8 beyond are those of t = 34, 62 and 84
    assert [t + 1 for t, rho in enumerate(rhos) if rho == 0.0] == [34, 62]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Cosine(on="logits"),  # type: ignore[arg-type]
        lambda: Constant(1.5),
        lambda: Constant(float("nan")),
        Oracle,
        lambda: Oracle(truth_dir="/nowhere/at/all"),
        lambda: Oracle(truth={}, stride=0),
        lambda: Oracle(truth={}, truth_dir="."),
    ],
)
def test_impossible_options_are_refused(make: Callable[[], Similarity]) -> None:
    with pytest.raises(ClownfishError, match="expected") as caught:
        make()
    assert caught.type is ConfigError


def test_overlap_is_the_bhattacharyya_coefficient_of_the_answers() -> None:
    assert Overlap().rho(inferred([1.0, 0.0]), inferred([0.5, 0.5])) == pytest.approx(math.sqrt(0.5))
    assert Overlap().rho(inferred([1.0, 0.0]), inferred([0.0, 1.0])) == 0.0


def test_overlap_of_another_is_their_product() -> None:
    a, b = inferred([1.0, 0.0]), inferred([0.5, 0.5])
    assert Overlap(of="constant", value=0.5).rho(a, b) == pytest.approx(0.5 * math.sqrt(0.5))


def test_overlap_says_which_options_belong_to_nothing_and_which_name_is_unknown() -> None:
    for table, says in (({"weights": "x"}, "weights belong to no similarity"), ({"of": "siminette"}, "known: ")):
        with pytest.raises(ConfigError, match=says):
            Plugin("overlap", table).build(SIMILARITIES)
