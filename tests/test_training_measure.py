"""Scores, calibration, joined streams and sampling: the arithmetic that model cards rest on."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clownfish.datasets.base import Clip
from clownfish.datasets.joined import Segment, join
from clownfish.models.adapter import Network
from clownfish.models.description import InputDescription
from clownfish.models.frame import FrameNet
from clownfish.models.siminet import SimiNetModule
from clownfish.models.temporal import Temporal
from clownfish.training.cache import FrameCache
from clownfish.training.calibrate import (
    expected_calibration_error,
    fit_temperature,
    least_error_temperature,
    negative_log_likelihood,
    softmax,
)
from clownfish.training.config import Augment, Fit
from clownfish.training.measure import Watched, auc, cosine, euclidean, frame_accuracy, window_accuracy
from clownfish.training.optimise import learning_rate_share
from clownfish.training.sampling import augmented, plain
from clownfish.training.siminet_fit import begin_with_differences, fold_standardisation
from clownfish.training.streams import see, stream_frames, windows_of

SHAPE = InputDescription(width=8, height=6, window_size=16, frame_step=4, mean=(0, 0, 0), std=(1, 1, 1))


def clip(name: str, label: str, frames: int, group: int = 1) -> Clip:
    return Clip(Path(name), label, group, frames)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2))
def test_auc_is_the_chance_that_a_positive_scores_above_a_negative(pairs: list[tuple[int, bool]]) -> None:
    score = np.array([s for s, _ in pairs], float)
    positive = np.array([p for _, p in pairs])
    if positive.all() or not positive.any():
        return
    wins = [float(a > b) + 0.5 * float(a == b) for a in score[positive] for b in score[~positive]]
    assert auc(score, positive) == pytest.approx(np.mean(wins))


def test_fit_temperature_finds_the_temperature_that_the_labels_were_drawn_with() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (20_000, 5))
    labels = np.array([rng.choice(5, p=p) for p in softmax(logits, 2.0)])
    assert fit_temperature(logits, labels) == pytest.approx(2.0, rel=0.05)
    assert expected_calibration_error(softmax(logits, 2.0), labels) < 0.02
    assert expected_calibration_error(softmax(logits, 0.5), labels) > 0.1


def test_a_little_likelihood_is_given_for_less_calibration_error() -> None:
    """Logits that are too sure where they are high: no temperature mends both ends."""
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, (4000, 5))
    labels = np.array([rng.choice(5, p=p) for p in softmax(np.tanh(logits / 2) * 2, 1.0)])
    best, near = fit_temperature(logits, labels), least_error_temperature(logits, labels, 0.005)
    assert least_error_temperature(logits, labels, 0.0) == pytest.approx(best, rel=1e-6)
    errors = [expected_calibration_error(softmax(logits, t), labels) for t in (best, near)]
    assert errors[1] < errors[0]
    spent = negative_log_likelihood(logits, labels, near) - negative_log_likelihood(logits, labels, best)
    assert spent <= 0.005


def test_calibration_error_of_a_model_that_is_sure_and_half_right_is_one_half() -> None:
    p = np.array([[1.0, 0.0]] * 4)
    assert expected_calibration_error(p, np.array([0, 0, 1, 1])) == pytest.approx(0.5)


def watched(answers: list[int], frame_label: list[int], label: list[int]) -> Watched:
    return Watched(
        p=np.eye(3, dtype=np.float32)[answers],
        feature=np.zeros((len(answers), 1), np.float32),
        label=np.array(label),
        context=np.zeros(len(answers), np.int64),
        frame_label=np.array(frame_label),
        stride=4,
        ms_per_window=1.0,
    )


def test_a_windows_answer_belongs_to_its_last_frames() -> None:
    """Window 0 covers frames 0 to 15 and answers for 12 to 15, window 1 for 16 to 19."""
    truth = [2] * 12 + [0, 0, 0, -1] + [1, 1, 0, 0]
    assert frame_accuracy([watched([0, 1], truth, [0, 0])]) == pytest.approx(5 / 7)


def test_windows_whose_middle_is_outside_a_context_do_not_count() -> None:
    assert window_accuracy([watched([0, 1, 2], [], [0, 0, -1])]) == 0.5


def test_cosine_and_euclidean_are_largest_for_equal_rows() -> None:
    a, b = np.array([[1.0, 0], [1, 0]]), np.array([[1.0, 0], [0, 1]])
    assert cosine(a, b).tolist() == [1, 0]
    assert euclidean(a, b).tolist() == [0, pytest.approx(-np.sqrt(2))]


@given(st.integers(0, 1000), st.lists(st.integers(40, 200), min_size=2, max_size=40))
def test_joined_streams_use_each_clip_once_and_neighbours_differ_in_label(seed: int, lengths: list[int]) -> None:
    clips = [clip(f"{n}.mp4", "ab"[n % 2], length) for n, length in enumerate(lengths)]
    streams = join(clips, np.random.default_rng(seed), segments=5)
    used = [segment.clip.path for stream in streams for segment in stream]
    assert len(used) == len(set(used))
    for stream in streams:
        assert 2 <= len(stream) <= 5
        assert all(a.clip.label != b.clip.label for a, b in pairwise(stream))
        for segment in stream:
            assert 60 <= segment.end - segment.start <= 180
            assert 0 <= segment.start <= segment.end <= segment.clip.frames


def cached(every: int = 4) -> tuple[FrameCache, Clip, Clip]:
    """Two clips of 64 frames; each cached frame's pixels are its own number, the second clip's from 100 on."""
    kept = 64 // every
    numbers = np.concatenate([np.arange(kept), 100 + np.arange(kept)]).astype(np.uint8)
    frames = np.tile(numbers[:, None, None, None], (1, 6, 8, 3))
    cache = FrameCache(frames, {"a.mp4": (0, kept), "b.mp4": (kept, 2 * kept)}, every)
    return cache, clip("a.mp4", "x", 64), clip("b.mp4", "y", 64)


@pytest.mark.parametrize("every", [1, 4])
def test_a_window_of_a_joined_stream_has_the_context_of_its_middle_frame(every: int) -> None:
    cache, a, b = cached(every)
    stream = [Segment(a, 0, 24), Segment(b, 8, 32)]
    assert len(stream_frames(cache, stream)) == 48 // every
    assert stream_frames(cache, stream)[24 // every, 0, 0, 0] == 100 + 8 // every
    shape = SHAPE.model_copy(update={"frame_step": every})
    found = windows_of(stream, ("x", "y"), shape, every)
    assert [first * every for first, _, _ in found] == list(range(0, 33, 4))
    assert [context for _, _, context in found] == [0, 0, 0, 0, 1, 1, 1, 1, 1]
    assert [label for _, label, _ in found] == [0, 0, 0, 0, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("temporal", ["mean", "conv"])
def test_windows_of_a_framenet_are_seen_frame_by_frame_and_come_out_the_same(temporal: Temporal) -> None:
    """The short cut over shared frames gives what embedding each window whole gives."""
    torch.manual_seed(0)
    cache, a, b = cached(4)
    framenet = FrameNet(2, blocks=2, temporal=temporal, hidden=8).eval()
    if temporal == "conv":
        torch.nn.init.normal_(framenet.over_time.conv4.weight)
    network = cast(Network, framenet)
    stream = [Segment(a, 0, 24), Segment(b, 8, 32)]
    seen = see(network, cache, stream, ("x", "y"), SHAPE)
    frames = plain(stream_frames(cache, stream), SHAPE)
    with torch.inference_mode():
        whole = torch.cat([network(frames[None, :, n : n + 4]) for n in range(9)])
    np.testing.assert_allclose(seen.logits, whole.numpy(), rtol=1e-3, atol=1e-4)


def test_the_learning_rate_warms_up_falls_to_zero_and_begins_anew_at_a_restart() -> None:
    options = Fit(epochs=20, learning_rate=1, warmup_epochs=2, restarts=(10,))
    shares = [learning_rate_share(epoch, options) for epoch in (0, 2, 6, 9.999, 10, 12, 19.999)]
    assert shares == pytest.approx([0.0244, 1, 0.5, 0, 0.0244, 1, 0], abs=1e-3)


def test_plain_frames_are_normalised_and_channels_first() -> None:
    shape = SHAPE.model_copy(update={"mean": (1, 2, 3), "std": (2, 2, 2)})
    x = plain(np.full((4, 6, 8, 3), 9, np.uint8), shape)
    assert x.shape == (3, 4, 6, 8)
    assert x[:, 0, 0, 0].tolist() == [4.0, 3.5, 3.0]


@given(st.integers(0, 10_000))
def test_an_augmented_window_keeps_its_range_and_all_frames_change_alike(seed: int) -> None:
    rng = np.random.default_rng(seed)
    still = np.tile(rng.integers(0, 256, (1, 20, 24, 3), np.uint8), (4, 1, 1, 1))
    x = augmented(still, SHAPE, Augment(), rng)
    assert x.shape == (3, 4, 6, 8)
    assert 0 <= float(x.min()) <= float(x.max()) <= 255
    assert all(torch.equal(x[:, 0], x[:, n]) for n in range(4))


def test_a_siminet_that_begins_with_differences_cannot_tell_where_the_windows_are() -> None:
    module = SimiNetModule(3, hidden=8)
    begin_with_differences(module)
    a, b, shift = torch.randn(3, 5, 3)
    torch.testing.assert_close(module(a + shift, b + shift), module(a, b), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(module(a, b), module(b, a))


def test_a_siminet_with_its_standardisation_folded_in_takes_raw_features() -> None:
    torch.manual_seed(0)
    module = SimiNetModule(3, hidden=8)
    rng = np.random.default_rng(0)
    mean, std = rng.normal(0, 2, 3).astype(np.float32), np.float32(1.7)
    raw = [torch.from_numpy(rng.normal(0, 2, (5, 3)).astype(np.float32)) for _ in range(2)]
    before = module(*[(x - torch.from_numpy(mean)) / float(std) for x in raw])
    fold_standardisation(module, mean, std)
    torch.testing.assert_close(module(*raw), before, rtol=1e-4, atol=1e-5)
