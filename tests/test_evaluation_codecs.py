"""What `eval codecs` measures, on a drawn stream and a model that sees it: bytes as they go, accuracy as it is."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from clownfish import wire
from clownfish.cli.app import app
from clownfish.codecs import CODECS
from clownfish.codecs.runs import StreamEncoder
from clownfish.evaluation.dump import Header
from clownfish.evaluation.metrics import windows_in
from clownfish.evaluation.recorder import Recorder, RecordSettings
from clownfish.evaluation.uplink_codecs import Link, Row, Stream, chosen, measure
from clownfish.evaluation.uplink_tallies import Tallies
from clownfish.messages import Pixels
from clownfish.models.base import Inference, WindowModel
from clownfish.models.load import load_model
from clownfish.protocol import FrameData, WindowRequest
from clownfish.settings import Plugin
from clownfish.sources import open_source, truth_of
from clownfish.sources.truth import Truth

SOURCE = "shapes:test/0"
FRAMES = 240
TRIED = [Plugin("png"), Plugin("jpeg"), Plugin("h264"), Plugin("h264", {"group": 16}), Plugin("jpeg", {"quality": 1})]


@pytest.fixture(scope="module")
def stream() -> Stream:
    header, truth = Recorder(RecordSettings("zoo:shapes/local", "zoo:shapes/remote")).check(SOURCE)
    assert isinstance(header, Header)
    assert isinstance(truth, Truth)
    return Stream(header, truth_of(SOURCE) or truth, partial(open_source, SOURCE), FRAMES)


@pytest.fixture(scope="module")
def rows(stream: Stream) -> dict[tuple[str, int], Row]:
    remote = load_model("zoo:shapes/remote", "cpu", "fp32")
    return {(row.codec, row.n_w): row for row in measure([stream], remote, TRIED, [1, 6], 1, lambda said: None)}


def test_every_frame_is_counted_once_and_every_window_sent(rows: dict[tuple[str, int], Row]) -> None:
    windows = windows_in(FRAMES, 16, 4)
    assert {row.windows for (_, n_w), row in rows.items() if n_w == 1} == {windows}
    assert {row.windows for (_, n_w), row in rows.items() if n_w == 6} == {-(-windows // 6)}
    for codec in ("png", "jpeg"):  # 4 new frames at n_w = 1, 16 at n_w = 6
        assert rows[codec, 6].window_bytes / rows[codec, 1].window_bytes == pytest.approx(4, rel=0.25)


def test_what_is_lossless_changes_no_answer_and_what_goes_on_is_cheaper(rows: dict[tuple[str, int], Row]) -> None:
    assert rows["png", 6].change == 0.0
    assert rows["png", 6].psnr_db == float("inf")
    assert rows["h264", 6].kbit_s < rows["h264 group=16", 6].kbit_s < rows["png", 6].kbit_s
    assert rows["jpeg", 6].kbit_s < rows["png", 6].kbit_s
    assert 25 < rows["jpeg", 6].psnr_db < 50
    assert rows["h264", 1].accuracy is None, "the model is asked at the last n_w alone"


def test_pixels_that_are_gone_cost_accuracy(rows: dict[tuple[str, int], Row]) -> None:
    ruined, good = rows["jpeg quality=1", 6], rows["jpeg", 6]
    assert ruined.psnr_db < good.psnr_db
    assert ruined.change is not None
    assert good.change is not None
    assert ruined.change <= good.change


def test_the_cheapest_that_loses_less_than_half_a_point_is_chosen() -> None:
    def row(codec: str, kbit_s: float, change: float | None) -> Row:
        return Row(codec, 6, 1, 1.0, kbit_s, 1.0, 1.0, 30.0, 1, 0.9, 0.0, change, -1.0, 1.0)

    rows = [row("a", 10, -0.006), row("b", 20, -0.004), row("c", 30, 0.0), row("d", 5, None)]
    assert chosen(rows) is rows[1]
    assert chosen(rows[:1]) is None


def test_a_link_decodes_what_was_captured(stream: Stream) -> None:
    link = Link(Plugin("png"))
    for window in stream.windows():
        for sent, got in zip(window.frames, link.decode(link.send(window)), strict=True):
            assert (sent == got).all()


@pytest.mark.parametrize("kind", ["png", "h264"])
def test_with_n_w_1_every_frame_crosses_once(stream: Stream, kind: str) -> None:
    """Four windows share each frame; it costs no more than in a stream of frames without windows, and a list of numbers
    for each window. It costs a little less, as frames that go together share a header."""
    link, codec = Link(Plugin(kind)), Plugin(kind).build(CODECS)
    frames: dict[int, Pixels] = {}
    asked = 0
    for window in stream.windows():
        link.send(window)
        numbers = range(window.first, window.first + len(window.frames))
        frames.update(zip(numbers, window.frames, strict=True))
        asked += on_wire(WindowRequest(*window.key, tuple(numbers), 8000))
    encoder = StreamEncoder(codec)
    once = 0
    for n, pixels in frames.items():
        (each,) = encoder.encode([pixels])
        height, width = pixels.shape[:2]
        once += on_wire(FrameData(window.stream, window.epoch, n, each.run, each.place, kind, width, height, each.data))
    assert len(frames) == FRAMES
    assert 0.98 * (once + asked) < link.wire_bytes <= once + asked
    assert kind != "png" or asked < 0.02 * once


def on_wire(message: FrameData | WindowRequest) -> int:
    return sum(map(len, wire.encode(message)))


def test_what_is_kept_is_not_measured_again_and_another_question_is_another(stream: Stream, tmp_path: Path) -> None:
    remote = Asked(load_model("zoo:shapes/remote", "cpu", "fp32"))
    short, kept = dataclasses.replace(stream, frames=64), Tallies(tmp_path)
    first = measure([short], remote, [Plugin("png"), Plugin("jpeg")], [6], 1, lambda said: None, kept)
    asked = remote.count
    assert measure([short], remote, [Plugin("png"), Plugin("jpeg")], [6], 1, lambda said: None, kept) == first
    assert remote.count == asked
    more = measure([short], remote, [Plugin("jpeg"), Plugin("jpeg", {"quality": 90})], [6], 1, lambda said: None, kept)
    assert more[0] == first[1]
    assert remote.count == asked + more[1].sample, "the one that is new, and not what was captured"
    for file in tmp_path.iterdir():
        file.write_bytes(file.read_bytes()[:-40])
    again = measure([short], remote, [Plugin("png"), Plugin("jpeg")], [6], 1, lambda said: None, kept)
    assert [row.accuracy for row in again] == [row.accuracy for row in first]
    assert remote.count > asked + more[1].sample, "what is not whole is not trusted"


class Asked:
    """A model that counts what it is asked."""

    def __init__(self, model: WindowModel) -> None:
        self._model = model
        self.name, self.classes, self.window_size = model.name, model.classes, model.window_size
        self.count = 0

    def infer(self, windows: Sequence[Sequence[Pixels]]) -> Inference:
        self.count += len(windows)
        return self._model.infer(windows)


def test_the_command_writes_its_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "codecs.csv"
    words = ["eval", "codecs", SOURCE, "--pair", "zoo:shapes", "--codec", "png", "--codec", "h264,quality=40"]
    words += [
        "--n-w",
        "1,6",
        "--seconds",
        "4",
        "--every",
        "3",
        "--output",
        str(table),
        "--kept",
        str(tmp_path / "kept"),
    ]
    app(words, standalone_mode=False)
    with table.open(encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    assert [(each["codec"], each["n_w"]) for each in read] == [
        ("png", "1"), ("png", "6"), ("h264 quality=40", "1"), ("h264 quality=40", "6")
    ]  # fmt: skip
    assert "kbit/s" in capsys.readouterr().out
