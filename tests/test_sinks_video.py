"""The sink `video`: the right answer on the right frame, read again or copied; files that can be played."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clownfish.errors import SinkError
from clownfish.messages import End, Frame, FusedResult, Pixels
from clownfish.sinks.base import SinkContext, StreamInfo
from tests.sink_targets import event, result
from tests.videos import number, write_video

av = pytest.importorskip("av", reason="the extra `video` is not installed")
FRAMES = 60
WINDOWS = (FRAMES - 16) // 4 + 1
COLOUR = {"local": (214, 214, 214), "fused": (255, 200, 60), "remote": (110, 220, 110)}


def sink(folder: Path, source: str, mode: Any = "final", loop: bool = False, **options: Any) -> Any:
    from clownfish.sinks.video import Video

    streams = {"dev00": StreamInfo(source, None, loop)}
    return Video(str(folder / "out"), context=SinkContext(streams=streams, mode=mode, behind=8), **options)


def read(path: Path) -> list[Pixels]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def source_of(picture: Pixels) -> str | None:
    """Whose answer it is, by the colour of the line above the strip; None where there is none."""
    line = picture[-16:-14].reshape(-1, 3).astype(int).mean(axis=0)
    if line.max() < 150:
        return None
    return min(COLOUR, key=lambda name: float(np.abs(line - COLOUR[name]).sum()))


def closing(t: int, **changes: Any) -> FusedResult:
    return replace(result(t, revision=1), final=True, **changes)


def given(made: Any, results: Sequence[FusedResult]) -> list[Path]:
    """Write, end, and close; returns the files."""
    for each in results:
        made.write(each)
    made.end(End("dev00", 7, FRAMES, "end"))
    made.close()
    return sorted(made._folder.iterdir())


@pytest.fixture
def clip(tmp_path: Path) -> str:
    return str(write_video(tmp_path / "clip.mp4", FRAMES))


def test_every_frame_of_a_file_is_there_with_the_answer_that_belongs_to_it(tmp_path: Path, clip: str) -> None:
    answers = [closing(t, source="remote" if t >= 6 else "local") for t in range(WINDOWS)]
    (file,) = given(sink(tmp_path, clip, width=0), answers)
    pictures = read(file)
    assert [number(picture[:30]) for picture in pictures] == list(range(FRAMES))
    said = [source_of(picture) for picture in pictures]
    assert said[:12] == [None] * 12  # before the first window's last frames there is no answer
    assert said[12 : 12 + 24] == ["local"] * 24
    assert said[36:] == ["remote"] * (FRAMES - 36)


def test_the_mode_says_which_answer_is_drawn(tmp_path: Path, clip: str) -> None:
    answers = [each for t in range(WINDOWS) for each in (result(t), closing(t, source="remote"), result(t, revision=2))]
    for mode, drawn in (("live", "local"), ("final", "remote"), ("revisions", "remote")):
        (file,) = given(sink(tmp_path / mode, clip, mode), answers)
        assert {source_of(picture) for picture in read(file)[12:]} == {drawn}


def test_a_window_without_an_answer_leaves_its_frames_without_one(tmp_path: Path, clip: str) -> None:
    made = sink(tmp_path, clip)
    (file,) = given(made, [closing(t) for t in range(WINDOWS) if t not in (3, 4)])
    said = [source_of(picture) for picture in read(file)]
    assert [n for n, each in enumerate(said) if each is None] == [*range(12), *range(24, 32)]
    assert (made.counts["frames_drawn"], made.counts["frames_unanswered"]) == (FRAMES, 12 + 8)


def test_a_source_that_begins_anew_is_read_anew(tmp_path: Path, clip: str) -> None:
    made = sink(tmp_path, clip, loop=True)
    for t in range(2 * WINDOWS):
        made.write(closing(t))
    made.close()
    (file,) = made._folder.iterdir()
    pictures = read(file)
    assert [number(each[:30]) for each in pictures] == [n % FRAMES for n in range(12 + 8 * WINDOWS)]


def test_of_a_live_stream_the_copies_are_drawn_and_those_that_are_missing_are_counted(tmp_path: Path) -> None:
    made = sink(tmp_path, "camera:0")
    for n in range(FRAMES):
        if n not in (20, 21):
            made.frame(Frame("dev00", 7, n, 0, True, np.full((48, 64, 3), n, np.uint8)))
        if n >= 15 and (n - 15) % 4 == 0:
            made.write(closing((n - 15) // 4))
    made.close()
    (file,) = made._folder.iterdir()
    assert len(read(file)) == FRAMES - 2
    assert made.counts["frames_missing"] == 2


def test_copies_that_nothing_answers_do_not_fill_the_memory(tmp_path: Path) -> None:
    made = sink(tmp_path, "camera:0")
    for n in range(1000):
        made.frame(Frame("dev00", 7, n, 0, True, np.zeros((48, 64, 3), np.uint8)))
    assert made.gauges()["frames_waiting"] == 4 * 30 + 8 * 4
    made.close()


def test_files_are_begun_anew_and_the_oldest_removed(tmp_path: Path, clip: str) -> None:
    made = sink(tmp_path, clip, minutes=0.5 / 60, keep=2)
    files = given(made, [closing(t) for t in range(WINDOWS)])
    assert [len(read(file)) for file in files] == [15, 15]
    assert files[-1].name == "dev00-000000000000007-000000045.mp4"


def test_what_a_killed_process_left_can_be_played(tmp_path: Path) -> None:
    source = write_video(tmp_path / "clip.mp4", 200)
    made = sink(tmp_path, str(source))
    for t in range(40):
        made.write(closing(t))
    (file,) = made._folder.iterdir()
    (tmp_path / "copy.mp4").write_bytes(file.read_bytes())  # as it lies on the disk now
    assert len(read(tmp_path / "copy.mp4")) >= 60
    made.close()


def test_epochs_that_overlap_have_files_of_their_own_and_none_comes_back(tmp_path: Path, clip: str) -> None:
    made = sink(tmp_path, clip)
    for t in range(4):
        made.write(closing(t))
        made.write(closing(t, epoch=8))
    made.end(End("dev00", 7, 32, "capture restarted"))
    made.write(closing(5))
    made.close()
    files = sorted(made._folder.iterdir())
    assert [(file.name[6:21].lstrip("0"), len(read(file))) for file in files] == [("7", 32), ("8", 28)]


def test_what_cannot_be_drawn_is_an_error_each_time(tmp_path: Path, clip: str) -> None:
    made = sink(tmp_path, str(tmp_path / "gone.mp4"))
    for _ in range(2):
        with pytest.raises(SinkError, match=r"cannot be read again|no such|gone"):
            made.write(closing(0))
    with pytest.raises(SinkError, match="give it what"):
        made.write(event(0))
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match="cannot be used for videos"):
        sink(tmp_path / "file", clip)
    with pytest.raises(ValueError, match="expected"):
        sink(tmp_path, clip, width=3)
