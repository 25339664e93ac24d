"""All sinks: what every one owes, then the file's whole lines, then what a person sees."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clownfish.errors import SinkError
from clownfish.messages import End, FusedResult
from clownfish.sinks import SINKS
from clownfish.sinks.base import Sink
from clownfish.sinks.console import Console
from clownfish.sinks.jsonl import JsonLines
from tests.disks import file_size_limit

__all__ = ["file_size_limit"]  # a fixture

LABELS = ("Archery", "Basketball", "BabyCrawling")


def result(t: int, label: str = "Archery", stream: str = "dev00", revision: int = 0, **changes: object) -> FusedResult:
    p = np.full(3, 0.1, np.float32)
    p[LABELS.index(label)] = 0.8
    fused = FusedResult(stream, 7, t, revision, p, label, 0.8, 0.25, 0.5, 0.0, None, "local", False)
    return replace(fused, **changes)  # type: ignore[arg-type]


class Output:
    """Makes a sink of each kind, and tells what it put out so far."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._path = folder / "results.jsonl"
        self._text = io.StringIO()

    def open(self) -> Sink:
        make: dict[str, Callable[[], Sink]] = {
            "jsonl": lambda: SINKS.get("jsonl")(self._path),  # type: ignore[call-arg]
            "console": lambda: SINKS.get("console")(self._text),  # type: ignore[call-arg]
        }
        return make[self.name]()

    def text(self) -> str:
        return self._text.getvalue() if self.name == "console" else self._path.read_text()


@pytest.fixture(params=SINKS.names())
def output(request: pytest.FixtureRequest, tmp_path: Path) -> Output:
    return Output(request.param, tmp_path)


def test_a_result_is_out_when_write_returns(output: Output) -> None:
    sink = output.open()
    sink.write(result(3, "Basketball"))
    assert "Basketball" in output.text()
    assert output.text().endswith("\n")
    sink.close()


def test_closing_twice_is_safe(output: Output) -> None:
    sink = output.open()
    sink.write(result(0))
    sink.end(End("dev00", 7, 40, "end of the source"))
    sink.close()
    sink.close()


def test_streams_are_told_apart(output: Output) -> None:
    sink = output.open()
    for stream in ("door", "yard"):
        sink.write(result(0, stream=stream))
    assert [line.count("door") + 2 * line.count("yard") for line in output.text().splitlines()] == [1, 2]
    sink.close()


def test_an_end_of_an_unknown_stream_is_taken(output: Output) -> None:
    sink = output.open()
    sink.end(End("never seen", 1, 0, "stopped"))
    sink.write(result(0))
    assert "Archery" in output.text()
    sink.close()


# the file of lines


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.jsonl"


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_line_holds_the_whole_result(path: Path) -> None:
    sink = JsonLines(path)
    p = np.array([1 / 3, 2 / 3], np.float32)
    sink.write(FusedResult("Tür", 7, 4, 2, p, "b", 2 / 3, None, 0.5, 0.123456789, 3, "fused", True))
    sink.close()
    assert lines(path) == [
        {
            "stream": "Tür",
            "epoch": 7,
            "t": 4,
            "revision": 2,
            "label": "b",
            "confidence": 0.666667,
            "source": "fused",
            "final": True,
            "lag": 3,
            "rho": None,
            "alpha": 0.5,
            "beta": 0.123457,
            "p": [0.333333, 0.666667],
        }
    ]


def test_a_file_is_appended_to_and_its_folders_are_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "results.jsonl"
    for t in range(3):
        sink = JsonLines(path)
        sink.write(result(t))
        sink.close()
    assert [line["t"] for line in lines(path)] == [0, 1, 2]


@pytest.mark.parametrize("torn", ['{"stream":"de', "x" * 200_000])
def test_what_a_killed_process_left_of_a_line_is_cut_off(path: Path, torn: str) -> None:
    sink = JsonLines(path)
    sink.write(result(0))
    sink.close()
    with path.open("a") as file:
        file.write(torn)
    sink = JsonLines(path)
    sink.write(result(1))
    sink.close()
    assert [line["t"] for line in lines(path)] == [0, 1]


def test_a_file_without_one_whole_line_begins_anew(path: Path) -> None:
    path.write_text("torn")
    JsonLines(path).close()
    assert path.read_bytes() == b""


def test_a_killed_process_loses_no_line_that_it_wrote(path: Path) -> None:
    program = (
        "import sys, os, signal; from tests.test_sinks import JsonLines, result\n"
        "sink = JsonLines(sys.argv[1])\n"
        "for t in range(5): sink.write(result(t))\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], cwd=Path(__file__).parents[1], timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert [line["t"] for line in lines(path)] == [0, 1, 2, 3, 4]


def test_a_full_disk_is_an_error_per_result_and_writing_goes_on_when_space_is_back(
    path: Path, file_size_limit: Callable[[int | None], None]
) -> None:
    sink = JsonLines(path)
    sink.write(result(0))
    one_line_bytes = path.stat().st_size
    file_size_limit(one_line_bytes + one_line_bytes // 2)
    caught = []
    for t in (1, 2):
        try:
            sink.write(result(t))
        except SinkError as error:
            caught.append(error)
    size_bytes = path.stat().st_size
    file_size_limit(None)
    assert len(caught) == 2
    assert isinstance(caught[0].__cause__, OSError)
    assert caught[0].__cause__.errno == errno.EFBIG
    assert size_bytes == one_line_bytes  # the half line that still fitted is taken back
    sink.write(result(3))
    sink.close()
    assert [line["t"] for line in lines(path)] == [0, 3]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_device_without_space_is_an_error_per_result() -> None:
    sink = JsonLines("/dev/full")
    for t in range(2):
        with pytest.raises(SinkError, match="No space left"):
            sink.write(result(t))
    sink.close()


def test_two_sinks_never_share_a_file(path: Path) -> None:
    first = JsonLines(path)
    with pytest.raises(SinkError, match="another sink"):
        JsonLines(path)
    first.close()
    JsonLines(path).close()


def test_a_path_that_cannot_be_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "results.jsonl"):
        with pytest.raises(SinkError, match="cannot open"):
            JsonLines(path)


def test_a_number_that_json_cannot_hold_is_an_error_and_leaves_no_trace(path: Path) -> None:
    sink = JsonLines(path)
    with pytest.raises(SinkError, match="JSON"):
        sink.write(result(0, beta=float("nan")))
    sink.close()
    assert path.read_bytes() == b""


def test_a_closed_file_takes_no_more(path: Path) -> None:
    sink = JsonLines(path)
    sink.close()
    with pytest.raises(SinkError, match="closed"):
        sink.write(result(0))


# what a person sees


def said(*results: FusedResult | End) -> list[str]:
    text = io.StringIO()
    console = Console(text)
    for each in results:
        if isinstance(each, End):
            console.end(each)
        else:
            console.write(each)
    return text.getvalue().splitlines()


def test_one_line_per_change_of_answer_not_per_window() -> None:
    answers = ["Archery"] * 5 + ["Basketball"] * 5 + ["Archery"]
    shown = said(*[result(t, label) for t, label in enumerate(answers)])
    assert [line.split()[2] for line in shown] == ["0", "5", "10"]


@pytest.mark.parametrize(
    ("source", "lag", "shown"),
    [("local", None, "[edge]"), ("fused", None, "[edge + cloud]"), ("remote", 2, "[cloud, lag 2]")],
)
def test_a_line_says_where_its_answer_comes_from(source: str, lag: int | None, shown: str) -> None:
    assert said(result(0, source=source, lag=lag))[0].endswith(shown)


def test_a_correction_is_marked_and_a_run_of_windows_is_one_line() -> None:
    live = [result(t) for t in range(4)]
    corrections = [result(t, "Basketball", revision=1, source="fused", lag=3) for t in (1, 2, 3)]
    shown = said(*live, *corrections)
    assert len(shown) == 2
    assert "window      1" in shown[1]
    assert "Basketball  (corrected, was Archery)  [edge + cloud, lag 3]" in shown[1]


def test_after_a_correction_of_the_newest_window_the_same_answer_is_no_change() -> None:
    assert len(said(result(0), result(0, "Basketball", revision=1), result(1, "Basketball"))) == 2


def test_a_revision_with_the_same_answer_says_nothing() -> None:
    assert len(said(result(0), result(0, revision=1, confidence=0.9), result(0, revision=2, final=True))) == 1


def test_closing_revisions_alone_are_answers_not_corrections() -> None:
    """A consumer of mode `final` sees every window for the first time at a later revision."""
    shown = said(*[result(t, "Basketball", revision=2, final=True) for t in range(3)])
    assert len(shown) == 1
    assert "corrected" not in shown[0]


def test_a_correction_too_far_back_is_not_shown_as_new() -> None:
    shown = said(*[result(t) for t in range(2000)], result(0, "Basketball", revision=1))
    assert len(shown) == 1


def test_a_new_epoch_begins_anew_and_an_end_says_how_many_frames() -> None:
    shown = said(result(5), result(0, epoch=8), End("dev00", 8, 40, "camera unplugged"))
    assert len(shown) == 3
    assert shown[2] == "dev00  ended after 40 frames: camera unplugged"


def test_a_console_that_nobody_reads_is_an_error_per_result() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    out = os.fdopen(write_end, "w")
    console = Console(out)
    with pytest.raises(SinkError, match="console"):
        console.write(result(0))
    console.close()
    with pytest.raises(BrokenPipeError):
        out.close()
