"""Data sets: every plug-in lists clips and streams that make sense; broken tables and videos are named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from clownfish.datasets import DATASETS, open_dataset
from clownfish.datasets import probe as probing
from clownfish.datasets.activitynet import ActivityNet
from clownfish.datasets.base import Clip, Dataset, Interval, LabelledStream, check_intervals
from clownfish.datasets.decode import decode
from clownfish.datasets.folder import ClassFolders
from clownfish.datasets.intervals_csv import IntervalTables
from clownfish.datasets.pku_mmd import ACTIONS, PkuMmd
from clownfish.datasets.probe import Probe
from clownfish.datasets.ucf9 import Ucf9
from clownfish.datasets.ucf101 import Ucf101
from clownfish.errors import ClownfishError, ConfigError, DatasetError
from tests.data_sets import FRAMES, WRITERS, Written, video, write
from tests.videos import number

REAL = Path("../shared/data/ucf9")


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Written]:
    return {name: WRITERS[name](tmp_path_factory.mktemp(name)) for name in WRITERS}


@pytest.fixture(params=DATASETS.names())
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def written(name: str, originals: dict[str, Written], tmp_path: Path) -> Written:
    """A copy of the data set, to spoil."""
    return copied(originals[name], tmp_path)


def copied(original: Written, tmp_path: Path) -> Written:
    shutil.copytree(original.root, tmp_path / "data")
    victim = tmp_path / "data" / original.victim.relative_to(original.root)
    return Written(tmp_path / "data", original.clips, original.streams, victim, original.options, original.missing)


def opened(name: str, written: Written, index: Path | None = None) -> Dataset:
    return open_dataset(name, written.root, Probe(index), written.options)


# -- what holds of all of them ----------------------------------------------------------------------------------------


def test_every_data_set_lists_clips_whose_frames_are_there(name: str, written: Written) -> None:
    dataset = opened(name, written)
    clips = dataset.clips()
    assert len(clips) == written.clips
    assert {clip.label for clip in clips} <= set(dataset.classes)
    assert len({clip.key for clip in clips}) == len(clips)
    for clip in clips:
        frames = decode(clip.path, start=clip.start, end=clip.end)
        assert len(frames) == clip.frames
        assert [number(frames[0]), number(frames[-1])] == [clip.start, clip.start + clip.frames - 1]


def test_every_data_set_lists_streams_apart_from_its_training_clips(name: str, written: Written) -> None:
    dataset = opened(name, written)
    streams = dataset.streams()
    assert len(streams) == written.streams
    trained_on = {clip.path for clip in dataset.clips() if clip.part != "validation"}
    for stream in streams:
        assert stream.path.is_file()
        assert stream.path not in trained_on
        assert stream.intervals
        assert {interval.label for interval in stream.intervals} <= set(dataset.classes)
        assert stream.interval_at(stream.intervals[-1].start) == stream.intervals[-1]
        check_intervals(stream.path, stream.intervals)


def test_a_second_start_looks_into_no_video(
    name: str, written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = tmp_path / "index.json"
    first = opened(name, written, index).clips()
    monkeypatch.setattr(probing, "look", lambda path: pytest.fail(f"looked into {path}"))
    assert opened(name, written, index).clips() == first


def test_a_video_that_is_none_is_named_and_skipped_or_left_to_the_decoder(name: str, written: Written) -> None:
    written.victim.write_bytes(b"this is no video")
    dataset = opened(name, written)
    clips = dataset.clips()
    if name == "ucf9":  # its table gives the frames: shows when it is decoded
        with pytest.raises(DatasetError, match="cannot be decoded"):
            decode(written.victim)
        return
    assert str(written.victim) in {each.what for each in dataset.skipped}
    assert written.victim not in {clip.path for clip in clips}


def test_a_video_that_is_missing_is_named(name: str, written: Written) -> None:
    written.victim.unlink()
    dataset = None
    if written.missing:
        with pytest.raises(DatasetError, match=rf"missing.*{written.victim.stem}"):
            opened(name, written).clips()
    else:
        dataset = opened(name, written)
        assert written.victim not in {clip.path for clip in dataset.clips()}


def test_another_folder_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"expected"):
        open_dataset(name, tmp_path, Probe())


def test_an_unknown_option_is_answered_with_the_known_ones(name: str, written: Written) -> None:
    with pytest.raises(ConfigError, match=rf"{name}.* has no option 'speed'; its options: "):
        open_dataset(name, written.root, Probe(), {"speed": 3})


@pytest.mark.data
def test_the_real_ucf9_lists_clips_and_streams() -> None:
    if not REAL.exists():
        pytest.skip(f"{REAL} is not here")
    dataset = Ucf9(REAL, Probe())
    clips = dataset.clips()
    assert {clip.label for clip in clips} == set(dataset.classes)
    assert all(clip.frames > 0 for clip in clips)
    assert len(dataset.streams()) == 6


# -- base -------------------------------------------------------------------------------------------------------------


def test_an_unknown_data_set_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"unknown data set 'kinetics'; known: activitynet, csv, folder"):
        DATASETS.get("kinetics")


@pytest.mark.parametrize("second", [(3, 9), (5, 5), (9, 6)])
def test_intervals_that_overlap_or_are_empty_are_refused(second: tuple[int, int]) -> None:
    intervals = (Interval(0, 4, "a", ""), Interval(*second, "b", ""))
    with pytest.raises(DatasetError, match=r"is empty or overlaps the one that ends at 4"):
        check_intervals(Path("x.csv"), intervals)


def test_a_frame_between_contexts_has_none() -> None:
    stream = LabelledStream("s", Path("s.mp4"), (Interval(2, 4, "a", ""), Interval(6, 8, "b", "")))
    assert [getattr(stream.interval_at(n), "label", None) for n in range(9)] == [
        *(None, None, "a", "a", None, None, "b", "b", None)
    ]


def test_an_index_that_is_damaged_or_of_an_older_file_is_not_believed(tmp_path: Path) -> None:
    index, clip = tmp_path / "index.json", video(tmp_path / "a.mp4", 8)
    index.write_text("{")
    assert Probe(index)(clip).frames == 8
    video(clip, 11)
    assert Probe(index)(clip).frames == 11


# -- ucf9 -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("path,label,group\na,Archery,8\n", "columns are .* expected path, label, group, frames"),
        ("path,label,group,frames\na,Chess,8,9\n", "train.csv:2: label is 'Chess'"),
        ("path,label,group,frames\na,Archery,eight,9\n", "train.csv:2: group is 'eight'"),
        ("path,label,group,frames\na,Archery\n", "train.csv:2: group is None"),
    ],
)
def test_a_broken_table_is_named_with_its_line(tmp_path: Path, table: str, complaint: str) -> None:
    write(tmp_path / "train.csv", table)
    with pytest.raises(DatasetError, match=complaint):
        Ucf9(tmp_path, Probe()).clips()


def test_a_missing_table_is_named(originals: dict[str, Written], tmp_path: Path) -> None:
    written = copied(originals["ucf9"], tmp_path)
    (written.root / "streams" / "dev00.csv").unlink()
    with pytest.raises(DatasetError, match=r"dev00.csv: cannot be read"):
        Ucf9(written.root, Probe()).streams()


# -- folder -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def clips_by_class(tmp_path: Path) -> Path:
    for name in ("bow/anna_1.mp4", "bow/anna_2.mp4", "bow/ben/1.mp4", "wave/anna_1.mp4", "wave/carl 7.mp4"):
        video(tmp_path / name, 8)
    return tmp_path


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ("clip", ["bow/anna_1.mp4", "bow/anna_2.mp4", "ben", "wave/anna_1.mp4", "wave/carl 7.mp4"]),
        ("prefix", ["anna", "anna", "ben", "anna", "carl"]),
        ("^([a-z]+)", ["anna", "anna", "ben", "anna", "carl"]),
    ],
)
def test_a_folders_clips_are_grouped_by_subfolder_and_as_asked(
    clips_by_class: Path, group: str, expected: list[str]
) -> None:
    assert [clip.group for clip in ClassFolders(clips_by_class, Probe(), group).clips()] == expected


@pytest.mark.parametrize(
    ("group", "complaint"),
    [
        ("([", "no regular expression"),
        ("anna", "one pair of brackets"),
        ("(dora)", "anna_1.mp4: its name does not fit"),
    ],
)
def test_a_pattern_that_tells_no_groups_is_refused(clips_by_class: Path, group: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        ClassFolders(clips_by_class, Probe(), group).clips()


def test_an_empty_class_folder_is_named(clips_by_class: Path) -> None:
    (clips_by_class / "jump").mkdir()
    write(clips_by_class / "jump" / "notes.txt", "to do")
    with pytest.raises(DatasetError, match=r"jump: holds no videos"):
        ClassFolders(clips_by_class, Probe()).clips()


def test_a_class_without_one_clip_that_can_be_used_is_named(clips_by_class: Path) -> None:
    for clip in (clips_by_class / "wave").iterdir():
        clip.write_bytes(b"")
    with pytest.raises(DatasetError, match=r"none of the clips of wave can be used; .*wave.anna_1.mp4: cannot be read"):
        ClassFolders(clips_by_class, Probe()).clips()


def test_class_folders_beside_parts_are_refused(clips_by_class: Path) -> None:
    (clips_by_class / "train").mkdir()
    with pytest.raises(DatasetError, match=r"beside train/ there is bow, wave"):
        ClassFolders(clips_by_class, Probe())


def test_a_folders_long_videos_are_its_streams(clips_by_class: Path) -> None:
    video(clips_by_class / "streams" / "long.mp4", 8)
    write(clips_by_class / "streams" / "long.csv", "start_frame,end_frame,label\n0,4,bow\n5,8,wave\n")
    (stream,) = ClassFolders(clips_by_class, Probe()).streams()
    assert stream.intervals == (Interval(0, 4, "bow"), Interval(5, 8, "wave"))


# -- csv --------------------------------------------------------------------------------------------------------------


def tables(root: Path, text: str, name: str = "door.csv") -> IntervalTables:
    if not (root / "door.mp4").exists():
        video(root / "door.mp4", 120)
    write(root / name, text)
    return IntervalTables(root, Probe())


def test_a_table_beside_its_video_needs_no_column_for_it(tmp_path: Path) -> None:
    clips = tables(tmp_path, "start_frame,end_frame,label\n60,100,wave\n0,40,bow\n").clips()
    assert [(clip.start, clip.end, clip.label, clip.group) for clip in clips] == [
        (0, 40, "bow", "door.mp4"),
        (60, 100, "wave", "door.mp4"),
    ]


def test_seconds_become_frames(tmp_path: Path) -> None:
    clips = tables(tmp_path, "start_s,end_s,label\n0.5,1.5,wave\n2,4,bow\n").clips()
    assert [(clip.start, clip.end) for clip in clips] == [(15, 45), (60, 120)]


def test_without_a_part_held_back_there_is_nothing_to_measure_on(tmp_path: Path) -> None:
    assert tables(tmp_path, "start_frame,end_frame,label\n0,40,bow\n50,90,wave\n").streams() == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("start_frame,end_frame,label\n0,40,bow\n39,80,wave\n", "door.mp4: interval 39 to 80 .wave. .* overlaps"),
        ("start_frame,end_frame,label\n0,40,bow\n60,121,wave\n", "door.csv:3: frames 60 to 121.* has 120 frames"),
        ("start_frame,end_frame,label\n0,forty,bow\n60,80,wave\n", "door.csv:2: end_frame is 'forty'"),
        ("start_s,end_s,label\n0,x,bow\n1,2,wave\n", "door.csv:2: end_s is 'x'"),
        ("start_frame,label\n0,bow\n", "door.csv: columns are start_frame, label; expected start_frame, end_frame"),
        ("start_frame,end_frame,label\n0,40,bow\n", "name 1 classes; expected two"),
        ("start_frame,end_frame,label,part\n0,40,bow,dev\n50,60,wave,dev\n", "part is 'dev'"),
        ("start_frame,end_frame,label,part\n0,40,bow,test\n50,60,wave,train\n", "door.csv:3: part is 'train', and"),
    ],
)
def test_what_is_wrong_in_a_table_of_intervals_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(DatasetError, match=complaint):
        tables(tmp_path, text).clips()


def test_a_table_without_its_video_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"window.csv: has no column `video`, and there is no video window"):
        tables(tmp_path, "start_frame,end_frame,label\n0,40,bow\n", "window.csv")


def test_classes_that_are_listed_decide_the_order_and_what_is_unknown(tmp_path: Path) -> None:
    write(tmp_path / "classes.txt", "wave\nbow\n")
    text = "start_frame,end_frame,label\n0,40,bow\n"
    assert tables(tmp_path, text).classes == ("wave", "bow")
    with pytest.raises(DatasetError, match=r"door.csv:2: label is 'jump', expected one of wave, bow"):
        tables(tmp_path, text.replace("bow", "jump")).clips()


def test_overlapping_intervals_are_skipped_where_that_is_asked_for(tmp_path: Path) -> None:
    tables(tmp_path, "start_frame,end_frame,label\n0,40,bow\n39,80,wave\n80,99,wave\n")
    dataset = IntervalTables(tmp_path, Probe(), overlaps="skip")
    assert [clip.start for clip in dataset.clips()] == [0, 80]
    assert "39 to 80 (wave)" in dataset.skipped[0].what
    with pytest.raises(ConfigError, match=r"overlaps is 'merge', expected 'refuse' or 'skip'"):
        IntervalTables(tmp_path, Probe(), overlaps="merge").clips()  # type: ignore[arg-type]


def test_the_time_between_intervals_is_a_class_where_it_has_a_name(tmp_path: Path) -> None:
    text = "start_frame,end_frame,label,part\n40,60,bow,{part}\n100,120,wave,{part}\n"
    tables(tmp_path, text.format(part="train"))
    dataset = IntervalTables(tmp_path, Probe(), background="idle", background_share=0.5)
    assert dataset.classes == ("bow", "wave", "idle")
    idle = [(clip.start, clip.end) for clip in dataset.clips() if clip.label == "idle"]
    assert idle == [(0, 32), (68, 92)]  # 8 frames from each action
    tables(tmp_path, text.format(part="test"))
    (stream,) = IntervalTables(tmp_path, Probe(), background="idle").streams()
    assert [(i.start, i.end, i.label) for i in stream.intervals] == [
        *((0, 40, "idle"), (40, 60, "bow"), (60, 100, "idle"), (100, 120, "wave"))
    ]
    with pytest.raises(ConfigError, match=r"background is 'bow', which is a class already"):
        IntervalTables(tmp_path, Probe(), background="bow")


# -- pku-mmd ----------------------------------------------------------------------------------------------------------


def test_pku_mmd_numbers_its_actions_from_one_and_keeps_views_of_a_recording_together(
    originals: dict[str, Written],
) -> None:
    clips = PkuMmd(originals["pku-mmd"].root, Probe()).clips()
    assert len(ACTIONS) == len(set(ACTIONS)) == 51
    assert (clips[0].label, clips[0].start, clips[0].end) == ("hand waving", 20, 60)
    assert (clips[1].label, clips[1].end) == ("bow", 160)  # one frame beyond the video, cut off
    assert [clip.group for clip in clips] == ["0002"] * 4 + ["0003"] * 2


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("Label/Train_Label_PKU_final/0002-L.txt", "0,20,60,2\n", "0002-L.txt:1: label is 0, expected 1 to 51"),
        ("Label/Train_Label_PKU_final/0002-L.txt", "hello\n", "0002-L.txt:1: 'hello', expected label,start,end"),
        ("Label/Train_Label_PKU_final/0002-L.txt", "1,20,60,2\n2,50,70,2\n", "0002-L.txt: interval 50 to 70.*overlaps"),
        ("Split/cross-subject.txt", "0002-L, 0003-L", "expected 'Training videos:' and 'Validataion videos:'"),
        ("Split/cross-subject.txt", "Training videos:\nx\nValidataion videos:\nx\n", "x is among the training and"),
    ],
)
def test_what_is_wrong_in_pku_mmd_is_named(
    originals: dict[str, Written], tmp_path: Path, name: str, text: str, complaint: str
) -> None:
    written = copied(originals["pku-mmd"], tmp_path)
    write(written.root / name, text)
    with pytest.raises(DatasetError, match=complaint):
        PkuMmd(written.root, Probe()).clips()


def test_pku_mmd_has_two_splits(originals: dict[str, Written]) -> None:
    with pytest.raises(ConfigError, match=r"split is 'cross-time', expected cross-subject or cross-view"):
        PkuMmd(originals["pku-mmd"].root, Probe(), split="cross-time")


# -- ucf101 -----------------------------------------------------------------------------------------------------------


def test_ucf101_takes_re_encoded_videos_and_the_classes_asked_for(
    originals: dict[str, Written], tmp_path: Path
) -> None:
    written = copied(originals["ucf101"], tmp_path)
    written.victim.rename(written.victim.with_suffix(".mp4"))
    clips = Ucf101(written.root, Probe(), only=["Archery"]).clips()
    assert [(clip.path.suffix, clip.group) for clip in clips] == [(".mp4", 8), (".avi", 9)]


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("classInd.txt", "1 Archery\n3 Basketball\n", "classInd.txt:2: '3 Basketball', expected '2 CLASS'"),
        ("trainlist01.txt", "Chess/v_Chess_g08_c01.avi 1\n", "trainlist01.txt:1: .* is of no class"),
        ("testlist01.txt", "Archery/v_Archery_g08_c01.avi\n", "testlist01.txt: .*g08_c01.avi is in the training list"),
    ],
)
def test_what_is_wrong_in_ucf101_is_named(
    originals: dict[str, Written], tmp_path: Path, name: str, text: str, complaint: str
) -> None:
    written = copied(originals["ucf101"], tmp_path)
    write(written.root / "ucfTrainTestlist" / name, text)
    with pytest.raises(DatasetError, match=complaint):
        Ucf101(written.root, Probe()).clips()


@pytest.mark.parametrize("options", [{"split": 4}, {"only": ["Chess"]}])
def test_ucf101_has_three_splits_and_its_own_classes(originals: dict[str, Written], options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"expected 1, 2 or 3|classInd.txt has Archery, Basketball"):
        open_dataset("ucf101", originals["ucf101"].root, Probe(), options)


# -- activitynet ------------------------------------------------------------------------------------------------------


def test_activitynet_reads_seconds_of_long_videos_and_frames_of_clips(originals: dict[str, Written]) -> None:
    dataset = ActivityNet(originals["activitynet"].root, Probe())
    clips = dataset.clips()
    assert [(c.label, c.start, c.end, c.frames) for c in clips if c.path.stem in ("v_one", "five")] == [
        ("bow", 30, 60, 30),
        ("wave", 120, 180, 60),  # 6.1 s of a video of 6
        ("bow", 0, None, FRAMES),
    ]
    assert [(each.what, each.why) for each in dataset.skipped] == [("gone", "missing")]
    assert [clip.part for clip in clips if clip.path.stem == "v_three"] == ["validation"] * 2


def test_activitynets_own_taxonomy_names_the_classes(originals: dict[str, Written], tmp_path: Path) -> None:
    written = copied(originals["activitynet"], tmp_path)
    table = written.root / "activity.json"
    tree = json.loads(table.read_text())
    del tree["labels"]
    nodes = [("Root", 0, None), ("Sport", 1, 0), ("wave", 2, 1), ("bow", 3, 1)]
    tree["taxonomy"] = [{"nodeName": name, "nodeId": own, "parentId": parent} for name, own, parent in nodes]
    table.write_text(json.dumps(tree))
    assert ActivityNet(written.root, Probe()).classes == ("wave", "bow")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"labels": ["bow"]}, "`labels` is"),
        ({"database": {}}, "expected an object with `labels` and `database`"),
        ({"database": {"x": {"subset": "dev", "annotations": []}}}, "database.x: subset is 'dev'"),
        ({"database": {"x": {"subset": "training", "annotations": [{"label": "bow"}]}}}, "none of its 1 videos"),
        ({"database": {"one": {"subset": "training", "annotations": [{"label": "jump"}]}}}, "label is 'jump'"),
        (
            {"database": {"one": {"subset": "training", "annotations": [{"label": "bow", "segment": [1]}]}}},
            r"segment is \[1\]",
        ),
    ],
)
def test_what_is_wrong_in_an_activitynet_json_is_named(
    originals: dict[str, Written], tmp_path: Path, change: dict[str, object], complaint: str
) -> None:
    written = copied(originals["activitynet"], tmp_path)
    table = written.root / "activity.json"
    table.write_text(json.dumps(json.loads(table.read_text()) | change))
    with pytest.raises(ClownfishError, match=complaint):
        ActivityNet(written.root, Probe()).clips()


def test_of_several_tables_one_has_to_be_named(originals: dict[str, Written], tmp_path: Path) -> None:
    written = copied(originals["activitynet"], tmp_path)
    write(written.root / "other.json", "{}")
    with pytest.raises(DatasetError, match=r"expected one .json, found activity.json, other.json; name it"):
        ActivityNet(written.root, Probe())
    assert ActivityNet(written.root, Probe(), table="activity.json").classes == ("wave", "bow")


def test_a_clip_of_one_video_and_one_of_another_have_names_of_their_own() -> None:
    one = Clip(Path("a.mp4"), "x", 1, 10)
    part = Clip(Path("a.mp4"), "x", 1, 5, start=0, end=5)
    assert (one.key, part.key) == ("a.mp4", "a.mp4#0-5")
    assert (one.whole, part.whole) == (True, False)
