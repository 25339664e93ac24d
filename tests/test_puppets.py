"""Puppets: the same bytes each time, truth without gaps, splits apart, bodies that hold, actions that differ."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clownfish.errors import DatasetError, SourceError
from clownfish.puppets import ACTIONS, CLASSES, DEFAULT, IDLE, PROTOCOLS, SPLITS, VIEWS, clip, stream
from clownfish.puppets.actions import PERFORM, fall
from clownfish.puppets.figure import INDEX, Joint, joints
from clownfish.puppets.idle import ALIKE, HOLDING, PLAIN, SEATED_ALIKE, SEATED_PLAIN
from clownfish.puppets.motion import Mover, rest_pose
from clownfish.puppets.script import AFTER, BEFORE, SEATABLE, Performer, plan
from clownfish.puppets.subject import SUBJECTS, make_subject
from clownfish.sources import open_source

STREAMS = [("train", 0), ("validation", 1), ("test", 2)]
seeds = st.integers(0, 2**32 - 1)


def mover(seed: int, posture: str = "standing", mirrored: bool = False) -> Mover:
    subject = make_subject("train", seed % SUBJECTS["train"], DEFAULT)
    return Mover(np.random.default_rng(seed), subject.style, DEFAULT, rest_pose(subject.style, posture), mirrored)


def digest(seed: int) -> str:
    """Of three frames of a stream and of one clip."""
    pixels = [stream("test", seed).frame(n) for n in (0, 777, 4000)]
    pixels.append(clip(np.random.default_rng(seed), "throw", "validation", 4))
    return hashlib.sha256(b"".join(each.tobytes() for each in pixels)).hexdigest()


# the same each time


def test_another_process_draws_the_same_bytes() -> None:
    program = "from tests.test_puppets import digest; print(digest(3))"
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == digest(3)


def test_a_frame_drawn_by_itself_is_the_frame_of_the_stream() -> None:
    whole = list(stream("test", 0).frames(100, 110))
    again = stream("test", 0)
    assert all(np.array_equal(again.frame(n), whole[n - 100]) for n in (109, 100, 104))


def test_clips_differ_from_call_to_call_and_repeat_with_the_seed() -> None:
    rng = np.random.default_rng(5)
    first, second = clip(rng, "wave"), clip(rng, "wave")
    assert not np.array_equal(first, second)
    assert np.array_equal(clip(np.random.default_rng(5), "wave"), first)


# what a stream is


@pytest.mark.parametrize(("split", "index"), STREAMS)
def test_a_stream_is_three_to_four_minutes_with_about_twenty_actions_between_idle_stretches(
    split: str, index: int
) -> None:
    video = stream(split, index)
    actions = [each for each in video.intervals if each.label != IDLE]
    assert 175 <= len(video) / video.fps <= 240
    assert 20 <= len(actions) <= 28
    assert 2.0 <= float(np.mean([each.end - each.start for each in actions])) / video.fps <= 4.5
    assert [each.label == IDLE for each in video.intervals] == [True, False] * len(actions) + [True]


@pytest.mark.parametrize(("split", "index"), STREAMS)
def test_the_intervals_cover_every_frame_once(split: str, index: int) -> None:
    video = stream(split, index)
    assert video.intervals[0].start == 0
    assert video.intervals[-1].end == len(video)
    assert all(one.end == other.start and one.start < one.end for one, other in pairwise(video.intervals))
    assert video.label_at(video.intervals[3].start) == video.intervals[3].label
    with pytest.raises(IndexError):
        video.label_at(len(video))


def test_a_frame_is_172_by_128_rgb_bytes() -> None:
    frame = stream("test", 0).frame(0)
    assert (frame.shape, frame.dtype) == ((128, 172, 3), np.dtype(np.uint8))
    with pytest.raises(IndexError):
        stream("test", 0).frame(10**6)


def test_another_view_shows_the_same_performance_otherwise() -> None:
    videos = [stream("test", 4, view) for view in VIEWS]
    assert videos[0].intervals == videos[1].intervals == videos[2].intervals
    assert not np.array_equal(videos[0].frame(50), videos[1].frame(50))
    assert [stream("test", index).view for index in range(4)] == ["front", "left", "right", "front"]


def test_every_class_comes_up_in_a_few_streams() -> None:
    labels = {each.label for index in range(3) for each in stream("test", index).intervals}
    assert labels == set(CLASSES)


# splits


def test_no_subject_is_in_two_splits() -> None:
    bodies = [make_subject(split, number, DEFAULT).body for split in SPLITS for number in range(SUBJECTS[split])]
    assert len(set(bodies)) == sum(SUBJECTS.values())


def test_the_cross_view_protocol_tests_on_a_view_that_training_never_sees() -> None:
    views = PROTOCOLS["cross-view"]
    assert not set(views["test"]) & (set(views["train"]) | set(views["validation"]))
    assert all(views == VIEWS for views in PROTOCOLS["cross-subject"].values())


# what people can do


@given(seed=seeds, count=st.integers(1, 60))
def test_a_plan_asks_for_nothing_impossible(seed: int, count: int) -> None:
    posture = "standing"
    labels = plan(np.random.default_rng(seed), count)
    for label in labels:
        needed = BEFORE.get(label, "standing")
        assert needed == posture or (posture == "seated" and label in SEATABLE)
        posture = AFTER.get(label, posture)
        posture = "standing" if posture == "lying" else posture
    assert posture == "standing"
    assert len(labels) >= count


def test_the_class_list_is_idle_and_the_actions_in_the_order_that_weights_depend_on() -> None:
    assert CLASSES[0] == IDLE
    assert len(ACTIONS) >= 10
    assert set(PERFORM) == set(ACTIONS)
    assert hashlib.sha256("|".join(CLASSES).encode()).hexdigest()[:12] == "c70d8e8204a6"


@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_movements_follow_each_other_without_a_jump(seed: int) -> None:
    subject = make_subject("train", seed % SUBJECTS["train"], DEFAULT)
    performer = Performer(subject, np.random.default_rng(seed), DEFAULT)
    for label in plan(np.random.default_rng(seed), 6):
        performer.idle(60)
        performer.act(label)
    performer.idle(60)
    track = performer.track()
    moved = np.linalg.norm(np.diff(joints(subject.body, track.poses), axis=0), axis=-1).max(1)
    # metres in a thirtieth of a second: a hand that throws, and any joint where two movements meet
    assert float(moved.max()) < 1.0
    assert float(moved[[each.start - 1 for each in track.intervals[1:]]].max()) < 0.1


@settings(max_examples=40, deadline=None)
@given(seed=seeds, label=st.sampled_from(ACTIONS))
def test_bones_keep_their_length_and_nobody_sinks_into_the_floor(seed: int, label: str) -> None:
    body = make_subject("train", seed % SUBJECTS["train"], DEFAULT).body
    places = joints(body, PERFORM[label](mover(seed, BEFORE.get(label, "standing"))))

    def length(a: Joint, b: Joint) -> np.ndarray:
        return np.linalg.norm(places[:, a] - places[:, b], axis=-1)

    for side in "RL":
        of = {name: Joint[f"{side}_{name}"] for name in ("SHOULDER", "ELBOW", "HAND", "HIP", "KNEE", "ANKLE")}
        np.testing.assert_allclose(length(of["SHOULDER"], of["ELBOW"]), body.upper_arm, rtol=1e-9)
        np.testing.assert_allclose(length(of["ELBOW"], of["HAND"]), body.forearm, rtol=1e-9)
        np.testing.assert_allclose(length(of["HIP"], of["KNEE"]), body.thigh, rtol=1e-9)
        np.testing.assert_allclose(length(of["KNEE"], of["ANKLE"]), body.shank, rtol=1e-9)
    feet = places[:, [Joint.R_ANKLE, Joint.L_ANKLE, Joint.PELVIS, Joint.HEAD], 1]
    assert float(feet.min()) > 0


@pytest.mark.parametrize("seed", range(12))
def test_who_has_fallen_lies_on_the_floor_within_the_picture(seed: int) -> None:
    places = joints(make_subject("train", seed, DEFAULT).body, fall(mover(seed)))[-1]
    lying = places[[Joint.PELVIS, Joint.NECK, Joint.HEAD]]
    assert float(lying[:, 1].max()) < 0.4
    assert float(np.abs(lying[:, 0]).max()) < 1.5


@pytest.mark.parametrize("seed", range(6))
def test_who_has_fallen_takes_time_to_get_up_and_that_is_idle(seed: int) -> None:
    subject = make_subject("test", seed, DEFAULT)
    performer = Performer(subject, np.random.default_rng(seed), DEFAULT)
    performer.act("fall")
    performer.idle(150)
    track = performer.track()
    head = joints(subject.body, track.poses)[track.intervals[1].start :, Joint.HEAD, 1]
    assert [each.label for each in track.intervals] == ["fall", IDLE]
    assert head[11] < 1.0 < 1.2 < head[-1]
    assert performer.posture == "standing"


@pytest.mark.parametrize("label", ACTIONS)
def test_an_action_done_with_the_left_is_the_mirror_of_the_right(label: str) -> None:
    subject = make_subject("train", 7, DEFAULT)
    calm = dataclasses.replace(DEFAULT, target_jitter=0.0)
    rest = rest_pose(subject.style, BEFORE.get(label, "standing"))
    right, left = (
        joints(subject.body, PERFORM[label](Mover(np.random.default_rng(7), subject.style, calm, rest, mirrored)))
        for mirrored in (False, True)
    )
    symmetric = label in ("sit down", "stand up", "pick up", "put down")
    other = right if symmetric else right * [-1, 1, 1]
    hands = (Joint.R_HAND, Joint.R_HAND) if symmetric else (Joint.L_HAND, Joint.R_HAND)
    np.testing.assert_allclose(left[:, hands[0]], other[:, hands[1]], atol=1e-9)


@pytest.mark.parametrize("fidget", {*PLAIN, *ALIKE, *SEATED_PLAIN, *SEATED_ALIKE, *HOLDING}, ids=lambda f: f.__name__)
def test_whatever_idle_people_do_ends_where_it_began(fidget: object) -> None:
    m = mover(11)
    np.testing.assert_allclose(fidget(m)[-1], m.rest, atol=1e-12)  # type: ignore[operator]


# actions that differ only in motion


def test_wave_and_raise_hand_share_their_poses_and_differ_in_motion() -> None:
    def hand(label: str) -> np.ndarray:
        poses = [PERFORM[label](mover(seed)) for seed in range(20)]
        return np.stack([each[len(each) // 3 : 2 * len(each) // 3, [INDEX["rx"], INDEX["ry"]]][:12] for each in poses])

    waving, raised = hand("wave"), hand("raise hand")
    spread = np.std(np.concatenate([waving, raised]), axis=(0, 1))
    assert (np.abs(waving.mean((0, 1)) - raised.mean((0, 1))) < spread).all()
    speed = [float(np.abs(np.diff(each[..., 0], axis=1)).mean()) for each in (waving, raised)]
    assert speed[0] > 5 * speed[1]


@pytest.mark.parametrize(
    ("label", "reverse", "name"), [("sit down", "stand up", "rhip"), ("pick up", "put down", "box")]
)
def test_pairs_begin_where_the_other_ends(label: str, reverse: str, name: str) -> None:
    there = PERFORM[label](mover(3))[:, INDEX[name]]
    back = PERFORM[reverse](mover(3, BEFORE[reverse]))[:, INDEX[name]]
    assert there[-1] - there[0] > 0.9
    assert back[0] - back[-1] > 0.9
    assert there[-1] == pytest.approx(back[0], abs=0.2)


# clips


@pytest.mark.parametrize("label", CLASSES)
def test_a_clip_has_the_frames_asked_for_and_moves(label: str) -> None:
    video = clip(np.random.default_rng(1), label, "validation", 9, "left")
    assert (video.shape, video.dtype) == ((9, 128, 172, 3), np.dtype(np.uint8))
    assert not np.array_equal(video[0], video[-1])


def test_a_clip_may_be_longer_than_the_action() -> None:
    assert len(clip(np.random.default_rng(1), "sit down", frames=400)) == 400


def test_difficulty_is_an_argument() -> None:
    quiet = dataclasses.replace(DEFAULT, noise_levels=(0.0, 0.0), flicker=(0.0, 0.0), shake_px=(0.0, 0.0))
    hard = dataclasses.replace(quiet, noise_levels=(20.0, 20.0))
    rough = [
        float(
            np.abs(
                np.diff(clip(np.random.default_rng(2), "idle", frames=2, difficulty=each).astype(int), axis=0)
            ).mean()
        )
        for each in (quiet, hard)
    ]
    assert rough[0] < 3 < 15 < rough[1]


# words that are wrong


@pytest.mark.parametrize(
    ("call", "known"),
    [
        (lambda: stream("exam", 0), "train, validation, test"),
        (lambda: stream("test", 0, "above"), "front, left, right"),
        (lambda: stream("test", -1), "from 0 on"),
        (lambda: clip(np.random.default_rng(0), "dance"), "idle, wave"),
    ],
)
def test_an_unknown_word_is_answered_with_the_known_ones(call: object, known: str) -> None:
    with pytest.raises(DatasetError, match=known):
        call()  # type: ignore[operator]


# the source


def test_the_source_draws_the_stream_and_knows_its_truth() -> None:
    source = open_source("puppets:test/3/left")
    video = stream("test", 3, "left")
    assert (source.fps, source.live) == (30.0, False)
    assert np.array_equal(next(iter(source)), video.frame(0))
    contexts = source.truth.contexts  # type: ignore[attr-defined]
    assert [(each.start, each.end, each.label) for each in contexts] == list(video.intervals)


def test_a_closed_source_ends() -> None:
    source = open_source("puppets:train/0", fps=15)
    frames = iter(source)
    next(frames)
    source.close()
    source.close()
    assert source.fps == 15
    assert list(frames) == []


@pytest.mark.parametrize("what", ["", "test", "test/x", "test/-1", "exam/1", "test/1/above", "test/²"])
def test_a_source_string_that_is_wrong_says_what_is_expected(what: str) -> None:
    with pytest.raises(SourceError, match=r"expected SPLIT/NUMBER|known:"):
        open_source(f"puppets:{what}")
