"""Decoding for training: the frames asked for and no others, out of the middle of long videos too."""

from __future__ import annotations

import struct
from contextlib import closing
from pathlib import Path

import av
import numpy as np
import pytest

from clownfish.datasets import decode as decoding
from clownfish.datasets.decode import decode, decode_parts, iterate
from clownfish.datasets.probe import Probe
from clownfish.errors import DatasetError
from clownfish.sources import open_source
from tests.videos import cut, number, write_video

FORMATS = [("mp4", "libx264"), ("mkv", "libx264"), ("avi", "mpeg4"), ("mp4", "mpeg4"), ("webm", "libvpx-vp9")]


@pytest.fixture(scope="module", params=FORMATS, ids=lambda param: "-".join(param))
def long(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """240 frames, with B-frames where the codec has them."""
    suffix, codec = request.param
    return write_video(tmp_path_factory.mktemp("long") / f"v.{suffix}", 240, codec=codec)


def numbers(frames: np.ndarray) -> list[int]:
    return [number(frame) for frame in frames]


def test_decoding_keeps_every_nth_frame_at_the_size_asked_for(long: Path) -> None:
    frames = decode(long, size=(32, 24), every=50)
    assert frames.shape == (5, 24, 32, 3)
    assert numbers(frames) == [0, 50, 100, 150, 200]


@pytest.mark.parametrize(("start", "end"), [(0, 3), (1, 4), (100, 103), (203, 206), (237, 240)])
def test_an_interval_is_the_frames_of_its_numbers(long: Path, start: int, end: int) -> None:
    assert numbers(decode(long, start=start, end=end)) == list(range(start, end))


def test_parts_come_in_one_pass_and_in_any_order(long: Path) -> None:
    parts = [(5, 8), (120, 126), (126, 128), (60, 62), (230, None)]
    found = [
        numbers(frames) for frames in decode_parts(long, parts, (64, 48), 2) if not isinstance(frames, DatasetError)
    ]
    assert found == [[5, 7], [120, 122, 124], [126], [60], [230, 232, 234, 236, 238]]


def test_the_probe_counts_what_decodes(long: Path) -> None:
    seen = Probe()(long)
    assert (seen.frames, seen.fps, seen.width, seen.height) == (len(decode(long)), 30, 64, 48)


def test_the_middle_of_a_long_video_is_reached_without_decoding_what_comes_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "v.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"g": "20"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(200):
            container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(stream.encode())
    read = 0
    reader = decoding._Reader(path)
    original = reader._container.decode

    class Counting:
        def __getattr__(self, name: str) -> object:
            return getattr(container_, name)

        def decode(self, stream: object) -> object:
            nonlocal read
            for frame in original(stream):
                read += 1
                yield frame

    container_ = reader._container
    reader._container = Counting()  # type: ignore[assignment]
    assert len(list(reader.read(150, 160, 1))) == 10
    container_.close()
    assert read <= 30


def test_time_stamps_that_tell_nothing_are_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "v.mp4", 60)
    monkeypatch.setattr(decoding, "_times", lambda path: None)
    assert numbers(decode(path, start=30, end=33)) == [30, 31, 32]
    back = [
        numbers(each)
        for each in decode_parts(path, [(40, 42), (10, 12)], (64, 48), 1)
        if not isinstance(each, Exception)
    ]
    assert back == [[40, 41], [10, 11]]


def test_time_stamps_that_the_decoder_does_not_know_are_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "v.mp4", 60)
    truth = decoding._times(path)
    assert truth is not None
    shifted = decoding._Times({pts + 1: n for pts, n in truth.number.items()}, truth.keyframes)
    monkeypatch.setattr(decoding, "_times", lambda path: shifted)
    (found,) = decode_parts(path, [(50, 53)], (64, 48), 1)
    assert not isinstance(found, DatasetError)
    assert numbers(found) == [50, 51, 52]


@pytest.mark.parametrize("matrix", [(0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)])
def test_pictures_that_a_telephone_laid_down_stand_as_the_live_source_shows_them(
    tmp_path: Path, matrix: tuple[int, ...]
) -> None:
    path = write_video(tmp_path / "v.mp4", 4, codec="mpeg4")
    data = path.read_bytes()
    a, b, c, d = (each << 16 for each in matrix)
    turned = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    at = data.index(b"tkhd") + 44  # of a version 0 track header's matrix
    path.write_bytes(data[:at] + turned + data[at + len(turned) :])
    with closing(open_source(str(path))) as source:
        live = list(source)
    np.testing.assert_allclose(decode(path), np.stack(live), atol=12)
    assert (Probe()(path).height, Probe()(path).width) == live[0].shape[:2]


def test_iterating_yields_frames_as_they_are(tmp_path: Path) -> None:
    frames = list(iterate(write_video(tmp_path / "v.mp4", 10)))
    assert len(frames) == 10
    assert frames[0].shape == (48, 64, 3)


@pytest.mark.parametrize("content", [b"", b"this is no video"])
def test_a_file_that_is_no_video_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "v.mp4"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"v.mp4: cannot be decoded"):
        decode(path)
    assert "cannot be read as video" in Probe()(path).error


def test_a_file_of_sound_alone_holds_no_video(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert Probe()(path).error == "holds no video"
    with pytest.raises(DatasetError, match=r"v.mp4: cannot be decoded"):
        decode(path)


def test_of_a_truncated_video_what_is_there_is_counted(tmp_path: Path) -> None:
    whole = Probe()(write_video(tmp_path / "v.mkv", 200))
    assert whole.frames == 200
    assert 60 < Probe()(cut(tmp_path / "v.mkv", 0.5)).frames < 140


def test_a_part_that_cannot_be_decoded_leaves_the_others(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mkv", 200)
    cut(path, 0.5)
    first, beyond, again = decode_parts(path, [(0, 4), (180, 190), (8, 10)], (64, 48), 1)
    assert isinstance(beyond, DatasetError)
    assert not isinstance(first, DatasetError)
    assert not isinstance(again, DatasetError)
    assert [len(first), len(again)] == [4, 2]
